#!/usr/bin/env bash
# Run it after a change to the README or to the files that grab writes: it runs every ```python and ```sql block of the
# README beside a small `data` folder of the sandbox. SQL goes to DuckDB and has to find rows. Takes half a minute.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

awk '
    /^```(python|sql)$/ { file = sprintf("snippet-%02d.%s", ++count, $0 ~ /python/ ? "py" : "sql"); next }
    /^```/ { file = ""; next }
    file { print > file }
' "$repo/README.md"
shopt -s nullglob
snippets=(snippet-*)
if ((${#snippets[@]} == 0)); then
    echo 'README.md has neither a ```python nor a ```sql block' >&2
    exit 1
fi

python_with duckdb pandas polars pyarrow tzdata
"$grab" start --sandbox --windows 2024-01 --tickers AAPL,KIMpL --quiet

for snippet in "${snippets[@]}"; do
    printf '\n== %s: %s\n' "$snippet" "$(head -n 1 "$snippet")"
    if [[ $snippet == *.sql ]]; then
        "$python" - "$snippet" <<'PYTHON'
import sys

import duckdb

rows = duckdb.execute(open(sys.argv[1], encoding="utf-8").read()).fetchall()
print(*rows[:5], sep="\n")
sys.exit(None if rows else "no rows")
PYTHON
    else
        "$python" "$snippet"
    fi
done
printf '\n%d snippets ran\n' "${#snippets[@]}"
