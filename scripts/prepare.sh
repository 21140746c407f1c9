# shellcheck shell=bash
# Sourced by the scripts beside it, never run by itself. It gives them
#   $repo     the repository
#   $grab     the release binary as it is, built only if there is none, or the one that $GRAB names
#   $scratch  an empty folder, removed on exit together with the background jobs
#   python_with PACKAGE...  makes a Python with these packages, $python

repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
scratch=$(mktemp -d)

tidy_up() {
    local job
    for job in $(jobs -p); do
        kill "$job" 2>/dev/null || true
        wait "$job" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap tidy_up EXIT

python_with() {
    python3 -m venv "$scratch/venv"
    python="$scratch/venv/bin/python"
    "$python" -m pip install --quiet --disable-pip-version-check \
        --constraint "$repo/scripts/constraints.txt" "$@"
}

if [[ ${GRAB:-} ]]; then
    grab=$GRAB
else
    grab=${CARGO_TARGET_DIR:-$repo/target}/release/grab
    [[ -x $grab ]] || (cd "$repo" && cargo build --release --locked)
fi
[[ -x $grab ]] || { echo "$grab is not a program" >&2; exit 1; }
grab=$(cd "$(dirname "$grab")" && pwd)/$(basename "$grab")

# What is set for real downloads must not reach a rehearsal, nor the rehearsal real data.
unset "${!GRAB_@}" "${!MASSIVE_@}" "${!POLYGON_@}"
export XDG_CONFIG_HOME="$scratch/config" XDG_STATE_HOME="$scratch/state"
# The sandbox is on loopback: no proxy leads there.
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1
cd "$scratch"
