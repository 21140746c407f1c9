#!/usr/bin/env bash
# Run it to see what a crash costs: a download of made-up bars is killed halfway, resumed, and compared with one that
# nobody disturbed. Needs neither a key nor a network, except to install DuckDB. Takes 20 seconds.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

say() { if [[ -t 1 ]]; then printf '\n\e[1m%s\e[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
show() { printf '$ %s\n' "$*"; }
field() { "$python" -c 'import json, sys; print(json.load(sys.stdin)["tasks"]["'"$1"'"])'; }

python_with duckdb
wanted=(--sandbox --windows '2023,2024' --tickers 'AAPL,MSFT,BRK.B,NVDA')
at=(--data-dir sandbox-data)

say 'Two years of four tickers, slowed down to five requests a second'
show "grab start ${wanted[*]} \\"
echo '    --rate 5/s --concurrency 2 &'
"$grab" start "${wanted[@]}" --rate 5/s --concurrency 2 --progress none >/dev/null &
downloader=$!
for _ in {1..300}; do
    # Before the first moment there is no manifest to ask: then the report is one of a failure, and nothing is done.
    done_tasks=$("$grab" status "${at[@]}" --json 2>/dev/null | field done || true)
    ((${done_tasks:-0} >= 3)) && break
    kill -0 "$downloader" || exit 1
    sleep 0.1
done

say 'Three of eight tasks are done, others are halfway: pull the plug'
show 'kill -9'
kill -9 "$downloader"
wait "$downloader" 2>/dev/null || true
show "grab status ${at[*]} --tickers"
"$grab" status "${at[@]}" --tickers
if [[ $("$grab" status "${at[@]}" --json | field done) == 8 ]]; then
    echo 'the download was over before it could be killed' >&2
    exit 1
fi

say 'Go on where it stopped'
show "grab resume ${at[*]}"
"$grab" resume "${at[@]}" --progress none
show "grab status ${at[*]}"
"$grab" status "${at[@]}"

say 'The same without a crash, into another folder'
show "grab start ${wanted[*]} \\"
echo '    --data-dir undisturbed'
"$grab" start "${wanted[@]}" --data-dir undisturbed --progress none

say 'What is held, and whether anything is lost or doubled'
"$grab" status "${at[@]}" --json >status.json
"$python" "$repo/scripts/demo.py"
