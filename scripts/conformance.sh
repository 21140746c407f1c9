#!/usr/bin/env bash
# Run it after a change to the sandbox, the source or the store: the vendor's own Python clients read from the sandbox
# what grab has stored from it, and every bar and column must be the same. Needs no key and no network, except to
# install the clients. Takes half a minute.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

python_with duckdb massive polygon-api-client tzdata

# A fixed day, so that the check is about the same bars for ever, and after the day from which volumes have fractions.
export GRAB_NOW=2026-06-30T12:00:00Z

# Pages of 5,000 bars, so that both sides have to turn many.
"$grab" sandbox --page-cap 5000 --listen 127.0.0.1:0 --json >sandbox.json 2>sandbox.log &
sandbox=$!
for _ in {1..100}; do
    [[ -s sandbox.json ]] && break
    kill -0 "$sandbox" || { cat sandbox.log >&2; exit 1; }
    sleep 0.1
done
base_url=$("$python" -c 'import json; print(json.load(open("sandbox.json"))["base_url"])')

# Tickers: liquid ones, one with a dot, one with a lower-case letter that hardly trades, a thin one, a delisted one.
# Windows: its last month; a split; a half day, a closed day and the end of daylight saving time; the first fractional
# volumes and the beginning of daylight saving time. conformance.py names the same.
MASSIVE_API_KEY=conformance "$grab" start --base-url "$base_url" --rate none --progress none \
    --windows '2023-05,2024-06,2024-11,2026-02-09..2026-03-20' --tickers 'AAPL,NVDA,BRK.B,KIMpL,NAN,BBBY'

"$python" "$repo/scripts/conformance.py" "$base_url" data
