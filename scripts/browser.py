"""Opens a page of `grab verify --report` in a real browser, and compares what it shows with what was done to the store.

Usage: browser.py CHROMIUM GRAB MARKET_PAGE SCREENSHOTS, with `playwright` and `pillow` installed. Works in the current folder.
Ends with an error at the first difference. Colours are read from screenshots, words by the roles that a screen reader sees.
"""

import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

from browser_screen import (
    MONTHS,
    SYMBOLS,
    cell_colour,
    hover,
    lab,
    legend_colours,
    map_image,
    open_days,
    require,
    require_equal,
    screenshot,
    settle,
)
from playwright.sync_api import Page, expect, sync_playwright

HOSTILE_NAME = "<img src=x onerror=window.hacked=1>"
HOSTILE_WORDS = "HTTP 500: </script><script>window.hacked=1</script>"
READY = "html[data-ready]"
# Seconds and milliseconds that a slow machine keeps with ease; measured are a tenth of them.
USABLE_S, FILTER_MS, FRAME_MS = 10, 500, 250


def main(chromium: str, grab: str, market: str, shots: str) -> None:
    """Runs all checks."""
    global SHOTS
    SHOTS = Path(shots)
    SHOTS.mkdir(parents=True, exist_ok=True)
    verified = broken_store(grab)
    page_url = Path("coverage.html").resolve().as_uri()
    with sync_playwright() as playwright:
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for check in [
            check_totals,
            check_colours,
            check_filters,
            check_keyboard,
            check_days,
            check_table,
            check_findings,
            check_dark,
            check_narrow,
            check_print,
            check_colour_blind,
        ]:
            page, seen = open_page(browser, page_url)
            check(page, verified)
            require_equal(f"{check.__name__}: what the page asked for", seen["requests"], [page_url])
            require_equal(f"{check.__name__}: the console", seen["console"], [])
            require(page.evaluate("window.hacked") is None, "a text of the data was run")
            page.close()
            print(f"  {check.__name__.removeprefix('check_').replace('_', ' ')}")
        check_policy(browser, page_url)
        check_market(browser, Path(market))
        browser.close()
    print("the page shows what was done")


def broken_store(grab: str) -> dict:
    """Makes a store with one trouble of each kind in a month of its own; what `verify --json` says of it."""
    env = {**os.environ, "GRAB_NOW": "2024-08-05T12:00:00Z", "GRAB_DATA_DIR": "data"}
    run = lambda *arguments: subprocess.run([grab, *arguments], env=env, text=True, capture_output=True)
    done = [
        run("start", "--sandbox", "--windows", "2023-12..2024-07", "--tickers", "AAPL,BRK.B,MSFT,NVDA,NOSUCH"),
        run("start", "--sandbox", "--plan-only", "--windows", "2023-12..2024-06,2024-07", "--tickers", "GOOG"),
        run("start", "--sandbox", "--plan-only", "--windows", "2024-05", "--tickers", "TSLA"),
    ]
    for ran in done:
        require(ran.returncode in (0, 10), f"grab start: {ran.stderr}")
    Path("data/bars_1m/ticker=AAPL/year=2024/month=02/bars.parquet").unlink()
    Path("data/bars_1m", HOSTILE_NAME).write_text("")
    with open("data/bars_1m/ticker=NVDA/year=2024/month=05/bars.parquet", "ab") as file:
        file.write(b"more")
    manifest = sqlite3.connect("data/manifest.sqlite")
    forget(manifest, "MSFT", "2024-03", range(11, 16))
    forget(manifest, "BRK.B", "2024-04", range(1, 31))
    manifest.execute(
        "UPDATE tasks SET state = 'failed', last_error = ? WHERE ticker = 'GOOG' AND from_date = '2024-07-01'",
        [HOSTILE_WORDS],
    )
    manifest.commit()
    manifest.close()
    ran = run("verify", "--json", "--report", "coverage.html", "--csv", "findings.csv")
    require(ran.returncode == 12, f"grab verify: {ran.stderr}")
    verified = json.loads(ran.stdout)
    with open("findings.csv", newline="") as file:
        require_equal("rows of the table of findings", len(list(csv.DictReader(file))), len(verified["findings"]))
    return verified


def forget(manifest: sqlite3.Connection, ticker: str, month: str, days: range) -> None:
    """Makes the manifest forget the bars of some days, as if the server had never sent them."""
    where = (ticker, month)
    mask, bars = manifest.execute(
        "SELECT session_mask, session_bars FROM partitions WHERE ticker = ? AND month = ?", where
    ).fetchone()
    counts = dict(zip((day for day in range(1, 32) if mask >> (day - 1) & 1), json.loads(bars)))
    kept = {day: count for day, count in counts.items() if day not in days}
    if not kept:
        manifest.execute("DELETE FROM partitions WHERE ticker = ? AND month = ?", where)
        year, number = month.split("-")
        Path(f"data/bars_1m/ticker={ticker}/year={year}/month={number}/bars.parquet").unlink()
        return
    mask = sum(1 << (day - 1) for day in kept)
    values = (mask, json.dumps(list(kept.values())), sum(kept.values()), *where)
    manifest.execute(
        "UPDATE partitions SET session_mask = ?, session_bars = ?, bars = ? WHERE ticker = ? AND month = ?", values
    )


def open_page(browser, url: str, **options) -> tuple[Page, dict]:
    """A page that is ready, with what it asks of a network and says on the console."""
    page = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, "color_scheme": "light", **options})
    page.set_default_timeout(10_000)
    seen = {"requests": [], "console": []}
    page.on("request", lambda request: seen["requests"].append(request.url))
    page.on("console", lambda message: seen["console"].append(message.text))
    page.on("pageerror", lambda error: seen["console"].append(str(error)))
    page.goto(url)
    page.wait_for_selector(READY, timeout=60_000)
    return page, seen


def check_totals(page: Page, verified: dict) -> None:
    """Numbers as the JSON has them; states as they were made."""
    expect(page).to_have_title("Coverage")
    expect(page.locator("#about")).to_have_text(
        re.compile(
            r"2023-12-01 to 2024-07-31 · bars as traded, made up by a sandbox · made 2024-08-05T12:0\d:\d\dZ by grab \d.*"
        )
    )
    shown = dict(zip(page.locator("#totals dt").all_inner_texts(), page.locator("#totals dd").all_inner_texts()))
    coverage = verified["coverage"]
    require_equal(
        "totals",
        shown,
        {
            "Symbols": str(len(SYMBOLS)),
            "Sessions expected": f"{coverage['expected_sessions']:,}",
            "Present": f"{coverage['present_sessions']:,}",
            "Empty, says the server alone": f"{coverage['unexplained_sessions']:,}",
            "Coverage": f"{int(coverage['ratio'] * 10_000) / 100:.2f} %",
            "Damage": str(verified["damage"]),
            "Gaps": str(verified["gaps"]),
            "Notices": str(verified["notices"]),
            "Partitions": str(verified["partitions"]),
            "Files read whole": "0",
        },
    )
    page.get_by_text("Sessions by state").click()
    states = {
        row[0]: row[1:] for row in (text.split("\t") for text in page.locator("#by-state tbody tr").all_inner_texts())
    }
    # The months have 20, 21, 20, 20, 22, 22, 19 and 22 sessions, 166 in all. MSFT lost 5 of March, BRK.B those of April,
    # AAPL those of February, NVDA's May is damaged; GOOG owes all but July, TSLA May.
    require_equal(
        "states",
        {words.strip(): cells for words, cells in states.items()},
        {
            "present": [str(4 * 166 - 5 - 22 - 20 - 22), "yes"],
            "file lost or damaged": [str(20 + 22), "yes"],
            "missing": ["27", "yes"],
            "empty, says the server": ["166", "no"],
            "still pending": [str(144 + 22), "yes"],
            "failed": ["22", "yes"],
            "not requested": [str(166 - 22), "no"],
        },
    )
    require_equal("legend", page.locator("#legend li").count(), 12)


def check_colours(page: Page, verified: dict) -> None:
    """Pixels of cells whose state is known, against those of the legend, and the words over them."""
    known = {
        ("AAPL", "2023-12"): "all that is expected",
        ("AAPL", "2024-02"): "file lost or damaged",
        ("MSFT", "2024-03"): "50 % or more",
        ("BRK.B", "2024-04"): "none, unexplained",
        ("GOOG", "2024-06"): "still pending",
        ("GOOG", "2024-07"): "failed, not in the plan or not found",
        ("NOSUCH", "2024-01"): "nothing expected: empty, no trade, not listed or before the plan's history",
        ("TSLA", "2024-04"): "not requested",
        ("TSLA", "2024-05"): "still pending",
        ("NVDA", "2024-05"): "file lost or damaged",
    }
    legend = legend_colours(page)
    image, geometry = map_image(page)
    for (symbol, month), words in known.items():
        require_equal(f"the colour of {symbol} in {month}", cell_colour(image, geometry, symbol, month), legend[words])
    tip = page.locator("#tip")
    for (symbol, month), words in [
        (("AAPL", "2024-02"), "0 of 20 expected sessions present, 20 file lost or damaged, damage found"),
        (("MSFT", "2024-03"), "15 of 20 expected sessions present, 5 missing"),
        (("NVDA", "2024-05"), "0 of 22 expected sessions present, 22 file lost or damaged, damage found"),
        (("TSLA", "2024-04"), "22 not requested"),
    ]:
        hover(page, geometry, symbol, month)
        expect(tip).to_have_text(f"{symbol}, {month}: {words}")
    # A cell that is lost as a whole needs no mark in its corner.
    marked = [
        (symbol, month)
        for symbol in SYMBOLS
        for month in MONTHS
        if cell_colour(image, geometry, symbol, month, (1, 1)) != cell_colour(image, geometry, symbol, month)
    ]
    require_equal("cells marked as damaged", marked, [])
    page.screenshot(path=SHOTS / "light.png")


def check_filters(page: Page, verified: dict) -> None:
    """Each filter alone, then the reset."""
    shown, symbol, state = (
        page.locator("#shown"),
        page.get_by_label("Symbol", exact=True),
        page.get_by_label("With state"),
    )
    page.get_by_text("The part on view as a table").click()
    rows = page.locator("#as-table tbody th")
    expect(rows).to_have_text(SYMBOLS)
    symbol.fill("k.b")
    expect(shown).to_have_text("1 of 7 symbols, 8 months.")
    expect(rows).to_have_text(["BRK.B"])
    symbol.fill("")
    for words, left in [
        ("file lost or damaged", ["AAPL", "NVDA"]),
        ("missing", ["BRK.B", "MSFT"]),
        ("damage found", ["AAPL", "NVDA"]),
        ("still pending", ["GOOG", "TSLA"]),
    ]:
        state.select_option(words)
        expect(rows).to_have_text(left)
    state.select_option("any")
    page.get_by_label("only rows with gaps or damage").check()
    expect(rows).to_have_text(["AAPL", "BRK.B", "GOOG", "MSFT", "NVDA", "TSLA"])
    page.get_by_role("combobox", name="To", exact=True).select_option("2023")
    expect(shown).to_have_text("1 of 7 symbols, 1 months.")
    expect(rows).to_have_text(["GOOG"])
    page.get_by_role("button", name="Reset").click()
    expect(rows).to_have_text(SYMBOLS)
    expect(shown).to_have_text("7 of 7 symbols, 8 months.")
    page.get_by_label("Sort by").select_option("worst coverage")
    expect(rows).to_have_text(["GOOG", "NOSUCH", "TSLA", "BRK.B", "NVDA", "AAPL", "MSFT"])
    symbol.fill("nobody")
    expect(shown).to_have_text("0 of 7 symbols, 8 months.")


def check_keyboard(page: Page, verified: dict) -> None:
    """The map without a mouse: the focus is told, shown, and comes back."""
    grid = page.get_by_role("grid", name="Symbols by month")
    require_equal(
        "rows and columns", [grid.get_attribute("aria-rowcount"), grid.get_attribute("aria-colcount")], ["7", "8"]
    )
    live, dialog = page.locator("#live[aria-live=polite]"), page.get_by_role("dialog")
    before, geometry = map_image(page)
    grid.focus()
    expect(live).to_have_text("AAPL, 2023-12: 20 of 20 expected sessions present")
    for key in ["ArrowRight", "ArrowRight"]:
        page.keyboard.press(key)
    expect(live).to_have_text("AAPL, 2024-02: 0 of 20 expected sessions present, 20 file lost or damaged, damage found")
    expect(page.get_by_role("gridcell")).to_have_text(live.inner_text())
    settle(page)
    after, _ = map_image(page)
    require(before.tobytes() != after.tobytes(), "the focus does not show")
    page.screenshot(path=SHOTS / "keyboard.png")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="AAPL, 2024-02")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("dialog", name="AAPL, 2024-03")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(grid).to_be_focused()
    expect(live).to_contain_text("AAPL, 2024-03")
    for key, place in [
        ("End", "AAPL, 2024-07"),
        ("Home", "AAPL, 2023-12"),
        ("ArrowLeft", "AAPL, 2023-12"),
        ("Control+End", "TSLA, 2024-07"),
        ("ArrowDown", "TSLA, 2024-07"),
        ("PageUp", "AAPL, 2024-07"),
        ("Control+Home", "AAPL, 2023-12"),
        ("PageDown", "TSLA, 2023-12"),
    ]:
        page.keyboard.press(key)
        expect(live).to_contain_text(f"{place}: ")


def check_days(page: Page, verified: dict) -> None:
    """Every day of a month with its reason, by a click."""
    _, geometry = map_image(page)
    days = open_days(page, geometry, "MSFT", "2024-03")
    require_equal("days of March", len(days), 31)
    missing = [day for day, (state, _) in days.items() if state == "missing"]
    require_equal(
        "missing days",
        missing,
        [f"2024-03-{day} {name}" for day, name in [(11, "Mon"), (12, "Tue"), (13, "Wed"), (14, "Thu"), (15, "Fri")]],
    )
    require_equal("Good Friday", days["2024-03-29 Fri"], ("closed", "Good Friday"))
    require_equal("a Saturday", days["2024-03-30 Sat"], ("closed", "weekend"))
    require_equal("present days", sum(state == "present" for state, _ in days.values()), 15)
    expect(page.locator("#days-findings li")).to_have_text(
        ["2024-03-11..2024-03-15 missing_session (gap): 5 sessions to 2024-03-15 have no bar, and no source explains it"]
    )
    page.screenshot(path=SHOTS / "days.png")
    page.get_by_role("button", name="Close").click()
    days = open_days(page, geometry, "GOOG", "2024-07")
    require_equal("a half day that failed", days["2024-07-03 Wed"], ("failed", "half day: Independence Day"))
    expect(page.locator("#days-findings li")).to_have_text(
        [f"2024-07-01..2024-07-31 unfinished_task (gap): 2024-07-01..2024-07-31 is failed: {HOSTILE_WORDS}"]
    )
    page.get_by_role("button", name="Close").click()
    require_equal(
        "what was never requested",
        open_days(page, geometry, "TSLA", "2024-04")["2024-04-02 Tue"],
        ("not requested", ""),
    )


def check_table(page: Page, verified: dict) -> None:
    """The map as a table."""
    page.get_by_text("The part on view as a table").click()
    table = page.locator("#as-table").get_by_role("table")
    heads = table.get_by_role("columnheader")
    expect(heads).to_have_text(["Symbol", *MONTHS])
    cells = {
        row.get_by_role("rowheader").inner_text(): row.get_by_role("cell").all_inner_texts()
        for row in table.get_by_role("row").all()[1:]
    }
    require_equal("symbols of the table", list(cells), SYMBOLS)
    require_equal(
        "AAPL",
        cells["AAPL"],
        ["20 of 20", "21 of 21", "0 of 20, lost", "20 of 20", "22 of 22", "22 of 22", "19 of 19", "22 of 22"],
    )
    require_equal("GOOG", cells["GOOG"][-2:], ["0 of 19, pending", "0 of 22, refused"])
    require_equal(
        "others",
        [cells["NOSUCH"][0], cells["TSLA"][0], cells["NVDA"][5]],
        ["none expected", "not requested", "0 of 22, lost"],
    )


def check_findings(page: Page, verified: dict) -> None:
    """All findings, filtered and sorted; what is hostile is text."""
    total = len(verified["findings"])
    shown, rows = page.locator("#findings-shown"), page.locator("#findings tbody tr")
    expect(shown).to_have_text(f"{total} of {total} findings.")
    expect(rows).to_have_count(total)
    page.get_by_label("Holds").fill("ONERROR")
    expect(rows).to_have_count(1)
    expect(rows.first.locator("td").last).to_have_text(f"data/bars_1m/{HOSTILE_NAME}")
    require_equal("images", page.locator("img").count(), 0)
    page.get_by_label("Holds").fill("</SCRIPT>")
    expect(rows.first.locator("td").nth(4)).to_contain_text(HOSTILE_WORDS)
    page.get_by_label("Holds").fill("")
    page.get_by_label("Severity").select_option("damage")
    expect(rows).to_have_count(verified["damage"])
    page.get_by_label("Severity").select_option("any")
    head = page.get_by_role("columnheader", name="When")
    for order in ["ascending", "descending"]:
        head.get_by_role("button").click()
        expect(head).to_have_attribute("aria-sort", order)
        dates = page.locator("#findings tbody td:nth-child(4)").all_inner_texts()
        require_equal(f"dates, {order}", dates, sorted(dates, reverse=order == "descending"))
    page.get_by_label("Holds").fill("missing_file")
    rows.get_by_role("button", name="AAPL").click()
    expect(page.get_by_role("dialog", name="AAPL, 2024-02")).to_be_visible()


def check_dark(page: Page, verified: dict) -> None:
    """The map follows the reader's choice at once."""
    light, geometry = map_image(page)
    page.emulate_media(color_scheme="dark")
    settle(page)
    dark, _ = map_image(page)
    corner = (2, 2)
    require_equal("paper", [light.getpixel(corner), dark.getpixel(corner)], [(255, 255, 255), (0x14, 0x17, 0x1B)])
    legend = legend_colours(page)
    require_equal("a lost month", cell_colour(dark, geometry, "AAPL", "2024-02"), legend["file lost or damaged"])
    require_equal("what is lost is white", legend["file lost or damaged"], (255, 255, 255))
    page.screenshot(path=SHOTS / "dark.png")


def check_narrow(page: Page, verified: dict) -> None:
    """A telephone: nothing but the tables and the map is wider than the window."""
    page.set_viewport_size({"width": 400, "height": 800})
    settle(page)
    require_equal("width", page.evaluate("document.documentElement.scrollWidth"), 400)
    _, geometry = map_image(page)
    require_equal("days", len(open_days(page, geometry, "AAPL", "2024-02")), 29)
    box = page.get_by_role("dialog").bounding_box()
    require(box["x"] >= 0 and box["x"] + box["width"] <= 400, f"the days do not fit: {box}")
    page.screenshot(path=SHOTS / "narrow.png")


def check_print(page: Page, verified: dict) -> None:
    """Paper: dark ink, no controls, all of the map that fits."""
    page.emulate_media(color_scheme="dark")
    page.emulate_media(media="print")
    settle(page)
    for hidden in ["#filters", "#live", "#map-help", "nav", "#as-table"]:
        expect(page.locator(hidden).first).to_be_hidden()
    expect(page.locator("#canvas")).to_be_visible()
    legend = legend_colours(page)
    require_equal("ink for what is lost", legend["file lost or damaged"], (0, 0, 0))
    image = screenshot(page.locator("#canvas"))
    require(
        legend["file lost or damaged"]
        in {image.getpixel((x, y)) for x in range(0, image.width, 3) for y in range(0, image.height, 3)},
        "the lost month is not on paper",
    )
    page.screenshot(path=SHOTS / "print.png", full_page=True)
    require(page.pdf(format="A4").startswith(b"%PDF"), "it cannot be printed")
    page.emulate_media(media="screen", color_scheme="light")
    settle(page)
    image, geometry = map_image(page)
    require_equal(
        "after printing", cell_colour(image, geometry, "AAPL", "2024-02"), legend_colours(page)["file lost or damaged"]
    )


def check_colour_blind(page: Page, verified: dict) -> None:
    """No two colours of the legend look the same to anybody, in light and in dark."""
    session = page.context.new_cdp_session(page)
    for scheme in ["light", "dark"]:
        page.emulate_media(color_scheme=scheme)
        for sight in ["none", "deuteranopia", "protanopia", "tritanopia", "achromatopsia"]:
            session.send("Emulation.setEmulatedVisionDeficiency", {"type": sight})
            settle(page)
            plain = list(legend_colours(page).items())[:10]
            # Without any colour, the signs have to tell some apart, so nothing is asked of it but a look at the screenshot.
            if sight == "achromatopsia":
                page.screenshot(path=SHOTS / f"achromatopsia-{scheme}.png")
                continue
            for (one, a), (other, b) in combinations(plain, 2):
                difference = sum((x - y) ** 2 for x, y in zip(lab(a), lab(b))) ** 0.5
                require(
                    difference >= 15, f"{sight}, {scheme}: {one} {a} and {other} {b} differ by {difference:.1f} only"
                )


def check_policy(browser, url: str) -> None:
    """Were there a hole, the policy would close it: no foreign script runs, nothing is loaded."""
    page, _ = open_page(browser, url)
    blocked = page.evaluate("""async () => {
        const blocked = [];
        document.addEventListener('securitypolicyviolation', (event) => blocked.push(event.effectiveDirective));
        const script = document.createElement('script');
        try { script.textContent = 'window.hacked = 1'; document.body.append(script); } catch { blocked.push('types'); }
        try { document.body.innerHTML = '<b>'; } catch { blocked.push('types'); }
        const image = document.createElement('img');
        image.src = 'http://127.0.0.1:9/';
        document.body.append(image);
        await fetch('http://127.0.0.1:9/').catch(() => 0);
        await new Promise((wait) => setTimeout(wait, 200));
        return blocked;
    }""")
    require({"img-src", "connect-src", "types"} <= set(blocked), f"the policy lets through: {blocked}")
    require(page.evaluate("window.hacked") is None, "a foreign script was run")
    page.close()
    print("  policy")


def check_market(browser, path: Path) -> None:
    """10,000 symbols by 240 months stay usable."""
    begun = time.monotonic()
    page, seen = open_page(browser, path.as_uri(), viewport={"width": 1600, "height": 1000})
    usable = time.monotonic() - begun
    expect(page.locator("#shown")).to_have_text("10,000 of 10,000 symbols, 240 months.")
    took = page.evaluate("""() => {
        const at = (id) => document.getElementById(id);
        const changes = [['symbol', 'value', 'AAB'], ['symbol', 'value', ''], ['state', 'value', '9'], ['state', 'value', ''],
                         ['sort', 'value', 'worst'], ['troubled', 'checked', true]];
        return changes.map(([id, property, value]) => {
            const begun = performance.now();
            at(id)[property] = value;
            at('filters').dispatchEvent(new Event('input'));
            at('map').getBoundingClientRect();
            return performance.now() - begun;
        });
    }""")
    frames = page.evaluate("""async () => {
        const map = document.getElementById('map'), took = [];
        for (let frame = 0, last = performance.now(); frame < 120; frame++) {
            map.scrollTop += 997;
            map.scrollLeft += 10;
            await new Promise(requestAnimationFrame);
            took.push(performance.now() - last);
            last = performance.now();
        }
        return took.sort((one, other) => one - other);
    }""")
    require(page.evaluate("document.getElementById('canvas').width") <= 1600, "the canvas is larger than its window")
    page.locator("#map").focus()
    page.keyboard.press("Control+End")
    expect(page.locator("#live")).to_contain_text("2023-12: ")
    page.screenshot(path=SHOTS / "market.png")
    require_equal("the console", seen["console"], [])
    page.close()
    print(
        f"  market: {path.stat().st_size:,} bytes, usable after {usable:.2f} s, filters at most {max(took):.0f} ms, "
        f"frames while scrolling {frames[60]:.0f} ms, 95 % {frames[114]:.0f} ms"
    )
    require(usable < USABLE_S and max(took) < FILTER_MS and frames[114] < FRAME_MS, "too slow")


if __name__ == "__main__":
    main(*sys.argv[1:])
