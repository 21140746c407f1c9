"""Compares what grab has stored with what the vendor's own clients read from the same server.

Usage: conformance.py BASE_URL DATA_DIR, with `massive`, `polygon-api-client` and `duckdb` installed. Ends with 1 at the
first difference. The clients drop the rest of a traversal without a word when a page is odd, so all comparisons are of
whole lists.
"""

import sys
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import massive
import polygon

TICKERS = ["AAPL", "NVDA", "BRK.B", "KIMpL", "NAN", "BBBY"]
WINDOWS = [
    ("2023-05-01", "2023-05-31"),
    ("2024-06-01", "2024-06-30"),
    ("2024-11-01", "2024-11-30"),
    ("2026-02-09", "2026-03-20"),
]
PAGE_CAP = 5_000

# A session in summer time, one in winter time, a half day, and the first one with fractional volumes; each with the
# New York time at which its regular hours end.
SESSIONS = {"2024-06-10": (16, 0), "2024-11-04": (16, 0), "2024-11-29": (13, 0), "2026-02-23": (16, 0)}
CLOSED_DAYS = ["2024-11-28", "2024-11-30"]

COLUMNS = ["timestamp", "open", "high", "low", "close", "volume", "vwap", "transactions"]
NEW_YORK = ZoneInfo("America/New_York")


def main(base_url: str, data_dir: str) -> None:
    """Runs all comparisons with both clients."""
    stored = stored_bars(data_dir)
    require(any(bar["volume"] % 1 for bar in stored["AAPL"]), "there are no fractional volumes to compare")
    for package in (polygon, massive):
        client = package.RESTClient("conformance", base=base_url)
        print(f"{package.__name__}:")
        compare_bars(client, stored)
        compare_tickers(client, stored)
        compare_grouped_days(client, stored)
    print("no difference")


def stored_bars(data_dir: str) -> dict[str, list[dict]]:
    """The bars that grab has stored, by ticker, in the order of time, `timestamp` in UTC ms."""
    bars = {ticker: [] for ticker in TICKERS}
    rows = duckdb.sql(f"""
        SELECT ticker, epoch_ms(timestamp), {", ".join(COLUMNS[1:])}
        FROM read_parquet('{data_dir}/bars_1m/**/*.parquet', hive_partitioning = true)
        ORDER BY ticker, timestamp
    """).fetchall()
    for ticker, *row in rows:
        bars[ticker].append(dict(zip(COLUMNS, row)))
    return bars


def compare_bars(client, stored: dict[str, list[dict]]) -> None:
    """Every bar of every window, column by column, to the last bit."""
    compared = pages = 0
    for ticker in TICKERS:
        served = []
        for first, last in WINDOWS:
            bars = client.list_aggs(ticker, 1, "minute", first, last, adjusted=False, limit=50_000)
            window = [{column: getattr(bar, column) for column in COLUMNS} for bar in bars]
            pages += max(1, -(-len(window) // PAGE_CAP))
            served += window
        require_equal(f"bars of {ticker}", served, stored[ticker])
        compared += len(served)
    require(pages > 2 * len(TICKERS) * len(WINDOWS), "hardly a traversal has more than one page")
    print(f"  {compared:,} bars on {pages} pages equal those that grab stored, in all {len(COLUMNS)} columns")


def compare_tickers(client, stored: dict[str, list[dict]]) -> None:
    """Lists in small pages against the same in one page; sorted, no company twice, none both active and not."""
    lists = {}
    for active in (True, False):
        def read(limit):
            return list(client.list_tickers(market="stocks", active=active, limit=limit, sort="ticker", order="asc"))

        in_pages, at_once = read(7), read(1_000)
        require_equal(f"tickers with active={active}", in_pages, at_once)
        names = [(row.ticker, row.name) for row in in_pages]
        require(names == sorted(set(names)), f"tickers with active={active} are not sorted or not unique")
        require(all(row.active is active for row in in_pages), f"active={active} has others too")
        require(all((row.delisted_utc is None) is active for row in in_pages), "delisted_utc and active contradict")
        lists[active] = names
    require(not set(lists[True]) & set(lists[False]), "somebody is both active and not")
    tickers = {active: {ticker for ticker, _ in names} for active, names in lists.items()}
    require(len(lists[True]) == len(tickers[True]), "an active ticker is listed twice")
    traded = {ticker for ticker, bars in stored.items() if bars}
    require(traded - {"BBBY"} <= tickers[True] and "BBBY" in tickers[False], "somebody with bars is not listed")
    print(f"  {len(lists[True])} active and {len(lists[False])} delisted tickers in pages of 7, unique and sorted")


def compare_grouped_days(client, stored: dict[str, list[dict]]) -> None:
    """Grouped days against what follows from the minutes that grab stored. Closed days have none."""
    compared = 0
    for date, close in SESSIONS.items():
        rows = client.get_grouped_daily_aggs(date, adjusted=False)
        served = {row.ticker: row for row in rows}
        require(len(served) == len(rows), f"{date}: a ticker is there twice")
        for ticker in TICKERS:
            expected = day_of(stored[ticker], date, close)
            row = served.get(ticker)
            found = row and {key: getattr(row, key) for key in expected or COLUMNS}
            require_equal(f"{ticker} on {date}", found, expected)
            compared += expected is not None
            if row:
                # A sum of floats, rounded to four decimals: the last of them may differ.
                off = abs(row.vwap - vwap_of(stored[ticker], date))
                require(off <= 0.000_1, f"{ticker} on {date}: the vwap {row.vwap} is off by {off}")
    for date in CLOSED_DAYS:
        require_equal(f"the market on {date}", client.get_grouped_daily_aggs(date, adjusted=False), [])
    print(f"  {compared} grouped days follow from the minutes; {len(CLOSED_DAYS)} closed days have none")


def minutes_of(bars: list[dict], date: str) -> list[tuple[tuple[int, int], dict]]:
    """The bars of a New York day, each with its hour and minute there."""
    local = ((datetime.fromtimestamp(bar["timestamp"] / 1000, NEW_YORK), bar) for bar in bars)
    return [((time.hour, time.minute), bar) for time, bar in local if time.date().isoformat() == date]


def day_of(bars: list[dict], date: str, close: tuple[int, int]) -> dict | None:
    """The day that minutes make: prices of regular hours if there are any, volume of all hours, stamped 16:00."""
    minutes = minutes_of(bars, date)
    if not minutes:
        return None
    everything = [bar for _, bar in minutes]
    priced = [bar for time, bar in minutes if (9, 30) <= time < close] or everything
    return {
        "timestamp": int(datetime.fromisoformat(f"{date}T16:00").replace(tzinfo=NEW_YORK).timestamp() * 1000),
        "open": priced[0]["open"],
        "high": max(bar["high"] for bar in priced),
        "low": min(bar["low"] for bar in priced),
        "close": priced[-1]["close"],
        # The sum of the decimals, which a sum of floats would miss by its tail.
        "volume": float(sum(Decimal(repr(bar["volume"])) for bar in everything)),
        "transactions": sum(bar["transactions"] for bar in everything),
    }


def vwap_of(bars: list[dict], date: str) -> float:
    """The average price of a day, weighted with volume."""
    minutes = [bar for _, bar in minutes_of(bars, date)]
    return sum(bar["vwap"] * bar["volume"] for bar in minutes) / sum(bar["volume"] for bar in minutes)


def require(holds: bool, otherwise: str) -> None:
    """Ends if something does not hold."""
    if not holds:
        sys.exit(otherwise)


def require_equal(what: str, served, expected) -> None:
    """Ends with the first difference."""
    if served == expected:
        return
    if isinstance(served, list) and isinstance(expected, list):
        for number, (one, other) in enumerate(zip(served, expected)):
            if one != other:
                sys.exit(f"{what}, number {number}:\n  the client reads {one}\n  expected is     {other}")
        sys.exit(f"{what}: the client reads {len(served)}, expected are {len(expected)}")
    sys.exit(f"{what}:\n  the client reads {served}\n  expected is     {expected}")


if __name__ == "__main__":
    main(*sys.argv[1:])
