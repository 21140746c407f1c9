"""A small market whose every value is known, served to grab and written down for the readers.

Usage: readers_truth.py TRUTH.json [small], which prints its address and serves until it is killed. TRUTH.json has what each
file must hold: numbers as Python reads the text that is served, which JSON keeps to the last bit. The small market is the
one of fixtures/earlier-store.
"""

import json
import random
import sys
from datetime import date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")
MINUTE_MS = 60_000
PAGE_BARS = 5_000
# Symbols of the market's day besides those with bars.
OTHERS = 3_000

# One month is as large as months get: its columns need more than one data page. The others are small, and their symbols
# are words that readers like to take for something else.
BARS = {"A": 20_160, "BRK.B": 40, "FALSE": 40, "KIMpL": 300, "NA": 40, "NAN": 40, "SLOW": 9, "TRUE": 40}
SMALL = {"A": 250, "KIMpL": 100, "NA": 40, "TRUE": 40}
MONTHS = {"2024-01": date(2024, 1, 2), "2024-02": date(2024, 2, 1)}
SPLITS = [
    {"ticker": "A", "execution_date": "2024-01-09", "split_from": 1, "split_to": 4.5, "id": "E1",
     "adjustment_type": "forward_split"},
    {"ticker": "KIMpL", "execution_date": "2003-05-01", "split_from": 7, "split_to": 1.000001},
]
ACTIVE = [
    {"ticker": "A", "name": "Ägilent – “A”", "market": "stocks", "active": True, "type": "CS", "primary_exchange": "XNYS",
     "composite_figi": "BBG000C2V3D6", "cik": "0001090872", "last_updated_utc": "2024-02-02T00:00:00Z"},
    {"ticker": "NA", "market": "stocks", "active": True},
    {"ticker": "TRUE", "name": "True Inc.", "market": "stocks", "active": True, "type": "CS"},
]
LEFT = [
    {"ticker": "KIMpL", "name": "Kimco pfd", "market": "stocks", "active": False, "type": "PFD",
     "delisted_utc": "2024-01-31T00:00:00Z"},
]
LIST_DATES = {"A": "1999-11-18", "TRUE": "2014-05-16"}
CHANGES = [("HP", "1957-11-06"), ("A", "1999-11-18")]


def made_bars(counts: dict[str, int]) -> dict[str, list[dict]]:
    """The bars as they are served: numbers are texts, so that nothing rounds them on the way."""
    lots = random.Random(1)
    bars = {}
    for ticker, count in counts.items():
        rows = []
        for month, first in MONTHS.items():
            price = lots.uniform(1, 400)
            times = minutes(first) if ticker != "SLOW" else slow_minutes(first)
            for number, timestamp in zip(range(count if month == "2024-01" else min(count, 40)), times):
                price = max(0.5, price * (1 + lots.gauss(0, 0.001)))
                low, high = price * 0.999, price * 1.001
                row = {"v": str(lots.randrange(1, 50_000)), "vw": f"{price:.4f}", "o": f"{price:.2f}",
                       "c": f"{price:.4f}", "h": f"{high:.2f}", "l": f"{low:.4f}", "t": str(timestamp),
                       "n": str(lots.randrange(1, 900))}
                if number % 7 == 3:
                    del row["vw"]
                if number % 11 == 5:
                    del row["n"]
                if number % 5 == 4:
                    row["v"] += f".{lots.randrange(1, 1_000_000):06}"
                rows.append(row)
        # What no rounding survives: the largest and the smallest float, a sum of thirds, a volume of nothing.
        rows[1].update(h="1.7976931348623157e308", l="5e-324", o="0.30000000000000004", c="2.2250738585072014e-308")
        rows[2].update(v="0", l="0", n="9007199254740992")
        bars[ticker] = rows
    return bars


def minutes(first: date):
    """The starts of the minutes of weekdays from 04:00 to 20:00 New York time, UTC ms."""
    for day in (first + timedelta(days=days) for days in range(31)):
        if day.weekday() < 5:
            begin = datetime(day.year, day.month, day.day, 4, tzinfo=NEW_YORK)
            yield from (int(begin.timestamp()) * 1000 + MINUTE_MS * minute for minute in range(16 * 60))


def slow_minutes(first: date):
    """Few of these: hours, days and weeks lie between them."""
    numbers = (0, 1, 2, 959, 960, 961, 2_000, 3_900, 5_000) if first.month == 2 else (0, 1, 959, 960, 961, 3_000, 19_000, 20_100, 20_101)
    return [time for number, time in enumerate(minutes(first)) if number in numbers]


def row_of(bar: dict) -> list:
    """A bar in the order of the columns, as it must be read."""
    number = lambda name: float(bar[name]) if name in bar else None
    count = int(bar["n"]) if "n" in bar else None
    return [int(bar["t"]), *map(number, ("o", "h", "l", "c", "v", "vw")), count]


def market_rows(others: int) -> list[dict]:
    """A day of the whole market."""
    lots = random.Random(2)
    tickers = sorted({*BARS, *(f"T{lots.randrange(10_000)}" for _ in range(others)), "ZWSw"})
    rows = []
    for ticker in tickers:
        low = lots.uniform(1, 100)
        row = {"T": ticker, "v": f"{lots.uniform(1, 1e7):.4f}", "vw": f"{low + 1:.4f}", "o": f"{low + 1:.2f}",
               "c": f"{low + 2:.2f}", "h": f"{low + 3:.4f}", "l": f"{low:.4f}", "t": "1706216400000",
               "n": str(lots.randrange(1, 10**6))}
        if len(rows) % 13 == 7:
            del row["vw"], row["n"]
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    """Rows as JSON in which numbers stand as they are."""
    def value(name, text):
        return f'"{text}"' if name == "T" else text

    objects = ("{" + ",".join(f'"{name}":{value(name, text)}' for name, text in row.items()) + "}" for row in rows)
    return "[" + ",".join(objects) + "]"


class Market(BaseHTTPRequestHandler):
    """Answers as the service does."""

    bars: dict[str, list[dict]]
    market: list[dict]
    page_bars: int

    def do_GET(self):
        place = urlsplit(self.path)
        parts, query = place.path.strip("/").split("/"), {key: texts[0] for key, texts in parse_qs(place.query).items()}
        body = self.answer(parts, query)
        if body is None:
            return self.send(404, '{"status":"NOT_FOUND","message":"Ticker not found."}')
        return self.send(200, body)

    def answer(self, parts: list[str], query: dict) -> str | None:
        if parts[:2] == ["v2", "aggs"] and parts[2] == "ticker":
            return self.page(parts[3], parts[7], parts[8], int(query.get("cursor", 0)))
        if parts[:3] == ["v2", "aggs", "grouped"]:
            rows = self.market if parts[-1] == "2024-01-25" else []
            return (f'{{"queryCount":{len(rows)},"resultsCount":{len(rows)},"adjusted":false,"results":{table(rows)},'
                    f'"status":"OK","request_id":"market"}}')
        if parts == ["stocks", "v1", "splits"]:
            return listed(SPLITS)
        if parts == ["v3", "reference", "tickers"]:
            return listed(ACTIVE if query.get("active") == "true" else LEFT)
        if parts[:3] == ["v3", "reference", "tickers"]:
            details = {"ticker": parts[3], **({"list_date": LIST_DATES[parts[3]]} if parts[3] in LIST_DATES else {})}
            return listed(details)
        if parts[:3] == ["vX", "reference", "tickers"] and parts[3] == "A":
            changes = [{"date": day, "type": "ticker_change", "ticker_change": {"ticker": ticker}}
                       for ticker, day in CHANGES]
            return listed({"name": "Ägilent", "composite_figi": "BBG000C2V3D6", "cik": "0001090872", "events": changes})
        if parts[:2] == ["v1", "marketstatus"]:
            return '{"market":"closed"}'
        return None

    def page(self, ticker: str, first: str, last: str, begin: int) -> str:
        inside = [bar for bar in self.bars[ticker] if start_ms(first) <= int(bar["t"]) < start_ms(last, 1)]
        rows, end = inside[begin:begin + self.page_bars], begin + self.page_bars
        place = f'http://{self.headers["host"]}/v2/aggs/ticker/{ticker}/range/1/minute/{first}/{last}?cursor={end}'
        more = f',"next_url":"{place}"' if end < len(inside) else ""
        return (f'{{"ticker":"{ticker}","queryCount":{len(rows)},"resultsCount":{len(rows)},"adjusted":false,'
                f'"results":{table(rows)},"status":"OK","request_id":"bars"{more}}}')

    def send(self, status: int, body: str) -> None:
        content = body.encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Says nothing."""


def start_ms(day: str, days: int = 0) -> int:
    """When a New York day begins, some days later, UTC ms."""
    if day.isdigit():
        return int(day) + days
    begin = datetime.fromisoformat(day) + timedelta(days=days)
    return int(begin.replace(tzinfo=NEW_YORK).timestamp()) * 1000


def listed(results) -> str:
    """A list or an object as the service sends it."""
    return json.dumps({"status": "OK", "request_id": "list", "results": results})


def truth() -> dict:
    """What each file must hold."""
    day = lambda text: date.fromisoformat(text).isoformat() if text else None
    bars = {ticker: [row_of(bar) for bar in rows] for ticker, rows in Market.bars.items()}
    market = [[row["T"], *row_of(row)[1:]] for row in Market.market]
    splits = sorted([row["ticker"], row["execution_date"], float(row["split_from"]), float(row["split_to"]),
                     row.get("adjustment_type"), row.get("id"), "current"] for row in SPLITS)
    renames = sorted(["BBG000C2V3D6", "0001090872", "Ägilent", ticker, day, "A", "current"] for ticker, day in CHANGES)
    lives = sorted(
        [row["ticker"], row.get("name"), row.get("type"), row.get("primary_exchange"), row["active"],
         LIST_DATES.get(row["ticker"]), day((row.get("delisted_utc") or "")[:10]), row.get("composite_figi"), None,
         row.get("cik"), row.get("last_updated_utc"), None, None] for row in ACTIVE + LEFT)
    return {"bars": bars, "market": market, "splits": splits, "renames": renames, "tickers": lives}


if __name__ == "__main__":
    is_small = sys.argv[2:] == ["small"]
    Market.bars = made_bars(SMALL if is_small else BARS)
    Market.market = market_rows(40 if is_small else OTHERS)
    Market.page_bars = 100 if is_small else PAGE_BARS
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(truth(), file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Market)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
