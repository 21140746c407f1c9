#!/usr/bin/env bash
# Run it after a change to what update asks for: `scripts/year.sh [EVENINGS]` lets a year of evenings pass, 252 if not told
# else, on a market whose bars settle late, whose source lags and has holes that it fills days later, with one answer in ten
# broken, and kills updates with -9 at random. Every month, and at the end, the store must be bar for bar what the source
# has by then. Needs neither a key nor a network, except to install DuckDB. A year takes three minutes. SEED repeats it.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

python_with duckdb
"$python" "$repo/scripts/year.py" "$grab" "${1:-252}" "${SEED:-$$}"
