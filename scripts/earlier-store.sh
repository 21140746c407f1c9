#!/usr/bin/env bash
# Run it with the program of an earlier version to make fixtures/earlier-store: the files of that version, which every
# later one has to read, to merge into and to rewrite. $GRAB names the program. Needs Python, and neither a key nor a
# network.
#   GRAB=/path/to/earlier/grab scripts/earlier-store.sh
set -euo pipefail
: "${GRAB:?names the program of an earlier version}"
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

export MASSIVE_API_KEY=fixture GRAB_NOW=2024-02-10T12:00:00Z
python3 "$repo/scripts/readers_truth.py" truth.json small >address &
for _ in {1..100}; do
    [[ -s address ]] && break
    sleep 0.1
done
fetch=(--base-url "$(<address)" --rate none --progress none)
windows=(--windows '2024-01..2024-02-09')

"$grab" start "${fetch[@]}" "${windows[@]}" --tickers 'KIMpL,NA,TRUE'
# One page of three: its month's file is not compressed, and its task is pending.
"$grab" start "${fetch[@]}" "${windows[@]}" --tickers A --concurrency 1 --max-requests 1 || (($? == 10))
"$grab" universe sync "${fetch[@]}" --list-dates --renames
# Most sessions are missing here: that is no matter.
"$grab" verify "${fetch[@]}" --witness grouped-daily >/dev/null || (($? == 13))

rm data/manifest.sqlite.lock
rm -rf "$repo/fixtures/earlier-store/data"
cp -R truth.json data "$repo/fixtures/earlier-store/"
chmod -R u=rwX,go=rX "$repo/fixtures/earlier-store"
