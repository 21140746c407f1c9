#!/usr/bin/env bash
# Run it after a change to what grab writes: programs that people open Parquet files with, in old versions and new ones, read
# a store, an export, the reference tables and a day of the market, and every value must be the one that was served.
#   scripts/readers.sh few    two versions of Polars, DuckDB and pyarrow, fastparquet, one PySpark: two minutes of CPU time
#   scripts/readers.sh        all of the table in docs/store.md, which it writes anew: eleven minutes of CPU time, two gigabytes
# Needs Python 3.11 or newer, Java 17 or newer for Spark, and a network to install the programs.
set -euo pipefail
which=${1:-all}
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

export MASSIVE_API_KEY=readers GRAB_NOW=2024-02-10T12:00:00Z
python3 "$repo/scripts/readers_truth.py" truth.json >address &
for _ in {1..100}; do
    [[ -s address ]] && break
    sleep 0.1
done
fetch=(--base-url "$(<address)" --rate none --progress none --quiet)
tickers=(--windows '2024-01..2024-02-09' --tickers 'A,BRK.B,FALSE,KIMpL,NA,NAN,SLOW,TRUE')

"$grab" start "${fetch[@]}" "${tickers[@]}" --data-dir compatible >/dev/null
"$grab" universe sync "${fetch[@]}" --list-dates --renames --data-dir compatible >/dev/null
# Most sessions are missing: that is no matter here.
"$grab" verify "${fetch[@]}" --witness grouped-daily --data-dir compatible >/dev/null || (($? == 13))
"$grab" export --data-dir compatible --out export --quiet >/dev/null
"$grab" start "${fetch[@]}" "${tickers[@]}" --data-dir compact --parquet compact >/dev/null

# What an earlier version has written, as it is and written anew.
cp -R "$repo/fixtures/earlier-store/data" earlier
cp "$repo/fixtures/earlier-store/truth.json" earlier.json
cp -R earlier rewritten
"$grab" repair --rewrite --data-dir rewritten >/dev/null

python3 "$repo/scripts/readers.py" "$which" "$scratch"
