"""Measures grab, the ideal pipeline and Python peers on the same pages, in turn: see bench-peers.sh, which runs it.

Each contender is a process of its own, and its figures are those of wait4: the server's and this script's are not in them.
This script imports nothing large: a child's peak memory would begin with it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import bench_report

PEER = str(Path(__file__).with_name("bench_peer.py"))


@dataclass
class Contender:
    """Who is measured, and on how many tickers. Slow ones may have fewer: grab is run on as many beside them."""

    key: str
    name: str
    tickers: int
    command: list[str]
    is_grab: bool = False


@dataclass
class Run:
    """One process, from its start to its end."""

    bars: int
    wall: float
    cpu: float
    peak_mb: float
    bytes: int

    @property
    def cpu_per_million(self):
        return self.cpu / self.bars * 1e6

    @property
    def millions_per_second(self):
        return self.bars / self.wall / 1e6


class Server:
    """The pages, from memory."""

    def __init__(self, tools, tickers, latency_ms):
        command = [f"{tools}/static_pages", "--tickers", str(tickers), "--latency-ms", str(latency_ms)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.has = json.loads(self.process.stdout.readline())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def tickers(self, count):
        return list(self.has["tickers"])[:count]

    def bars(self, count):
        return sum(list(self.has["tickers"].values())[:count])


def measure(contender, server, out, environment):
    """Runs a contender once in an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    tickers = server.tickers(contender.tickers)
    fill = {"URL": server.has["base_url"], "WINDOW": server.has["window"], "OUT": out, "LIST": ",".join(tickers)}
    command = [fill.get(word, word) for word in contender.command]
    if "TICKERS" in command:
        command[command.index("TICKERS"):] = tickers
    # What earlier ones wrote is not to be waited for by this one.
    os.sync()
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{contender.name} failed ({process.returncode}): {said.decode()[-2000:]}")
    files = sum(file.stat().st_size for file in Path(out).rglob("*.parquet"))
    cpu = usage.ru_utime + usage.ru_stime
    return Run(server.bars(contender.tickers), wall, cpu, usage.ru_maxrss / 1024, files)


def digest(python, out):
    """Rows and sums of what was written: the same for all who had the same tickers."""
    code = (
        "import polars as pl, sys; f = pl.scan_parquet(sys.argv[1] + '/**/*.parquet', hive_partitioning=False);"
        "n = ['open', 'high', 'low', 'close', 'volume', 'vwap', 'transactions'];"
        "s = [(pl.col(c) * 10_000).round().cast(pl.Int64).sum() for c in n];"
        "print(f.select(pl.len(), pl.col('timestamp').dt.epoch('ms').sum(), *s).collect().row(0))"
    )
    return subprocess.run([python, "-c", code, out], check=True, capture_output=True, text=True).stdout.strip()


def grab(program, in_flight, tickers, name=None):
    command = [program, "start", "--base-url", "URL", "--rate", "none", "--progress", "none", "--windows", "WINDOW",
               "--tickers", "LIST", "--concurrency", str(in_flight), "--data-dir", "OUT"]
    if name:
        return Contender(f"grab-of-{tickers}", name, tickers, command, is_grab=True)
    return Contender(f"grab-{in_flight}", f"grab, {in_flight} in flight", tickers, command)


def floor(tools, in_flight, tickers):
    command = [f"{tools}/floor", "URL", "WINDOW", "OUT", str(in_flight), "TICKERS"]
    return Contender("floor", f"the ideal pipeline, {in_flight} in flight", tickers, command)


def peer(kind, name, tickers):
    return Contender(kind, name, tickers, [sys.executable, PEER, kind, "URL", "WINDOW", "OUT", "TICKERS"])


def contenders(options):
    many, some, few = (8, 4, 2) if options.quick else (20, 8, 4)
    return [
        grab(options.grab, 4, many, "grab"),
        floor(options.tools, 4, many),
        grab(options.grab, 4, some, "grab"),
        peer("best-effort", "aiohttp (8) and polars", some),
        peer("polygon-8", "polygon-api-client, 8 threads", some),
        peer("massive-8", "massive, 8 threads", some),
        grab(options.grab, 4, few, "grab"),
        peer("polygon", "polygon-api-client", few),
        peer("massive", "massive", few),
        peer("old-way", "requests, each page rewrites its months", few),
    ]


def chosen(contenders, keys):
    """These, and grab on as many tickers as each of them has."""
    tickers = {contender.tickers for contender in contenders if contender.key in keys}
    return [c for c in contenders if c.key in keys or c.is_grab and c.tickers in tickers]


def in_turn(contenders, server, rounds, options, check=False):
    """A B C A B C …: what disturbs the machine disturbs all."""
    runs = {contender.key: [] for contender in contenders}
    digests = {}
    for number in range(rounds):
        for contender in contenders:
            out = f"{options.scratch}/out"
            run = measure(contender, server, out, options.environment)
            runs[contender.key].append(run)
            print(f"{number + 1}/{rounds}  {contender.name:42} {run.millions_per_second:7.3f} Mbar/s "
                  f"{run.cpu_per_million:7.3f} CPU-s/Mbar {run.peak_mb:7.0f} MB", flush=True)
            if check and number == 0:
                digests.setdefault(contender.tickers, {})[contender.name] = digest(sys.executable, out)
        for by_name in digests.values():
            if len(set(by_name.values())) > 1:
                sys.exit(f"they have not written the same bars: {by_name}")
    return runs


def environment(scratch):
    """What grab and the peers see: no settings of the user's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GRAB_", "POLYGON_"))}
    own = {"XDG_CONFIG_HOME": f"{scratch}/config", "XDG_STATE_HOME": f"{scratch}/state"}
    return {**kept, **own, "MASSIVE_API_KEY": "bench"}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--grab", required=True)
    parser.add_argument("--tools", required=True)
    parser.add_argument("--docs", required=True)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--caller", default=".", help="the folder that a relative --out begins in")
    parser.add_argument("--out", help="where the report goes; docs, unless --quick")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer tickers, for a look")
    parser.add_argument("--only", help="keys of contenders, by commas: floor,best-effort,polygon,…")
    return parser.parse_args()


def main():
    options = arguments()
    options.scratch = os.getcwd()
    options.environment = environment(options.scratch)
    wanted = contenders(options)
    if options.only:
        wanted = chosen(wanted, options.only.split(","))
        if not wanted:
            sys.exit(f"--only {options.only}: there are {', '.join(c.key for c in contenders(options))}")
    crowd = 24 if options.quick else 48
    report = bench_report.Report(options, wanted, load=os.getloadavg())
    with Server(options.tools, crowd, 0) as server:
        report.pages = server.has
        report.runs = in_turn(wanted, server, options.rounds, options, check=True)
        sizes = [grab(options.grab, in_flight, crowd) for in_flight in (4, 8, 16)]
        report.memory = in_turn(sizes, server, options.rounds, options)
    with Server(options.tools, crowd, 200) as server:
        one, many = grab(options.grab, 1, 4), grab(options.grab, 16, crowd)
        report.latency = in_turn([one, many], server, options.rounds, options)
    # A relative place is the caller's, not this one's, which is removed at the end.
    named = options.out and Path(options.caller, options.out)
    out = named or Path(options.scratch if options.quick else options.docs)
    out.mkdir(parents=True, exist_ok=True)
    (out / "benchmarks.md").write_text(report.markdown())
    (out / "benchmarks.svg").write_text(report.chart())
    print(report.summary())


if __name__ == "__main__":
    main()
