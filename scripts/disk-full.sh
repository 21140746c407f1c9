#!/usr/bin/env bash
# Run it as root on Linux after a change to the order of writes: downloads into small file systems in memory that become
# full, makes each larger, resumes, and compares with a download that had room; then one that becomes read-only. Needs
# neither a key nor a network. Takes half a minute.
set -euo pipefail
# shellcheck source=scripts/prepare.sh
source "$(dirname "$0")/prepare.sh"

# A mount must not outlive the script.
trap 'umount "$scratch/small" 2>/dev/null || true; tidy_up' EXIT

wanted=(--sandbox --windows '2024-01..2024-03' --tickers 'AAPL,MSFT,KIMpL' --json --progress none)
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)["'"$1"'"])'; }
facts() { "$grab" status --data-dir "$1" --json | python3 -c 'import json, sys; s = json.load(sys.stdin); print(s["tasks"], s["bars"], s["partitions"], s["bytes"])'; }

"$grab" start "${wanted[@]}" --data-dir undisturbed >/dev/null
expected=$(facts undisturbed)
printf 'with room: %s\n' "$expected"

# tmpfs gives whole pages of 4 KiB: from one in which not even the manifest fits to one in which all does.
full=0
for size in 8 40 64 100 128 160 200 300 400 600 800 1000 1500 2000 2500 3000 4000; do
    mkdir small
    mount -t tmpfs -o "size=${size}k" tmpfs small
    code=0
    "$grab" start "${wanted[@]}" --data-dir small/data >report.json 2>/dev/null || code=$?
    error=$(field error <report.json) hint=$(field hint <report.json)
    printf '%5s KiB: exit %s, %s\n' "$size" "$code" "$error"
    if ((code != 0)); then
        full=$((full + 1))
        ((code == 30)) || { echo 'a full disk is exit 30' >&2; exit 1; }
        [[ $hint == *'grab resume'* ]] || { echo "no advice: $hint" >&2; exit 1; }
    fi
    mount -o remount,size=64m small
    # `start` does what `resume` does, and begins where not even the tasks could be recorded.
    "$grab" start "${wanted[@]}" --data-dir small/data >/dev/null 2>&1
    found=$(facts small/data)
    # A month that was merged in other steps may be a few bytes longer or shorter.
    [[ ${found% *} == "${expected% *}" ]] || { echo "not the same: $found" >&2; exit 1; }
    litter=$(find small -type f ! -name bars.parquet ! -name 'manifest.sqlite*')
    [[ -z $litter ]] || { echo "litter: $litter" >&2; exit 1; }
    umount small
    rmdir small
done
# A snapshot, or another machine's share: what is there is shown and proven where nothing can be written.
mkdir small
mount -t tmpfs -o size=64m tmpfs small
"$grab" start "${wanted[@]}" --data-dir small/data >/dev/null 2>&1
mount -o remount,ro small
[[ $(facts small/data) == "$expected" ]] || { echo 'status: not the same on a read-only file system' >&2; exit 1; }
"$grab" verify --deep --min-coverage 0.95 --data-dir small/data >/dev/null || { echo 'verify: fails on a read-only file system' >&2; exit 1; }
code=0
"$grab" resume --sandbox --data-dir small/data >/dev/null 2>&1 || code=$?
((code == 30)) || { echo "resume on a read-only file system: exit $code" >&2; exit 1; }
umount small
rmdir small

((full > 0)) || { echo 'no disk was full' >&2; exit 1; }
printf 'all the same after %s full disks\n' "$full"
