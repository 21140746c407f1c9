"""One peer of `scripts/bench-peers.py`, in a process of its own: it brings the pages to Parquet files, one for each ticker and month.

bench_peer.py KIND BASE_URL WINDOW OUT TICKER...

Each KIND imports only what it needs: what an import costs is part of what its users pay.
"""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor

SCHEMA = {"t": "Int64", "o": "Float64", "h": "Float64", "l": "Float64", "c": "Float64", "v": "Float64",
          "vw": "Float64", "n": "Int64"}
NAMES = {"t": "timestamp", "o": "open", "h": "high", "l": "low", "c": "close", "v": "volume", "vw": "vwap",
         "n": "transactions"}


def write_months(bars, ticker, out):
    """By month in New York, as grab's partitions are, with zstd at level 1. Without fsync."""
    import polars as pl

    at = pl.from_epoch("timestamp", "ms").dt.replace_time_zone("UTC")
    bars = bars.with_columns(at.alias("timestamp"))
    month = pl.col("timestamp").dt.convert_time_zone("America/New_York").dt.strftime("%Y/%m")
    for (name,), part in bars.with_columns(month.alias("month")).partition_by(
        "month", as_dict=True, include_key=False
    ).items():
        year, number = name.split("/")
        folder = f"{out}/ticker={ticker}/year={year}/month={number}"
        os.makedirs(folder, exist_ok=True)
        part.write_parquet(f"{folder}/bars.parquet", compression="zstd", compression_level=1)


def client_of(package, base_url):
    if package == "massive":
        from massive import RESTClient
    else:
        from polygon import RESTClient
    return RESTClient("bench", base=base_url, pagination=True)


def official(package, base_url, window, out, tickers, threads=1):
    import polars as pl

    client = client_of(package, base_url)

    def bring(ticker):
        first, last = window.split("..")
        bars = client.list_aggs(ticker, 1, "minute", first, last, adjusted=False, sort="asc", limit=50_000)
        rows = [(b.timestamp, b.open, b.high, b.low, b.close, b.volume, b.vwap, b.transactions) for b in bars]
        schema = {NAMES[name]: getattr(pl, kind) for name, kind in SCHEMA.items()}
        write_months(pl.DataFrame(rows, schema=schema, orient="row"), ticker, out)

    if threads == 1:
        for ticker in tickers:
            bring(ticker)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(bring, tickers))


def first_url(base_url, ticker, window):
    first, last = window.split("..")
    return f"{base_url}/v2/aggs/ticker/{ticker}/range/1/minute/{first}/{last}?adjusted=false&sort=asc&limit=50000"


def best_effort(base_url, window, out, tickers):
    """Eight tickers at once; polars reads the JSON, in one thread beside that of the requests."""
    import aiohttp
    import polars as pl

    page_schema = {
        "results": pl.List(pl.Struct({name: getattr(pl, kind) for name, kind in SCHEMA.items()})),
        "next_url": pl.String,
    }

    def read(body):
        page = pl.read_json(body, schema=page_schema)
        return page.select("results").explode("results").unnest("results").rename(NAMES), page["next_url"][0]

    async def bring(session, ticker, limit):
        async with limit:
            parts, url = [], first_url(base_url, ticker, window)
            while url:
                async with session.get(url) as answer:
                    answer.raise_for_status()
                    body = await answer.read()
                part, url = await asyncio.to_thread(read, body)
                parts.append(part)
            await asyncio.to_thread(write_months, pl.concat(parts), ticker, out)

    async def run():
        limit = asyncio.Semaphore(8)
        async with aiohttp.ClientSession(headers={"Authorization": "Bearer bench"}) as session:
            await asyncio.gather(*(bring(session, ticker, limit) for ticker in tickers))

    asyncio.run(run())


def old_way(base_url, window, out, tickers):
    """What many scripts do: for each page, read the month's file, append, drop duplicates, sort, write it again."""
    import polars as pl
    import requests

    session = requests.Session()
    session.headers["Authorization"] = "Bearer bench"
    for ticker in tickers:
        url = first_url(base_url, ticker, window)
        while url:
            page = session.get(url, timeout=60).json()
            bars = pl.DataFrame(page["results"], schema={n: getattr(pl, k) for n, k in SCHEMA.items()}).rename(NAMES)
            merge_months(bars, ticker, out)
            url = page.get("next_url")


def merge_months(bars, ticker, out):
    import polars as pl

    at = pl.from_epoch("timestamp", "ms").dt.replace_time_zone("UTC")
    month = pl.col("timestamp").dt.convert_time_zone("America/New_York").dt.strftime("%Y/%m")
    bars = bars.with_columns(at.alias("timestamp")).with_columns(month.alias("month"))
    for (name,), part in bars.partition_by("month", as_dict=True, include_key=False).items():
        year, number = name.split("/")
        path = f"{out}/ticker={ticker}/year={year}/month={number}/bars.parquet"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.exists(path):
            part = pl.concat([pl.read_parquet(path), part])
        part.unique("timestamp", keep="last").sort("timestamp").write_parquet(
            path, compression="zstd", compression_level=1
        )


def main():
    kind, base_url, window, out, *tickers = sys.argv[1:]
    if kind in ("polygon", "massive"):
        official(kind, base_url, window, out, tickers)
    elif kind in ("polygon-8", "massive-8"):
        official(kind.removesuffix("-8"), base_url, window, out, tickers, threads=8)
    elif kind == "best-effort":
        best_effort(base_url, window, out, tickers)
    elif kind == "old-way":
        old_way(base_url, window, out, tickers)
    else:
        sys.exit(f"{kind} is no peer")


if __name__ == "__main__":
    main()
