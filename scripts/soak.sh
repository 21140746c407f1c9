#!/usr/bin/env bash
# Run it after a change to the order of writes, to states or to what follows a crash: `scripts/soak.sh [KILLS]` kills
# start and resume with -9 at random moments, 1,000 times if not told else, and compares every store with an undisturbed
# one. Needs neither a key nor a network, except to install DuckDB. 1,000 kills take three minutes. SEED repeats a run.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

python_with duckdb
"$grab" sandbox --page-cap 400 --latency 2ms --json >sandbox.json 2>/dev/null &
for _ in {1..100}; do
    [[ -s sandbox.json ]] && break
    sleep 0.1
done
"$python" "$repo/scripts/soak.py" "$grab" "$(sed 's/.*"base_url":"\([^"]*\)".*/\1/' sandbox.json)" "${1:-1000}" "${SEED:-$$}"
