"""Reads with one engine what grab has written, and compares every value.

Usage: readers_engine.py ENGINE PACKAGE FOLDER, run by readers.py with the Python in which the engine is installed. FOLDER
has what readers.sh makes. Prints one line of JSON: for each probe `ok`, or what went wrong. No probe ends the others.
"""

import importlib.metadata
import json
import struct
import sys
from datetime import date, datetime, timezone
from pathlib import Path
from urllib.parse import unquote

BARS = ["timestamp", "open", "high", "low", "close", "volume", "vwap", "transactions"]
MARKET = ["ticker", *BARS[1:]]
TABLES = {
    "tickers": ["ticker", "name", "type", "exchange", "active", "listed", "delisted", "composite_figi",
                "share_class_figi", "cik", "updated", "sector", "industry"],
    "splits": ["ticker", "execution_date", "split_from", "split_to", "adjustment_type", "id", "status"],
    "renames": ["composite_figi", "cik", "name", "ticker", "date", "asked_as", "status"],
}
# A price that no rounded statistic would let through, and how the bars with it are found.
HIGHEST = 1.7976931348623157e308


class Wrong(Exception):
    """What was read is not what was written."""


class Engine:
    """An engine; each method answers rows as lists of plain values, floats and all."""

    # Whether nulls come as NaN.
    nan_is_null = False

    def __init__(self):
        # What a user has to know besides.
        self.notes = set()

    def file(self, path: str, columns: list[str]) -> list[list]:
        """The columns of one file."""
        raise NotImplementedError

    def store(self, root: str) -> list[list]:
        """All bars of a store, by its Hive partitions: ticker, year, month, then the columns."""
        raise NotImplementedError

    def named(self, root: str) -> list[list]:
        """The same in the way of docs/store.md, where the engine does not make symbols of the names of folders."""
        return [[unquote(str(row[0])), *row[1:]] for row in self.store(root)]

    def highest(self, root: str) -> int:
        """How many bars have the highest high, found by a filter that statistics may serve."""
        raise NotImplementedError


def one_by_one(engine: Engine, root: str) -> list[list]:
    """All bars of a store, each file by itself: what any program can do."""
    rows = []
    for path in Path(root).rglob("*.parquet"):
        ticker, year, month = (unquote(part.split("=")[1]) for part in path.parts[-4:-1])
        rows += [[ticker, year, month, *row] for row in engine.file(str(path), BARS)]
    return rows


class Polars(Engine):
    def __init__(self):
        super().__init__()
        import polars

        self.pl = polars

    def file(self, path, columns):
        # Not by its path: a folder is no column here.
        frame = self.pl.read_parquet(path, hive_partitioning=False)
        return rows_of([frame[name].to_list() for name in columns])

    def lazy(self, root):
        # As in the README: who guesses the types takes a directory of `ticker=TRUE` for a truth value.
        types = {"ticker": self.pl.Utf8, "year": self.pl.Int16, "month": self.pl.Int8}
        try:
            return self.pl.scan_parquet(f"{root}/**/*.parquet", hive_partitioning=True, hive_schema=types)
        except TypeError:
            return self.pl.scan_parquet(f"{root}/**/*.parquet", hive_partitioning=True)

    def store(self, root):
        frame = self.lazy(root).collect()
        require(str(frame.schema["timestamp"]).replace('"', "'") in ("Datetime(time_unit='ms', time_zone='UTC')",),
                f"the type of timestamp is {frame.schema['timestamp']}")
        return rows_of([frame[name].to_list() for name in ["ticker", "year", "month", *BARS]])

    def named(self, root):
        return one_by_one(self, root) if self.pl.__version__.startswith("0.") else super().named(root)

    def highest(self, root):
        if self.pl.__version__.startswith("0."):
            paths = Path(root).rglob("*.parquet")
            frames = (self.pl.scan_parquet(path, hive_partitioning=False) for path in paths)
            return sum(frame.filter(self.pl.col("high") >= HIGHEST).collect().height for frame in frames)
        return self.lazy(root).filter(self.pl.col("high") >= HIGHEST).collect().height


class DuckDB(Engine):
    def __init__(self):
        super().__init__()
        import duckdb

        self.sql = duckdb.connect()
        self.sql.execute("SET TimeZone = 'America/New_York'")

    def file(self, path, columns):
        return self.rows(f"SELECT {', '.join(map(in_ms, columns))} FROM read_parquet('{path}', hive_partitioning = false)")

    def rows(self, query):
        return [list(row) for row in self.sql.execute(query).fetchall()]

    def source(self, root):
        types = "hive_types = {'ticker': VARCHAR, 'year': SMALLINT, 'month': TINYINT}"
        return f"read_parquet('{root}/**/*.parquet', hive_partitioning = true, {types})"

    def store(self, root):
        (kind,) = self.sql.execute(f"SELECT typeof(timestamp) FROM {self.source(root)} LIMIT 1").fetchone()
        require(kind == "TIMESTAMP WITH TIME ZONE", f"the type of timestamp is {kind}")
        return self.selected("ticker", root)

    def selected(self, ticker, root):
        columns = ", ".join([ticker, "year", "month", *map(in_ms, BARS)])
        return self.rows(f"SELECT {columns} FROM {self.source(root)}")

    def named(self, root):
        return self.selected("replace(ticker, '%70', 'p') AS ticker", root)

    def highest(self, root):
        return self.rows(f"SELECT count(*) FROM {self.source(root)} WHERE high >= {HIGHEST!r}")[0][0]


class PyArrow(Engine):
    def __init__(self):
        super().__init__()
        import pyarrow.dataset
        import pyarrow.parquet

        self.pa = pyarrow

    def file(self, path, columns):
        table = self.pa.parquet.ParquetFile(path).read()
        return rows_of([self.values(table[name]) for name in columns])

    def values(self, column):
        if self.pa.types.is_timestamp(column.type):
            require(str(column.type) == "timestamp[ms, tz=UTC]", f"an instant is {column.type}")
            column = column.cast(self.pa.int64())
        return column.to_pylist()

    def dataset(self, root):
        return self.pa.dataset.dataset(root, partitioning="hive")

    def store(self, root):
        table = self.dataset(root).to_table()
        return rows_of([self.values(table[name]) for name in ["ticker", "year", "month", *BARS]])

    def highest(self, root):
        return self.dataset(root).to_table(filter=self.pa.dataset.field("high") >= HIGHEST).num_rows


class Pandas(Engine):
    nan_is_null = True

    def __init__(self, engine="pyarrow"):
        super().__init__()
        import pandas

        self.pd, self.engine = pandas, engine

    def file(self, path, columns):
        # Not by its path: fastparquet would take the folders above for columns.
        with open(path, "rb") as file:
            frame = self.pd.read_parquet(file, engine=self.engine)
        return self.rows(frame, columns)

    def rows(self, frame, columns):
        return rows_of([self.values(frame[name]) for name in columns])

    def values(self, column):
        is_instant = self.pd.api.types.is_datetime64_any_dtype(column) and column.name == "timestamp"
        if is_instant and getattr(column.dtype, "tz", None) is None:
            self.notes.add("instants are UTC, without a zone")
            column = column.dt.tz_localize("UTC")
        return column.tolist()

    def store(self, root):
        frame = self.pd.read_parquet(root, engine=self.engine)
        return self.rows(frame, ["ticker", "year", "month", *BARS])

    def highest(self, root):
        return len(self.pd.read_parquet(root, engine=self.engine, filters=[("high", ">=", HIGHEST)]))


class FastParquet(Pandas):
    def __init__(self):
        super().__init__("fastparquet")

    def store(self, root):
        import fastparquet

        paths = sorted(str(path) for path in Path(root).rglob("*.parquet"))
        frame = fastparquet.ParquetFile(paths, root=root).to_pandas()
        return self.rows(frame, ["ticker", "year", "month", *BARS])

    def highest(self, root):
        import fastparquet

        paths = sorted(str(path) for path in Path(root).rglob("*.parquet"))
        filters = [("high", ">=", HIGHEST)]
        return len(fastparquet.ParquetFile(paths, root=root).to_pandas(filters=filters, row_filter=True))


class PySpark(Engine):
    def __init__(self):
        super().__init__()
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
        builder = builder.config("spark.sql.session.timeZone", "America/New_York")
        builder = builder.config("spark.sql.shuffle.partitions", "2").config("spark.driver.host", "127.0.0.1")
        self.spark = builder.config("spark.driver.bindAddress", "127.0.0.1").getOrCreate()
        self.spark.sparkContext.setLogLevel("OFF")

    def select(self, frame, columns):
        instants = {name for name, kind in frame.dtypes if kind == "timestamp"}
        query = [f"unix_millis({name}) AS {name}" if name in instants else f"`{name}`" for name in columns]
        return [list(row) for row in frame.selectExpr(*query).collect()]

    def file(self, path, columns):
        return self.select(self.spark.read.parquet(path), columns)

    def store(self, root):
        frame = self.spark.read.parquet(root)
        require(dict(frame.dtypes)["timestamp"] == "timestamp", f"the columns are {frame.dtypes}")
        return self.select(frame, ["ticker", "year", "month", *BARS])

    def highest(self, root):
        return self.spark.read.parquet(root).filter(f"high >= {HIGHEST!r}D").count()


class DataFusion(Engine):
    def __init__(self):
        super().__init__()
        import datafusion
        import pyarrow

        self.pa, self.context = pyarrow, datafusion.SessionContext()

    def rows(self, frame, columns):
        table = self.pa.Table.from_batches(frame.collect(), schema=frame.schema())
        return rows_of([PyArrow.values(self, plain(table[name])) for name in columns])

    def file(self, path, columns):
        return self.rows(self.context.read_parquet(path), columns)

    def frame(self, root):
        text = self.pa.string()
        return self.context.read_parquet(root, table_partition_cols=[("ticker", text), ("year", text), ("month", text)])

    def store(self, root):
        return self.rows(self.frame(root), ["ticker", "year", "month", *BARS])

    def named(self, root):
        from datafusion import col, functions, lit

        decoded = functions.replace(col("ticker"), lit("%70"), lit("p"))
        return self.rows(self.frame(root).with_column("ticker", decoded), ["ticker", "year", "month", *BARS])

    def highest(self, root):
        from datafusion import col, lit

        return self.frame(root).filter(col("high") >= lit(HIGHEST)).count()


class Daft(Engine):
    def __init__(self):
        super().__init__()
        import daft

        self.daft = daft

    def rows(self, frame, columns):
        table = frame.to_arrow()
        return rows_of([table[name].to_pylist() for name in columns])

    def file(self, path, columns):
        return self.rows(self.daft.read_parquet(path), columns)

    def frame(self, root):
        return self.daft.read_parquet(f"{root}/**/*.parquet", hive_partitioning=True)

    def store(self, root):
        # It takes the types from one folder, any one: its answer is not always the same.
        answers = [self.rows(self.frame(root), ["ticker", "year", "month", *BARS]) for _ in range(6)]
        require(len({tuple(sorted(map(str, rows))) for rows in answers}) == 1, "its answers differ")
        return answers[0]

    def named(self, root):
        frame = self.daft.read_parquet(f"{root}/**/*.parquet", file_path_column="path")
        paths, *columns = zip(*self.rows(frame, ["path", *BARS]))
        parts = [[unquote(part.split("=")[1]) for part in path.split("/")[-4:-1]] for path in paths]
        return [[*part, *row] for part, row in zip(parts, zip(*columns))]

    def highest(self, root):
        return self.daft.read_parquet(f"{root}/**/*.parquet").where(self.daft.col("high") >= HIGHEST).count_rows()


class ClickHouse(Engine):
    def __init__(self):
        super().__init__()
        import chdb

        self.chdb = chdb
        known = str(chdb.query("SELECT name FROM system.settings WHERE name = 'use_hive_partitioning'", "CSV"))
        self.hive = "use_hive_partitioning = 1, " if known.strip() else ""

    def rows(self, query, hive=""):
        settings = f"{hive}output_format_json_quote_64bit_integers = 0"
        answer = self.chdb.query(f"{query} SETTINGS {settings}", "JSONCompactEachRow")
        return [json.loads(line) for line in str(answer).splitlines() if line]

    def file(self, path, columns):
        return self.read(f"file('{path}', Parquet)", columns)

    def read(self, source, columns, hive="", before=()):
        kinds = dict(row[:2] for row in self.rows(f"DESCRIBE TABLE {source}", hive))

        def part(name):
            # Floats as their bits: as text, the largest one is infinite for some versions.
            if "Float64" in kinds.get(name, ""):
                return f"if(isNull({name}), NULL, hex(reinterpretAsUInt64(assumeNotNull({name})))) AS {name}"
            return f"toUnixTimestamp64Milli({name}) AS {name}" if "DateTime64" in kinds.get(name, "") else name

        query = f"SELECT {', '.join([*before, *map(part, columns)])} FROM {source}"
        floats = [at for at, name in enumerate(columns, len(before)) if "Float64" in kinds.get(name, "")]
        rows = self.rows(query, hive)
        for row in rows:
            for at in floats:
                row[at] = row[at] and struct.unpack(">d", bytes.fromhex(row[at].rjust(16, "0")))[0]
        return rows

    def store(self, root):
        return self.read(f"file('{root}/**/*.parquet', Parquet)", ["ticker", "year", "month", *BARS], self.hive)

    def named(self, root):
        parts = ("decodeURLComponent(extract(_path, 'ticker=([^/]+)')) AS symbol",
                 "extract(_path, 'year=([0-9]+)') AS y", "extract(_path, 'month=([0-9]+)') AS m")
        hive = self.hive.replace("1", "0")
        return self.read(f"file('{root}/**/*.parquet', Parquet)", BARS, hive, parts)

    def highest(self, root):
        source = f"file('{root}/**/*.parquet', Parquet)"
        return int(self.rows(f"SELECT count() FROM {source} WHERE high >= {HIGHEST!r}")[0][0])


ENGINES = {
    "polars": Polars, "duckdb": DuckDB, "pyarrow": PyArrow, "pandas": Pandas, "fastparquet": FastParquet,
    "pyspark": PySpark, "datafusion": DataFusion, "daft": Daft, "chdb": ClickHouse,
}


def in_ms(name):
    return f"epoch_ms({name}) AS {name}" if name == "timestamp" else name


def plain(column):
    """Without a dictionary, as which some engines give partition columns."""
    return column.cast(column.type.value_type) if hasattr(column.type, "value_type") else column


def rows_of(columns):
    return [list(row) for row in zip(*columns)]


def require(holds, otherwise):
    if not holds:
        raise Wrong(otherwise)


def normal(value, nan_is_null):
    """A value as the truth has it: instants in UTC ms, days as text, whole floats of counts as they are."""
    if value is None or str(value) in ("NaT", "<NA>"):
        return None
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and value != value:
        return None if nan_is_null else value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, datetime):
        if value.tzinfo is None and (value.hour, value.minute) == (0, 0):
            return value.date().isoformat()
        require(value.tzinfo is not None, "an instant has no zone")
        return round(value.astimezone(timezone.utc).timestamp() * 1000)
    if isinstance(value, date):
        return value.isoformat()
    return value


def compare(what, found, expected, nan_is_null=False):
    """Every value of every row, in any order of the rows."""
    found = [[normal(value, nan_is_null) for value in row] for row in found]
    order = lambda row: [(value is not None, type(value).__name__ if isinstance(value, str) else "", value) for value in row]
    found, expected = sorted(found, key=order), sorted(expected, key=order)
    require(len(found) == len(expected), f"{what}: {len(found)} rows, not {len(expected)}")
    for one, other in zip(found, expected):
        require(one == other, f"{what}: read {one}, written {other}")


def month_of(timestamp):
    # All bars are hours away from the ends of months.
    at = datetime.fromtimestamp(timestamp / 1000, timezone.utc)
    return at.year, at.month


def probes(engine, folder):
    """Each probe by name; it raises if something is wrong."""
    truth = json.loads(Path(folder, "truth.json").read_text(encoding="utf-8"))
    every = [[ticker, *month_of(row[0]), *row] for ticker, rows in truth["bars"].items() for row in rows]
    nan = engine.nan_is_null

    def files(store, truth):
        for path in sorted(Path(store, "bars_1m").rglob("*.parquet")):
            ticker, month = unquote(path.parts[-4].split("=")[1]), int(path.parts[-2].split("=")[1])
            expected = [row for row in truth["bars"][ticker] if month_of(row[0])[1] == month]
            yield path, engine.file(str(path), BARS), expected

    def compatible():
        for what in files(f"{folder}/compatible", truth):
            compare(*what, nan)

    def by_folders(read):
        found = read(f"{folder}/compatible/bars_1m")
        return [[str(row[0]), int(row[1]), int(row[2]), *row[3:]] for row in found]

    def store():
        found = by_folders(engine.store)
        compare("store", [[unquote(row[0]), *row[1:]] for row in found], every, nan)
        undecoded = {row[0] for row in found if "%" in row[0]}
        require(not undecoded, f"ticker is {' '.join(sorted(undecoded))}")

    def named():
        compare("named", by_folders(engine.named), every, nan)

    def filtered():
        found, expected = engine.highest(f"{folder}/compatible/bars_1m"), sum(row[5] >= HIGHEST for row in every)
        require(found == expected, f"a filter finds {found} bars, not {expected}")

    def exported():
        for ticker, name in (("A", "A"), ("KIMpL", "KIM%70L")):
            compare("export", engine.file(f"{folder}/export/{name}.parquet", BARS), truth["bars"][ticker], nan)

    def tables():
        for name, columns in TABLES.items():
            compare(name, engine.file(f"{folder}/compatible/reference/{name}.parquet", columns), truth[name], nan)

    def market():
        path = f"{folder}/compatible/reference/grouped_daily/date=2024-01-25/market.parquet"
        compare("market", engine.file(path, MARKET), truth["market"], nan)

    def compact():
        for what in files(f"{folder}/compact", truth):
            compare(*what, nan)

    def rewritten():
        """What an earlier version wrote, written anew."""
        truth = json.loads(Path(folder, "earlier.json").read_text(encoding="utf-8"))
        for path, found, expected in files(f"{folder}/rewritten", truth):
            # One of them was cut.
            compare(path, found, expected[:len(found)] if "ticker=A" in path.parts else expected, nan)

    def earlier():
        """The same as it was."""
        for path in sorted(Path(folder, "earlier", "bars_1m").rglob("*.parquet")):
            engine.file(str(path), BARS)

    return {"compatible": compatible, "store": store, "named": named, "filter": filtered, "export": exported, "tables": tables,
            "market": market, "rewritten": rewritten, "compact": compact, "earlier": earlier}


def main(name, package, folder):
    answer = {"version": importlib.metadata.version(package), "python": sys.version.split()[0]}
    try:
        engine = ENGINES[name]()
    except BaseException as error:
        print(json.dumps({**answer, "error": shown(error)}))
        return
    for probe, run in probes(engine, folder).items():
        try:
            run()
            answer[probe] = "ok"
        except BaseException as error:
            answer[probe] = shown(error)
    answer["notes"] = sorted(engine.notes)
    print(json.dumps(answer), flush=True)


def shown(error):
    text = f"{type(error).__name__}: {error}" if not isinstance(error, Wrong) else str(error)
    # Spark says why at the end of many lines.
    return " ".join(text.split())[:20_000]


if __name__ == "__main__":
    main(*sys.argv[1:])
