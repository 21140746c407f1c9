#!/usr/bin/env bash
# Run it after a change to inflating, parsing, merging, encoding or recording: it counts the instructions of these stages with
# valgrind and fails if one needs more than 3 % more than benches/baseline.json says. `--renew` writes that file anew.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || { echo 'valgrind is not installed (Debian: valgrind)' >&2; exit 1; }
# cargo names what it has built, in any order; the tool itself is among it.
program=$(cargo bench --locked --bench counted --no-run --message-format json | python3 -c 'import json, sys
built = [m for m in map(json.loads, sys.stdin) if m.get("executable") and m["target"]["name"] == "counted"]
print(built[0]["executable"])')
exec python3 scripts/bench-check.py "$program" "$@"
