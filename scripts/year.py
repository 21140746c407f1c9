"""The work of year.sh: evening after evening, an update against a market that has moved on.

year.py GRAB EVENINGS SEED
"""

import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb

GRAB, EVENINGS, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
NEW_YORK = ZoneInfo("America/New_York")
# Busy and thin ones, splits (NVDA, WMT, SOXS), symbols that others had before, one that leaves (PEAK) and one that becomes
# another company's (DOC), both in March 2024.
TICKERS = "AAPL,NVDA,WMT,BRK.B,KIMpL,SOXS,META,DOC,PEAK"
# Small ones that list, leave and change their tickers meanwhile.
ORDERS = ["--type ETF --exchange XNYS", "--type CS --exchange BATS"]
SPLIT = "NVDA,WMT,SOXS"
FIRST = date(2023, 12, 1)
MARKET = [
    *("--seed", str(SEED % 1000), "--settling", "2", "--lag", "45m", "--holes", "0.02"),
    "--reference-defects",
]
FAULTS = ["--faults", "0.1", "--fault-stall", "50ms"]
KILLED = 0.3  # The share of evenings on which the update is killed, once or more.
MISSED = 0.04  # The share of evenings on which there is none.
CHECKED_EVERY = 21  # evenings

chance = random.Random(SEED)


@contextlib.contextmanager
def market(now: datetime, faults: bool):
    """The sandbox as of an instant. Answers its address."""
    env = {**os.environ, "GRAB_NOW": now.astimezone(UTC).isoformat()}
    arguments = [GRAB, "sandbox", "--json", *MARKET, *(FAULTS if faults else [])]
    process = subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield json.loads(process.stdout.readline())["base_url"]
    finally:
        process.terminate()
        process.wait()


def spawn(url: str, now: datetime, data_dir: Path, *arguments: str, patience: str = "2s") -> subprocess.Popen:
    env = {
        **os.environ,
        "GRAB_NOW": now.astimezone(UTC).isoformat(),
        "MASSIVE_API_BASE_URL": url,
        "MASSIVE_API_KEY": "any",
        "GRAB_RATE": "none",
        "GRAB_READ_TIMEOUT": patience,
    }
    command = [GRAB, *arguments, "--data-dir", data_dir, "--json", "--quiet"]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def run(url: str, now: datetime, data_dir: Path, *arguments: str, patience: str = "2s") -> tuple[int, str]:
    process = spawn(url, now, data_dir, *arguments, patience=patience)
    words, _ = process.communicate(timeout=600)
    return process.returncode, words


def fail(now: datetime, reason: str):
    sys.exit(f"seed {SEED}, {now:%Y-%m-%d %H:%M}: {reason}")


def start(url: str, now: datetime, data_dir: Path, windows: str, patience: str):
    """Asks for everything in some windows, first for the lists."""
    commands = [["universe", "sync", "--list-dates"], ["start", "--windows", windows, "--tickers", TICKERS]]
    for order in ORDERS:
        commands.append(["start", "--windows", windows, "--universe", "us-stocks", *order.split()])
    for arguments in commands:
        code, words = run(url, now, data_dir, *arguments, patience=patience)
        if code != 0:
            fail(now, f"{arguments} ended with {code}: {words}")


def update(url: str, now: datetime, data_dir: Path) -> tuple[int, dict]:
    """An evening's update, killed now and then, and then repeated as cron would. Answers how often it was killed, and the
    report of the one that was not."""
    kills = 0
    while chance.random() < KILLED and kills < 5:
        process = spawn(url, now, data_dir, "update")
        try:
            process.communicate(timeout=chance.uniform(0, 0.4))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    code, words = run(url, now, data_dir, "update")
    # 10: the source lags, and most have no bars of the last session yet.
    if code not in (0, 10):
        fail(now, f"update ended with {code}: {words}")
    return kills, json.loads(words.splitlines()[-1])


def check(now: datetime, data_dir: Path, undisturbed: Path) -> int:
    """Compares with what the source has at this instant. Answers the bars."""
    shutil.rmtree(undisturbed, ignore_errors=True)
    with market(now, faults=False) as url:
        start(url, now, undisturbed, f"{FIRST}..{now.date()}", patience="60s")
    adjusted = []
    for folder in (data_dir, undisturbed):
        out = folder.with_suffix(".adjusted")
        shutil.rmtree(out, ignore_errors=True)
        wanted = ["--tickers", SPLIT, "--adjusted", "splits", "--out", str(out)]
        code, words = run("http://127.0.0.1:9", now, folder, "export", *wanted)
        if code != 0:
            fail(now, f"export ended with {code}: {words}")
        adjusted.append(f"read_parquet('{out}/**/*.parquet', filename = false)")
    query = "read_parquet('{}/bars_1m/**/*.parquet', hive_partitioning = true)"
    traded = [query.format(data_dir), query.format(undisturbed)]
    for what, (held, whole) in {"as traded": traded, "adjusted": adjusted}.items():
        lost = duckdb.sql(f"FROM {whole} EXCEPT ALL FROM {held}").fetchall()
        foreign = duckdb.sql(f"FROM {held} EXCEPT ALL FROM {whole}").fetchall()
        if lost or foreign:
            counts = f"{len(lost)} bars lost, {len(foreign)} that the source has not"
            fail(now, f"{what}: {counts}: {(lost + foreign)[:5]}")
    ((bars,),) = duckdb.sql(f"SELECT count(*) FROM {traded[0]}").fetchall()
    return bars


def evenings():
    """Quarter past nine in New York on each weekday after the first month; holidays too, as cron knows none."""
    day = date(2024, 1, 2)
    while True:
        if day.weekday() < 5:
            yield datetime.combine(day, clock(21, 15), NEW_YORK)
        day += timedelta(days=1)


def main():
    held, undisturbed = Path("held").absolute(), Path("undisturbed").absolute()
    begun, kills, missed, passed = time.monotonic(), 0, 0, 0
    asked_for, joined, left = 0, set(), set()
    first = datetime(2023, 12, 29, 21, 15, tzinfo=NEW_YORK)
    with market(first, faults=True) as url:
        start(url, first, held, "2023-12", patience="2s")
    for number, now in zip(range(1, EVENINGS + 1), evenings(), strict=False):
        is_checked = number % CHECKED_EVERY == 0 or number == EVENINGS
        if chance.random() < MISSED and not is_checked:
            missed += 1
            continue
        with market(now, faults=True) as url:
            killed, report = update(url, now, held)
        kills += killed
        asked_for += report["extended"] + report["hole_windows"] + len(report["joined"])
        joined |= {row["ticker"] for row in report["joined"]}
        left |= {row["ticker"] for row in report["left"]}
        passed += 1
        if is_checked:
            bars = check(now, held, undisturbed)
            print(f"{now:%Y-%m-%d}: {bars:,} bars as the source has them", flush=True)
    code, words = run("http://127.0.0.1:9", now, held, "verify", "--deep")
    if code == 12:
        fail(now, f"damage: {words}")
    manifest = sqlite3.connect(held / "manifest.sqlite")
    (requests, retries, revised), (tasks,), (symbols,), (pages,) = (
        manifest.execute(sql).fetchone()
        for sql in (
            "SELECT sum(requests), sum(retries), sum(revised) FROM runs WHERE command = 'update'",
            "SELECT count(*) FROM tasks",
            "SELECT count(DISTINCT ticker) FROM tasks",
            "SELECT count(*) FROM pages",
        )
    )
    size = (held / "manifest.sqlite").stat().st_size
    print(
        f"{passed} evenings, {missed} missed, {kills} kills; {requests:,} requests of runs that were not killed "
        f"({retries:,} retries; windows to ask for were {asked_for:,}), {revised:,} bars revised\n"
        f"{symbols} symbols; joined: {' '.join(sorted(joined))}; left: {' '.join(sorted(left))}\n"
        f"{tasks:,} tasks, {pages:,} pages, manifest {size:,} bytes; {time.monotonic() - begun:.0f} s"
    )


main()
