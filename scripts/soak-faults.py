"""Judges the samples of soak-faults.sh: a table on stdout, and exit 1 if something grows with time."""

import json
import sys
from statistics import median

# What a WAL of SQLite's default checkpoints, every 1,000 pages of 4 KiB, may come to with a page or two on top.
MOST_WAL_MIB = 16
MOST_GROWTH = 1.10
WARM = 180
# Connections come and go, and a file may be open at that moment.
MORE_DESCRIPTORS = 4

with open(sys.argv[1]) as lines:
    rows = [[int(word) for word in line.split()] for line in lines]
with open(sys.argv[2]) as text:
    report = json.load(text)

SECONDS, RSS, DESCRIPTORS, WAL, SANDBOX = range(5)


def until(end: int, column: int, span: int = 60) -> list[int]:
    """What was measured in the minute before a second, or in another span."""
    return [row[column] for row in rows if end - span < row[SECONDS] <= end]


print("minute  grab RSS MiB  descriptors  WAL MiB  sandbox RSS MiB")
last = rows[-1][SECONDS]
for end in [*range(60, last - 59, 60 * max(1, last // 60 // 15)), last]:
    rss, wal, sandbox = (median(until(end, column)) for column in (RSS, WAL, SANDBOX))
    descriptors = max(until(end, DESCRIPTORS))
    print(f"{round(end / 60):6} {rss / 1024:13.1f} {descriptors:12} {wal / 2**20:8.1f} {sandbox / 1024:16.1f}")

# Memory goes up and down with the pages that are under way, so two minutes around the third are compared with the last two.
early, late = (median(until(end, RSS, 120)) for end in (WARM + 60, last))
opened, open_late = (max(until(end, DESCRIPTORS, 120)) for end in (WARM + 60, last))
wal = max(row[WAL] for row in rows) / 2**20
tasks = report["tasks"]
print(f"\n{report['requests']} requests, {report['retries']} of them again, {report['bars']} bars, {tasks['done']} tasks done")
print(f"RSS {late / early - 1:+.1%} since minute 3, descriptors {open_late - opened:+}, WAL at most {wal:.1f} MiB")

complaints = []
if late > early * MOST_GROWTH:
    complaints.append("memory grows")
if open_late > opened + MORE_DESCRIPTORS:
    complaints.append("descriptors grow")
if wal > MOST_WAL_MIB:
    complaints.append("the WAL grows")
complaints += [f"{tasks[state]} tasks {state}" for state in ("failed", "not_found", "not_entitled") if tasks[state]]
if complaints:
    sys.exit("; ".join(complaints))
