"""Counts the instructions of the hot stages and holds them against benches/baseline.json: `just bench-check`.

bench-check.py PROGRAM [--renew] [--tolerance PERCENT]

PROGRAM is the bench `counted`. Counts, unlike times, are the same on a busy machine; but they depend on the compiler and, through
what libraries choose at run time, on the processor's instruction set. So the baseline names both. Needs valgrind.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path

BASELINE = Path(__file__).resolve().parent.parent / "benches" / "baseline.json"
STAGES = ["inflate", "parse", "merge", "encode", "encode-compact", "commit"]
ABOUT = (
    "Instructions of each stage as valgrind counts them, made by `just bench-baseline`. They hold for this compiler and "
    "processor family only: renew them when the compiler changes, in a commit of its own."
)


def count(program, stage):
    """Only what happens inside of the function `counted` of benches/counted.rs."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--collect-atstart=no",
               "--toggle-collect=*counted::counted*", program, stage]
    done = subprocess.run(command, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or not found or int(found[1]) < 10_000:
        sys.exit(f"{stage} was not counted:\n{done.stderr[-2000:]}")
    return int(found[1])


def rustc():
    return subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def renew(program):
    stages = {stage: count(program, stage) for stage in STAGES}
    where = {"rustc": rustc(), "machine": platform.machine()}
    BASELINE.write_text(json.dumps({"about": ABOUT, **where, "instructions": stages}, indent=2) + "\n")
    for stage, counted in stages.items():
        print(f"{stage:10} {counted:>14,}")


def check(program, tolerance):
    baseline = json.loads(BASELINE.read_text())
    here = {"rustc": rustc(), "machine": platform.machine()}
    for what, found in here.items():
        if baseline[what] != found:
            sys.exit(f"the baseline was made with {baseline[what]}, this is {found}: nothing can be compared. On a commit that is known "
                     "to be good run `just bench-baseline`, then come back with the change.")
    slower, faster = [], []
    for stage, before in baseline["instructions"].items():
        now = count(program, stage)
        change = 100 * (now / before - 1)
        print(f"{stage:10} {before:>14,} → {now:>14,}  {change:+6.1f} %", flush=True)
        if change > tolerance:
            slower.append(stage)
        elif change < -tolerance:
            faster.append(stage)
    if slower:
        sys.exit(f"more than {tolerance:g} % more instructions than in benches/baseline.json: {', '.join(slower)}. If that is what the change "
                 "is worth, say why in the commit and run `just bench-baseline`.")
    if faster:
        print(f"better than the baseline: {', '.join(faster)}. Run `just bench-baseline`, so that it cannot be lost again.")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--tolerance", type=float, default=3.0)
    options = parser.parse_args()
    if options.renew:
        renew(options.program)
    else:
        check(options.program, options.tolerance)


if __name__ == "__main__":
    main()
