#!/usr/bin/env bash
# Run it after a change to the page of `grab verify --report`: a real browser opens it, and what it shows is compared with
# what was done to the store. Needs Chromium (Debian's package, or the one that $CHROMIUM names), and no network except to
# install the packages that drive it. Takes half a minute; keeps its screenshots in $SCREENSHOTS, if that is set.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

chromium=${CHROMIUM:-$(command -v chromium || true)}
[[ -x $chromium ]] || { echo 'there is no chromium: apt-get install chromium' >&2; exit 1; }
python_with pillow playwright

# A whole market: the size and the speed of the page.
(cd "$repo" && cargo run --quiet --release --locked --example coverage_page -- 10000 20 "$scratch/market.html")

"$python" "$repo/scripts/browser.py" "$chromium" "$grab" "$scratch/market.html" "${SCREENSHOTS:-$scratch/shots}"
