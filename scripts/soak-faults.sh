#!/usr/bin/env bash
# Run it before a release, or after a change to what lives as long as a run: grab downloads from a sandbox that breaks
# three answers in ten, as fast as it can, for half an hour or the minutes of the first argument (six at least). It
# fails if memory, open descriptors or the manifest's WAL grow with time, or if a fault costs a task its bars. Needs
# Python, and neither a key nor a network.
#   SEED=8 scripts/soak-faults.sh 30
set -euo pipefail
minutes=${1:-30}
((minutes >= 6)) || { echo 'six minutes at least: after three it is warm' >&2; exit 2; }
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

# A fixed day, so that every soak has the same work.
export GRAB_NOW=2026-06-30T12:00:00Z

# All but 429: after a few of those grab would be slow for the rest of the time, and this is about speed.
kinds=server-error,timeout,bad-request,html,doubled,doubled-unequal,unsorted,outside,wrong-ticker,wrong-adjusted
kinds+=,wrong-count,empty-page,repeated-next,foreign-next,reset,reset-in-body,early-end,stall,stall-in-body,truncated
kinds+=,wrong-length
"$grab" sandbox --json --faults 0.3 --seed "${SEED:-7}" --fault-kinds "$kinds" --fault-stall 1s --page-cap 120 \
    >sandbox.json 2>sandbox.log &
sandbox=$!
for _ in {1..100}; do
    [[ -s sandbox.json ]] && break
    kill -0 "$sandbox" || { cat sandbox.log >&2; exit 1; }
    sleep 0.1
done
base_url=$(python3 -c 'import json; print(json.load(open("sandbox.json"))["base_url"])')

# More than half an hour of work: 10,000 tasks of about 110 pages. The months are shuffled, always in the same way: later
# years have more bars, and what is held grows with the bars of a month.
windows=$(printf '%s\n' {2004..2025}-{01..12} | shuf --random-source=<(yes) | paste -sd,)
tickers=A,AAPL,AMZN,BAC,BRK.B,C,DIA,F,GE,GOOGL,IBM,IWM,JNJ,JPM,KO,MSFT,NVDA,ON,QQQ,SPY,T,TSLA,FB,META,TQQQ,SQQQ,SOXS
tickers+=,BABA,ATVI,BBBY,SIVB,ABNB,ARM,GOOG,SNOW,RIVN,RDDT,NAN,KIMpL,BRK.A
MASSIVE_API_KEY=soak "$grab" start --json --base-url "$base_url" --rate none --concurrency 16 --progress none \
    --max-duration "${minutes}m" --windows "$windows" --tickers "$tickers" >report.json 2>grab.log &
downloader=$!

# Every five seconds: seconds, RSS (kB), descriptors, WAL (bytes), the sandbox's RSS (kB).
resident() { sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$1/status"; }
begun=$SECONDS
while kill -0 "$downloader" 2>/dev/null; do
    sample="$((SECONDS - begun)) $(resident "$downloader") $(find "/proc/$downloader/fd" -type l 2>/dev/null | wc -l)"
    sample+=" $(stat -c %s data/manifest.sqlite-wal 2>/dev/null || echo 0) $(resident "$sandbox")"
    # While it ends there is nothing to be read.
    [[ $(wc -w <<<"$sample") == 5 ]] && echo "$sample" >>samples
    sleep 5
done
code=0
wait "$downloader" || code=$?
if [[ $code != 10 ]]; then
    echo "exit $code, where the end of its time (10) was expected" >&2
    cat report.json grab.log >&2
    exit 1
fi
python3 "$repo/scripts/soak-faults.py" samples report.json
