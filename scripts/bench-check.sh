#!/usr/bin/env bash
# Run it after a change to inflating, parsing, merging, encoding or recording: it counts the instructions of these stages with
# valgrind and fails if one needs more than 3 % more than benches/baseline.json says. `--renew` writes that file anew.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v valgrind >/dev/null || { echo 'valgrind is not installed (Debian: valgrind)' >&2; exit 1; }
# cargo names the program that it has built: the last one wins.
program=$(cargo bench --locked --bench counted --no-run --message-format json 2>/dev/null |
    python3 -c 'import json, sys; print([m["executable"] for m in map(json.loads, sys.stdin) if m.get("executable")][-1])')
exec python3 scripts/bench-check.py "$program" "$@"
