#!/usr/bin/env bash
# Run it after a change to the manifest's schema or queries: `scripts/scale.sh [ROUNDS]` measures what planning, status and the
# begin of a resume cost on a manifest of the whole market: 200,000 tasks and 2 million partitions, made up here (no files:
# none of these commands opens one). Needs neither a key nor a network, and 2 GB in a temporary folder.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"
cd "$scratch"
python3 "$repo/scripts/scale.py" "$grab" "${1:-5}"
