#!/usr/bin/env bash
# Run it before a commit: nothing that says "later" goes into the sources. It ends with 1 and the places if it does.
set -euo pipefail
cd "$(dirname "$0")/.."

# \b keeps words such as TODOS or a ticker in longer text out; case matters, as these are written in capitals.
if grep --recursive --line-number --extended-regexp '\b(todo|unimplemented|dbg)!|\b(FIXME|TODO|XXX)\b' src crates tests; then
    echo 'take it out, or do it' >&2
    exit 1
fi
