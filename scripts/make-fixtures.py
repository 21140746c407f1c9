#!/usr/bin/env python3
"""Run it to make fixtures/calendar, fixtures/minute-bars, fixtures/splits and fixtures/answers again from the lent data that they are
extracts of, or with --check to compare them with it. Needs Python and the lent data, and no network.
    scripts/make-fixtures.py [--check] [DATA]      DATA is ../shared/data, beside the repository, unless named
"""

import csv
import datetime
import gzip
import io
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parent.parent
FIXTURES = REPO / "fixtures"

# Set and symbol, with the first and last New York day of each stretch that is taken; without one, all that was recorded.
MINUTE_BARS = {
    # The clocks change on the 3rd, the 28th is Thanksgiving, the 29th is a half day.
    "blaizard-2024": {symbol: [("2024-11-01", "2024-11-30")] for symbol in ("ERIE", "FICO", "MTD")},
    # The clocks change on the 13th.
    "pyalgotrade-nt-2011": {"SPY": [("2011-03-09", "2011-03-16")]},
    # Every doubled minute of the set is in January's days of SPY, and in BKLN and IBDO; the 24th of December is a half day.
    "yahoo-2019-12": {
        "SPY": [("2019-12-16", "2019-12-20"), ("2020-01-13", "2020-01-16")],
        "BKLN": [("2019-12-30", "2019-12-30")],
        "IBDO": None,
        "VPU": None,
        "SOXS": [("2019-12-16", "2019-12-20")],
        "SOXL": [("2019-12-16", "2019-12-20")],
    },
    # Filled minutes without volume.
    "ibkr-aapl-2025-09-26": {"AAPL": None},
}

# Recorded bodies of refusals, all of them, and those of the vendor's own client mocks and documented examples that grab reads.
ANSWERS = {
    "polygon-json/recorded/errors": None,
    "polygon-json/official-client-mocks": [
        "v2__aggs__ticker__AAPL__range__1__day__2005-04-01__2005-04-04.json",
        "v3__reference__tickers+cursor=YWN0aXZlPXRy~.json",
        "v3__reference__tickers.json",
        "vX__reference__tickers__META__events+types=ticker_change.json",
    ],
    "polygon-json/openapi-examples": ["stocks__v1__splits__200.json"],
}

SPLITS = "universe/corporate-actions/splits_observed_massive_2019_2026.csv"


def transitions(data):
    """The instants (UTC ms) at which New York's clocks change, each with its offset after it, in hours."""
    with open(data / "calendar/new_york_dst_transitions_2003_2027.csv", newline="", encoding="utf-8") as file:
        return [(int(row["transition_ms"]), int(row["offset_after_h"])) for row in csv.DictReader(file)]


def offset_h(changes, ms):
    """New York's offset at an instant; before the first recorded change it is winter."""
    return next((hours for at, hours in reversed(changes) if at <= ms), -5)


def new_york_day(changes, ms):
    at = datetime.timedelta(milliseconds=ms, hours=offset_h(changes, ms))
    return (datetime.datetime(1970, 1, 1) + at).date().isoformat()


def at_ms(changes, day, clock):
    """A time of New York's clock as UTC ms. No session is near the hour that is skipped or doubled."""
    naive = datetime.datetime.fromisoformat(f"{day}T{clock}") - datetime.datetime(1970, 1, 1)
    ms = naive // datetime.timedelta(milliseconds=1)
    return ms - offset_h(changes, ms) * 3_600_000


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def calendar(data):
    """The sessions as days by month, and the other calendar files as they are.

    A session of the small form begins at 09:30 and ends at 16:00, on an early close at 13:00; trading begins at 04:00 and ends four
    hours after the session. That, and the recorded change of the clocks, is every column of both recorded files, but for the days of
    the file of differences: it is checked here for each.
    """
    folder, changes = data / "calendar", transitions(data)
    early = {row["date"]: row["close_et"] for row in rows(folder / "nyse_early_closes_2003_2027.csv")}
    odd = {row["date"] for row in rows(folder / "exchange_calendars_vs_pandas_market_calendars_diff.csv")}
    sessions = rows(folder / "nyse_sessions_2003_2027.csv")
    extended = rows(folder / "nyse_sessions_with_pre_post_2003_2027.csv")
    assert [row["date"] for row in sessions] == [row["date"] for row in extended]
    months = {}
    for row, wide in zip(sessions, extended):
        day, close = row["date"], early.get(row["date"], "16:00")
        months.setdefault(day[:7], []).append(day[8:])
        regular = ["09:30", close, *(str(at_ms(changes, day, clock)) for clock in ("09:30", close))]
        assert regular == [row[name] for name in ("open_et", "close_et", "open_utc_ms", "close_utc_ms")], row
        hours = ["04:00", "09:30", close, f"{int(close[:2]) + 4}:00"]
        recorded = [wide[name] for name in ("pre_et", "market_open_et", "market_close_et", "post_et")]
        assert hours == recorded or day in odd, wide
    lines = "".join(f"{month},{' '.join(days)}\n" for month, days in months.items())
    made = {"calendar/nyse_sessions_2003_2027.csv": f"month,days\n{lines}".encode()}
    for name in ("new_york_dst_transitions", "nyse_early_closes", "nyse_weekday_closures"):
        name = f"calendar/{name}_2003_2027.csv"
        made[name] = (data / name).read_bytes()
    return made


def minute_bars(data):
    made, changes = {}, transitions(data)
    for name, symbols in MINUTE_BARS.items():
        for symbol, stretches in symbols.items():
            path = f"minute-bars/{name}/{symbol}.csv.gz"
            with gzip.open(data / path, "rt", newline="", encoding="utf-8") as file:
                header, *lines = file.read().splitlines()
            days = [new_york_day(changes, int(line.split(",")[0])) for line in lines]
            is_taken = [not stretches or any(first <= day <= last for first, last in stretches) for day in days]
            taken = [line for line, is_in in zip(lines, is_taken) if is_in]
            assert taken, path
            made[path] = "".join(f"{line}\n" for line in [header, *taken]).encode()
    return made


def answers(data):
    made = {}
    for folder, names in ANSWERS.items():
        names = names or sorted(path.name for path in (data / folder).iterdir())
        for name in names:
            made[f"answers/{Path(folder).name}/{name}"] = (data / folder / name).read_bytes()
    return made


def packed(content):
    """Without a time or a name inside: made twice, it is the same."""
    target = io.BytesIO()
    with gzip.GzipFile(fileobj=target, mode="wb", compresslevel=9, mtime=0, filename="") as file:
        file.write(content)
    return target.getvalue()


def main():
    arguments = [argument for argument in sys.argv[1:] if argument != "--check"]
    data = Path(arguments[0]) if arguments else REPO.parent / "shared/data"
    if not data.is_dir():
        sys.exit(f"there is no lent data in {data}")
    made = calendar(data) | minute_bars(data) | answers(data)
    made["splits/observed_2019_2026.csv"] = (data / SPLITS).read_bytes()
    if "--check" in sys.argv:
        # What is in a file is compared, not how another zlib would have packed it.
        there = {
            path.relative_to(FIXTURES).as_posix(): gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            for folder in ("calendar", "minute-bars", "splits", "answers")
            for path in (FIXTURES / folder).rglob("*")
            if path.is_file()
        }
        wrong = sorted(name for name in there | made if there.get(name) != made.get(name))
        if wrong:
            sys.exit("not as the lent data has it: " + ", ".join(wrong))
        print(f"{len(made)} fixtures are as the lent data has them")
        return
    for name, content in made.items():
        path = FIXTURES / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(packed(content) if path.suffix == ".gz" else content)
    print(f"{len(made)} fixtures, {sum((FIXTURES / name).stat().st_size for name in made)} bytes")


main()
