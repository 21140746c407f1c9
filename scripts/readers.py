"""Lets programs of many versions read what grab has written.

Usage: readers.py few|all FOLDER, run by readers.sh, which makes the folder. `few` is for each commit and ends with 1 if one
of them cannot read a file as it was written; `all` writes the table of docs/store.md. An engine is installed from PyPI, with
the Python that runs this, into a folder that is removed afterwards.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parent / "docs" / "store.md"
BEGIN, END = "<!-- readers: made by scripts/readers.sh -->", "<!-- /readers -->"

# What was current before numpy 2 and pandas 2 or 3 does not run with them.
OLD = ["numpy<2", "pandas<2.2"]

# Engine, PyPI's name of it, versions from old to new, what else is installed. `newest` is what PyPI has today.
ALL = [
    ("polars", "polars", ["0.20.0", "0.20.31", "1.0.0", "1.20.0", "1.42.1", "newest"], {}),
    ("duckdb", "duckdb", ["0.9.0", "0.10.3", "1.0.0", "1.1.3", "1.2.2", "1.5.6", "newest"], {}),
    ("pyarrow", "pyarrow", ["12.0.0", "14.0.2", "17.0.0", "21.0.0", "newest"], {"12.0.0": OLD, "14.0.2": OLD}),
    ("pandas", "pandas", ["1.5.3", "2.0.3", "2.2.3", "newest"],
     {"1.5.3": ["numpy<2", "pyarrow==12.0.0"], "2.0.3": ["numpy<2", "pyarrow==14.0.2"], "2.2.3": ["pyarrow==17.0.0"],
      "newest": ["pyarrow"]}),
    ("fastparquet", "fastparquet", ["2023.10.1", "2024.2.0", "2025.12.0", "newest"],
     {"2023.10.1": OLD, "2024.2.0": OLD, "2025.12.0": ["pandas<3"]}),
    ("pyspark", "pyspark", ["3.5.0", "3.5.9", "4.0.5", "4.1.4", "4.2.1", "newest"], {}),
    ("datafusion", "datafusion", ["50.0.0", "51.0.0", "52.3.0", "53.0.0", "54.1.0", "newest"], {}),
    ("daft", "getdaft", ["0.4.1", "0.4.18"], {}),
    ("daft", "daft", ["0.5.21", "0.6.14", "newest"], {}),
    ("chdb", "chdb", ["1.4.1", "2.1.1", "3.7.2", "newest"], {}),
]

# The oldest and the newest of each that have wheels for this Python, for each commit. The newest are those of
# constraints.txt, so that a check fails for our changes only. Of Spark it is one of 3.5, and comes first: it takes longest.
FEW = [
    ("pyspark", "pyspark", ["pinned"], {}),
    ("polars", "polars", ["0.20.0", "pinned"], {}),
    ("duckdb", "duckdb", [("0.9.0", "0.9.2", "1.1.3"), "pinned"], {}),
    ("pyarrow", "pyarrow", [("12.0.0", "14.0.2", "18.1.0"), "pinned"], {"12.0.0": ["numpy<2"], "14.0.2": ["numpy<2"]}),
    ("fastparquet", "fastparquet", ["pinned"], {}),
]

# Seconds after which an engine hangs: Spark takes minutes where others use the processor too.
LONGEST = 900

# Probes that every engine has to pass, and those that show what it makes of folders' names and of other forms of files.
NEEDED = ["compatible", "export", "tables", "market", "rewritten", "filter", "named"]
SHOWN = ["store", "compact", "earlier"]

# What is said of an error, which may be long and says nothing to most people.
REASONS = [
    (r"bad data|union has no variant set", "the order of float columns"),
    (r"(?i)byte[_ ]?stream[_ ]?split|Encoding 9\b|Unsupported page encoding", "byte-stream-split"),
    (r"Encoding 5\b|cannot set using a slice indexer|changing to a larger dtype", "delta encoding"),
    (r"Missing columns", "it gives none"),
    (r"unable to append to a DataFrame", "folders of several kinds cannot be joined"),
    (r"ticker is KIM%70L", "`KIM%70L`"),
    (r"parse Hive partition|CANNOT_PARSE_BOOL|read \['(None|False|True)'|not castable|its answers differ", "`TRUE` or `FALSE` is taken for a truth value"),
]


def main(which: str, folder: str) -> None:
    """Runs all, prints each as soon as it is done."""
    cases = [(engine, package, version, besides)
             for engine, package, versions, besides in {"few": FEW, "all": ALL}[which] for version in versions]
    results = []
    # One installs while the other reads.
    with ThreadPoolExecutor(2) as pool:
        for result in pool.map(lambda case: tried(*case, Path(folder)), cases):
            results.append(result)
            print(line(result), flush=True)
    if which == "all":
        write(results)
    wrong = [result for result in results if failures(result)]
    for result in wrong:
        print(f"{result['engine']} {result['version']}:", file=sys.stderr)
        for probe, why in failures(result).items():
            print(f"  {probe}: {why}", file=sys.stderr)
    sys.exit(bool(wrong) and which == "few")


def tried(engine: str, package: str, version, besides: dict, folder: Path) -> dict:
    """The first of some versions that can be installed, and what it reads."""
    for version in version if isinstance(version, tuple) else (version,):
        wanted = {"newest": package, "pinned": package}.get(version, f"{package}=={version}")
        result = {"engine": engine, "package": package, "version": version}
        place = Path(tempfile.mkdtemp(prefix="venv-", dir=folder))
        try:
            why = install(place, [wanted, *besides.get(version, [])], version == "pinned")
            if why is None:
                return {**result, **read(place, engine, package, folder)}
        finally:
            shutil.rmtree(place, ignore_errors=True)
    return {**result, "error": f"not installed: {why}"}


def install(place: Path, packages: list[str], is_pinned: bool) -> str | None:
    """Makes a Python with these packages; answers why it cannot."""
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if is_pinned:
        pip += ["--constraint", HERE / "constraints.txt"]
    # Spark comes as sources, which are jars.
    pip += [] if "pyspark" in packages[0] else ["--only-binary", ":all:"]
    ran = subprocess.run([*pip, *packages], capture_output=True, text=True)
    lines = [text for text in ran.stderr.splitlines() if text.startswith("ERROR")]
    return None if ran.returncode == 0 else (lines or ["pip failed"])[-1]


def read(place: Path, engine: str, package: str, folder: Path) -> dict:
    """What one engine reads, in a process of its own: it may crash."""
    program = [place / "bin" / "python", "-W", "ignore", HERE / "readers_engine.py", engine, package, folder]
    environment = {**os.environ, "TZ": "America/New_York", "PYSPARK_PYTHON": str(place / "bin" / "python")}
    try:
        ran = subprocess.run(program, capture_output=True, text=True, timeout=LONGEST, env=environment)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {LONGEST} s"}
    answers = [text for text in ran.stdout.splitlines() if text.startswith('{"version"')]
    return json.loads(answers[-1]) if answers else {"error": f"ended with {ran.returncode}: {ran.stderr[-300:]}"}


def failures(result: dict) -> dict:
    """What an engine should read and does not."""
    if "error" in result:
        return {"engine": result["error"]}
    return {probe: result[probe] for probe in NEEDED if result[probe] != "ok"}


def line(result: dict) -> str:
    """One result, for whoever looks on."""
    probes = [f"{probe} {'ok' if result.get(probe) == 'ok' else 'NO'}" for probe in (*NEEDED, *SHOWN)]
    return f"{result['engine']:12} {result['version']:10} " + (result.get("error") or ", ".join(probes))


def write(results: list[dict]) -> None:
    """Puts the table into the documentation."""
    rows = ["| program | version | all files | `ticker` by the folders' names | `--parquet compact` | of earlier versions |",
            "| --- | --- | --- | --- | --- | --- |"]
    rows += [f"| {result['engine']} | {result['version']} | {' | '.join(cells(result))} |" for result in results]
    block = "\n".join([BEGIN, *rows, END])
    text = TABLE.read_text(encoding="utf-8")
    TABLE.write_text(re.sub(f"{BEGIN}.*?{END}", lambda _: block, text, flags=re.S), encoding="utf-8")


def cells(result: dict) -> list[str]:
    """What of a result goes into the table."""
    if "error" in result:
        return [result["error"], "", "", ""]
    wrong = {reason(why) for why in failures(result).values()}
    return [f"no: {', '.join(sorted(wrong))}" if wrong else "yes", *(verdict(result[probe]) for probe in SHOWN)]


def verdict(answer: str) -> str:
    """Yes, or why not."""
    return "yes" if answer == "ok" else f"no: {reason(answer)}"


def reason(error: str) -> str:
    """Why something cannot be read, in few words."""
    return next((words for pattern, words in REASONS if re.search(pattern, error)), error[:80])


if __name__ == "__main__":
    main(*sys.argv[1:])
