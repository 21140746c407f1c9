"""What `browser.py` sees of a page: colours from screenshots, places of cells found with the mouse."""

import io

from PIL import Image
from playwright.sync_api import Page, expect

HEAD, ROW = 34, 18  # As in page/map.js.
MONTHS = ["2023-12", "2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06", "2024-07"]
SYMBOLS = ["AAPL", "BRK.B", "GOOG", "MSFT", "NOSUCH", "NVDA", "TSLA"]


def screenshot(locator) -> Image.Image:
    """What an element looks like."""
    return Image.open(io.BytesIO(locator.screenshot())).convert("RGB")


def settle(page: Page) -> None:
    """Waits until what was asked for is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.wait_for_timeout(50)


def legend_colours(page: Page) -> dict:
    """The colour of each entry of the legend, beside its sign."""
    return {
        item.inner_text(): screenshot(item.locator("canvas")).getpixel((2, 9))
        for item in page.locator("#legend li").all()
    }


def map_image(page: Page) -> tuple[Image.Image, dict]:
    """The map as it looks, and where its cells are: found with the mouse, by the words that appear."""
    settle(page)
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    y = box["y"] + HEAD + ROW * 1.5

    def month_at(x: int) -> str:
        page.mouse.move(box["x"] + x, y)
        tip = page.evaluate("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent")
        return tip.split(": ")[0].partition(", ")[2]

    starts, x = [], 0
    for month in MONTHS[:2]:
        while month_at(x) != month:
            x += 8
            require(x < box["width"], f"the mouse finds no {month}")
        starts.append(next(start for start in range(x - 7, x + 1) if month_at(start) == month))
    page.mouse.move(0, 0)
    left, next_left = starts
    return screenshot(canvas), {"left": left, "cell": next_left - left}


def place(geometry: dict, symbol: str, month: str) -> tuple[int, int]:
    """The upper left corner of a cell, in the canvas."""
    return geometry["left"] + MONTHS.index(month) * geometry["cell"], HEAD + ROW * (1 + SYMBOLS.index(symbol))


def cell_colour(image: Image.Image, geometry: dict, symbol: str, month: str, inside=None) -> tuple:
    """The colour of a cell beside its sign."""
    x, y = place(geometry, symbol, month)
    dx, dy = inside or (geometry["cell"] // 5, ROW // 2)
    return image.getpixel((x + dx, y + dy))


def hover(page: Page, geometry: dict, symbol: str, month: str) -> tuple[float, float]:
    """Moves the mouse over a cell."""
    canvas = page.locator("#canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    x, y = place(geometry, symbol, month)
    at = (box["x"] + x + geometry["cell"] / 2, box["y"] + y + ROW / 2)
    page.mouse.move(*at)
    return at


def open_days(page: Page, geometry: dict, symbol: str, month: str) -> dict:
    """Clicks a cell; the days that are shown then, each with its state and its note."""
    page.mouse.click(*hover(page, geometry, symbol, month))
    expect(page.get_by_role("dialog", name=f"{symbol}, {month}")).to_be_visible()
    rows = page.locator("#days-rows tr").all()
    return {row.locator("th").inner_text(): tuple(row.locator("td").all_inner_texts()) for row in rows}


def lab(colour: tuple) -> tuple:
    """sRGB as CIE L*a*b*, in which distance is difference to the eye."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour))
    xyz = (
        (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
        0.2126 * r + 0.7152 * g + 0.0722 * b,
        (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
    )
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def require(holds: bool, otherwise: str) -> None:
    """Ends if something does not hold."""
    if not holds:
        raise SystemExit(otherwise)


def require_equal(what: str, shown, expected) -> None:
    """Ends if the two differ."""
    require(shown == expected, f"{what}:\n  shown is    {shown}\n  expected is {expected}")
