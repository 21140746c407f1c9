"""The work of scale.sh: a manifest of the whole market, and what commands cost on it.

scale.py GRAB ROUNDS
"""

import http.server
import os
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

GRAB, ROUNDS = sys.argv[1], int(sys.argv[2])
SYMBOLS, PARTITIONS = 100_000, 20  # each; two windows a symbol
EMPTY = b'{"ticker":"%s","queryCount":0,"resultsCount":0,"adjusted":false,"results":[],"status":"OK","request_id":"r"}'


def symbol(number: int) -> str:
    """Five letters: AAAAA, BAAAA, …"""
    return "".join(chr(ord("A") + number // 26**place % 26) for place in range(5))


class Service(http.server.ThreadingHTTPServer):
    """Says that there is nothing, and remembers when it was asked first."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.first = None
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802: the name that http.server asks for
        if self.server.first is None:
            self.server.first = time.monotonic()
        body = EMPTY % self.path.split("/")[4].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def run(data_dir: Path, *arguments: str, url: str = "http://127.0.0.1:9") -> tuple[float, float]:
    """Seconds and peak memory in MB of a command, whatever its exit code says of what is pending."""
    env = {**os.environ, "MASSIVE_API_KEY": "any", "MASSIVE_API_BASE_URL": url, "GRAB_RATE": "none"}
    command = [GRAB, *arguments, "--data-dir", data_dir, "--quiet"]
    begun = time.monotonic()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(process.pid, 0)
    seconds, code = time.monotonic() - begun, os.waitstatus_to_exitcode(status)
    if code not in (0, 10):
        sys.exit(f"{arguments} ended with {code}: {process.stderr.read().decode()}")
    return seconds, usage.ru_maxrss / 1024


def planned(data_dir: Path, count: int) -> tuple[float, float]:
    """Plans two windows of so many symbols."""
    tickers = data_dir.with_suffix(".txt")
    tickers.write_text("\n".join(map(symbol, range(count))))
    wanted = ["--windows", "2004-2010,2011-2016", "--tickers-file", str(tickers)]
    return run(data_dir, "start", "--plan-only", *wanted)


def fill(manifest: sqlite3.Connection):
    """One window of each symbol is done, with its partitions; the other is pending."""
    counts = "[" + ",".join(["390"] * 21) + "]"
    months = [f"{2004 + number // 12}-{number % 12 + 1:02}" for number in range(PARTITIONS)]
    rows = (
        (symbol(number), month, 8_190, 1_000, 2_000, 160_000, "0123456789abcdef", 1_048_575 * 2 + 1, counts, 1, 1)
        for number in sorted(range(SYMBOLS), key=symbol)
        for month in months
    )
    manifest.executemany(f"INSERT INTO partitions VALUES ({','.join('?' * 11)})", rows)
    done = "SELECT id FROM tasks WHERE from_date = '2004-01-01'"
    manifest.execute(
        "INSERT INTO pages (task_id, number, run_id, stored_at_ms, status, bars, first_ms, last_ms, bytes)"
        f" SELECT id, 1, 1, 1, 'OK', 163800, 1000, 2000, 3000000 FROM tasks WHERE id IN ({done})"
    )
    manifest.execute(f"UPDATE tasks SET state = 'done', pages = 1, bars = 163800, attempts = 1 WHERE id IN ({done})")
    manifest.execute(
        "INSERT INTO events (at_ms, run_id, task_id, kind, from_state, to_state, reason)"
        f" SELECT 1, 1, id, 'completed', 'running', 'done', 'no next page' FROM tasks WHERE id IN ({done})"
    )
    manifest.commit()


def size(data_dir: Path) -> int:
    return (data_dir / "manifest.sqlite").stat().st_size


def first_request(data_dir: Path) -> float:
    """Seconds from the begin of `resume` to its first request."""
    service = Service()
    begun = time.monotonic()
    run(data_dir, "resume", "--max-requests", "1", url=f"http://127.0.0.1:{service.server_port}")
    return service.first - begun


def memory(data_dir: Path, requests: int) -> float:
    """Peak MB of a resume that asks so often."""
    service = Service()
    return run(data_dir, "resume", "--max-requests", str(requests), url=f"http://127.0.0.1:{service.server_port}")[1]


def said(name: str, values: list[float], unit: str):
    low, middle, high = min(values), statistics.median(values), max(values)
    print(f"{name:<58} {middle:8.2f} {unit:<2}  ({low:.2f} to {high:.2f})", flush=True)


def main():
    small, half, whole = (Path(name).absolute() for name in ("small", "half", "whole"))
    plans = []
    for number in range(ROUNDS):
        plans.append(planned(half.with_suffix(f".{number}"), SYMBOLS // 2))
    said("start --plan-only, 50,000 symbols x 2 windows", [seconds for seconds, _ in plans], "s")
    said("  its peak memory", [mb for _, mb in plans], "MB")
    planned(small, 100)
    planned(whole, SYMBOLS)
    empty = size(whole)
    manifest = sqlite3.connect(whole / "manifest.sqlite")
    fill(manifest)
    manifest.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    manifest.close()
    print(f"200,000 tasks: {empty / 2 / SYMBOLS:.0f} bytes each, with their events")
    grown = size(whole) - empty
    print(f"2,000,000 partitions: {grown / SYMBOLS / PARTITIONS:.0f} bytes each, with the pages and events of their tasks")
    said("status", [run(whole, "status")[0] for _ in range(ROUNDS)], "s")
    said("status --json", [run(whole, "status", "--json")[0] for _ in range(ROUNDS)], "s")
    said("resume, to its first request", [first_request(whole) for _ in range(ROUNDS)], "s")
    said("resume of 500 requests, 100,000 tasks pending: peak memory", [memory(whole, 500) for _ in range(ROUNDS)], "MB")
    said("the same, 200 tasks pending", [memory(small, 100) for _ in range(ROUNDS)], "MB")


main()
