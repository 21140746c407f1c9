#!/usr/bin/env bash
# Run it on an idle machine, after a change that is to make grab faster or could make it slower: grab, the ideal pipeline
# (benches/floor.rs), the vendor's own Python clients and other Python bring the same made pages from loopback to disk,
# in turn. It writes docs/benchmarks.md and the chart beside it. `--rounds 1 --quick` looks in two minutes, and writes
# to the folder that --out names. What is measured is the binary that is shipped: `cargo build --profile dist`.
set -euo pipefail

caller=$PWD
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
(cd "$repo" && cargo build --quiet --profile dist --locked --bin grab --example floor --example static_pages)
tools=$(cd "${CARGO_TARGET_DIR:-$repo/target}/dist" && pwd)
commit=$(git -C "$repo" describe --always --dirty 2>/dev/null || echo unknown)
GRAB=${GRAB:-$tools/grab}
# shellcheck source=scripts/prepare.sh
source "$(dirname "${BASH_SOURCE[0]}")/prepare.sh"

python_with aiohttp massive polars polygon-api-client requests tzdata
"$python" "$repo/scripts/bench-peers.py" --grab "$grab" --tools "$tools/examples" --commit "$commit" --docs "$repo/docs" \
    --caller "$caller" "$@"
