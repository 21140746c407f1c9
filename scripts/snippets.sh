#!/usr/bin/env bash
# Run it after a change to the README, to docs/ or to the files that grab writes: it runs what they show, beside what the
# README's own first command has made. SQL goes to DuckDB and Python runs as it is: each has to find something. Shell
# commands are parsed, lines of cron run, units are checked where systemd is. Takes a minute.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

python_with duckdb pandas polars pyarrow pyyaml tzdata

# Each block into a file of its own, NN-PAGE-LINE.LANGUAGE.
"$python" "$repo/scripts/snippets.py" extract "$repo" blocks
blocks=(blocks/*)
count=${#blocks[@]}
((count >= 20)) || { echo "only $count blocks were found" >&2; exit 1; }

# The README's first block, on an empty home: `cargo run --release --` is this program, built already.
first=$(cat blocks/01-README.md-*.sh)
printf '$ %s\n' "$first"
mkdir bin
ln -s "$grab" bin/grab
PATH="$PWD/bin:$PATH" HOME="$PWD" bash -euo pipefail -c "${first/#cargo run --release -- /grab }"
export GRAB_DATA_DIR=sandbox-data PATH="$PWD/bin:$PATH"

for block in "${blocks[@]}"; do
    printf '\n== %s\n' "${block#blocks/}"
    case $block in
        *.sql | *.python | *.yaml | *.crontab) "$python" "$repo/scripts/snippets.py" run "$block" ;;
        *.sh | *.console)
            "$python" "$repo/scripts/snippets.py" commands "$block" >commands.sh
            bash -n commands.sh
            # Does the program know each word of it? A line with … has a place to be filled in.
            mapfile -t lines < <(sed -n '/…/d; s/ *[;|>#].*//; /^grab /p' commands.sh)
            for line in "${lines[@]}"; do
                printf '%s\n' "$line"
                bash -euo pipefail -c "$line --help" </dev/null >/dev/null
            done
            ;;
        *.ini) ;;
        *) echo 'nothing is known of this language' >&2; exit 1 ;;
    esac
done

if command -v systemd-analyze >/dev/null; then
    printf '\n== units\n'
    "$python" "$repo/scripts/snippets.py" units "$repo" units
    sed -i "s#/usr/local/bin/grab#$grab#" units/*.service
    systemd-analyze verify --man=no units/*
    sed -n 's/^OnCalendar=//p' units/*.timer | while read -r calendar; do
        systemd-analyze calendar "$calendar" >/dev/null
    done
else
    echo 'the units are not checked: systemd-analyze is not here' >&2
fi
printf '\n%d blocks are good\n' "$count"
