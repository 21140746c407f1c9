"""The work of soak.sh: kills downloads until they are complete all the same, and compares what they leave.

soak.py GRAB BASE_URL KILLS SEED
"""

import contextlib
import os
import random
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import duckdb

GRAB, BASE_URL, KILLS, SEED = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
WANTED = ["--windows", "2024-01..2024-03,2024-05", "--tickers", "AAPL,MSFT,BRK.B,KIMpL"]
WORKERS = 4
LONGEST_LIFE = 0.25  # seconds
ASKED = b"GET /v2/aggs/"

asked = 0


def pump(source: socket.socket, sink: socket.socket, counts: bool):
    """Passes bytes on, and counts the requests among them. A client that is killed breaks it, which is no matter."""
    global asked
    tail = b""
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            if counts:
                tail += chunk
                asked += tail.count(ASKED)
                tail = tail[1 - len(ASKED) :]
            sink.sendall(chunk)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def relay(client: socket.socket):
    """One connection, until either side has gone."""
    server = urlsplit(BASE_URL)
    with client, socket.create_connection((server.hostname, server.port)) as upstream:
        back = threading.Thread(target=pump, args=(upstream, client, False), daemon=True)
        back.start()
        pump(client, upstream, True)
        back.join()


def start_relay() -> str:
    """The address under which the server is reached through the relay."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)

    def serve():
        while True:
            client, _ = listener.accept()
            threading.Thread(target=relay, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def spawn(base_url: str, data_dir: Path, command: str) -> subprocess.Popen:
    """The program, on its way. Its words are kept for the case that it fails."""
    wanted = WANTED if command == "start" else []
    arguments = [GRAB, command, *wanted, "--data-dir", data_dir, "--concurrency", str(WORKERS), "--quiet"]
    env = {**os.environ, "MASSIVE_API_BASE_URL": base_url, "MASSIVE_API_KEY": "any", "GRAB_RATE": "none"}
    return subprocess.Popen(arguments, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def fail(data_dir: Path, reason: str):
    sys.exit(f"seed {SEED}, {data_dir.name}: {reason}")


def is_planned(data_dir: Path) -> bool:
    """Whether there is anything to resume: a start that is killed early leaves nothing, or no task."""
    manifest = data_dir / "manifest.sqlite"
    if not manifest.exists():
        return False
    try:
        return sqlite3.connect(manifest).execute("SELECT count(*) FROM tasks").fetchone()[0] > 0
    except sqlite3.OperationalError:
        return False


def kill_until_complete(base_url: str, data_dir: Path, chance: random.Random, most: int) -> int:
    """Kills the download again and again, at most so often, then lets it end. Answers how often it was killed."""
    kills = 0
    while True:
        command = "resume" if is_planned(data_dir) and chance.random() < 0.8 else "start"
        process = spawn(base_url, data_dir, command)
        try:
            words, _ = process.communicate(timeout=chance.uniform(0, LONGEST_LIFE) if kills < most else 600)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            continue
        if process.returncode != 0:
            fail(data_dir, f"{command} ended with {process.returncode}: {words}")
        return kills


def check(data_dir: Path, undisturbed: Path) -> int:
    """Compares with the undisturbed store, and the manifest with the files. Answers the pages of the manifest."""
    query = "read_parquet('{}/bars_1m/**/*.parquet', hive_partitioning = true)"
    killed, whole = query.format(data_dir), query.format(undisturbed)

    def number(sql: str) -> int:
        ((found,),) = duckdb.sql(sql).fetchall()
        return found

    facts = {
        "lost": number(f"SELECT count(*) FROM (FROM {whole} EXCEPT ALL FROM {killed})"),
        "foreign": number(f"SELECT count(*) FROM (FROM {killed} EXCEPT ALL FROM {whole})"),
    }
    manifest = sqlite3.connect(data_dir / "manifest.sqlite")
    files = [path for path in data_dir.rglob("*") if path.is_file() and not path.name.startswith("manifest.sqlite")]
    facts["litter"] = sum(path.name != "bars.parquet" for path in files)
    (bars, sizes), (task_bars,), (states,), (pages,), (sound,) = (
        manifest.execute(sql).fetchone()
        for sql in (
            "SELECT sum(bars), json_group_array(bytes) FROM partitions",
            "SELECT sum(bars) FROM tasks",
            "SELECT count(*) FROM tasks WHERE state <> 'done'",
            "SELECT count(*) FROM pages",
            "PRAGMA integrity_check",
        )
    )
    facts["not done"] = states
    facts["bars counted twice or not"] = abs(task_bars - bars) + abs(bars - number(f"SELECT count(*) FROM {whole}"))
    recorded = sorted(int(size) for size in sizes.strip("[]").split(","))
    facts["files other than recorded"] = int(recorded != sorted(path.stat().st_size for path in files))
    facts["manifest damaged"] = int(sound != "ok")
    if any(facts.values()):
        fail(data_dir, ", ".join(f"{what}: {count}" for what, count in facts.items() if count))
    return pages


def main():
    global asked
    chance, base_url, begun = random.Random(SEED), start_relay(), time.monotonic()
    undisturbed = Path("undisturbed").absolute()
    kill_until_complete(base_url, undisturbed, chance, 0)
    needed = asked
    check(undisturbed, undisturbed)
    print(f"seed {SEED}; undisturbed: {needed:,} requests", flush=True)
    kills = rounds = again = 0
    while kills < KILLS:
        rounds, asked = rounds + 1, 0
        data_dir = Path(f"round-{rounds}").absolute()
        here = kill_until_complete(base_url, data_dir, chance, KILLS - kills)
        pages = check(data_dir, undisturbed)
        if pages != needed:
            fail(data_dir, f"{pages} pages recorded, {needed} needed")
        if asked - needed > here * WORKERS:
            fail(data_dir, f"{asked - needed} requests asked again after {here} kills")
        kills, again = kills + here, again + asked - needed
        print(f"round {rounds}: {here} kills, {asked - needed} requests asked again, same store", flush=True)
    seconds = time.monotonic() - begun
    print(f"{kills:,} kills in {rounds} rounds: {again:,} of {rounds * needed:,} requests asked again, {seconds:.0f} s")
    print("nothing lost, nothing doubled, no litter")


main()
