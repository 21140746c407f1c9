"""What bench-peers.py has measured, as docs/benchmarks.md and its chart."""

import importlib.metadata
import os
import platform
import subprocess
from datetime import date
from html import escape
from statistics import median


def spread(values, digits=2):
    """The median, with the least and the most."""
    values = sorted(values)
    least, most = values[0], values[-1]
    return f"{median(values):.{digits}f} ({least:.{digits}f}–{most:.{digits}f})"


def cpu_model():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def version(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Report:
    """All runs of one invocation."""

    def __init__(self, options, contenders, load):
        self.options, self.contenders, self.load = options, contenders, load
        self.pages = self.runs = self.memory = self.latency = None

    def ratios(self, figure, key):
        """grab's over another one's, of each round and over the same tickers: so both had the same machine and work."""
        tickers = next(contender.tickers for contender in self.contenders if contender.key == key)
        beside = next(c.key for c in self.contenders if c.is_grab and c.tickers == tickers)
        return [figure(one) / figure(other) for one, other in zip(self.runs[beside], self.runs[key])]

    def speed_ratio(self, key):
        return self.ratios(lambda run: run.millions_per_second, key)

    def cpu_ratio(self, key):
        return self.ratios(lambda run: run.cpu_per_million, key)

    def latency_ratio(self):
        pairs = zip(self.latency["grab-16"], self.latency["grab-1"])
        return [many.millions_per_second / one.millions_per_second for many, one in pairs]

    def goals(self):
        """What is wanted, what was measured, and whether that is enough (by the median)."""
        rows = []

        def row(what, goal, values, is_met, digits=2):
            rows.append((what, goal, spread(values, digits), "yes" if is_met(median(values)) else "no"))

        for key, name, least in (("polygon", "polygon-api-client", 16), ("massive", "massive", 16),
                                 ("best-effort", "aiohttp and polars", 4.5)):
            if key in self.runs:
                row(f"bars a second, over {name}", f"≥ {least}", self.speed_ratio(key), lambda m, l=least: m >= l, 1)
        if "floor" in self.runs:
            row("CPU-seconds a bar, over the ideal pipeline", "≤ 1.25", self.cpu_ratio("floor"), lambda m: m <= 1.25)
        for in_flight, most in ((4, 64), (8, 100), (16, 160)):
            peaks = [run.peak_mb for run in self.memory[f"grab-{in_flight}"]]
            row(f"peak memory at {in_flight} in flight, MB", f"< {most}", peaks, lambda m, l=most: m < l, 0)
        sizes = [run.bytes / run.bars for run in self.memory["grab-4"]]
        row("bytes a bar on disk", "≤ 21", sizes, lambda m: m <= 21)
        row("16 in flight over one, at 200 ms", "≥ 8", self.latency_ratio(), lambda m: m >= 8, 1)
        return rows

    def contender_rows(self):
        for contender in self.contenders:
            runs = self.runs[contender.key]
            yield [
                contender.name,
                spread([run.millions_per_second for run in runs]),
                spread([run.cpu_per_million for run in runs]),
                f"{median([run.peak_mb for run in runs]):.0f}",
                f"{median([run.bytes / run.bars for run in runs]):.1f}",
                str(contender.tickers),
                "" if contender.is_grab else spread(self.speed_ratio(contender.key), 1),
                "" if contender.is_grab else spread(self.cpu_ratio(contender.key)),
            ]

    def summary(self):
        lines = [f"{what:46} {goal:>7}  {measured:24} {met}" for what, goal, measured, met in self.goals()]
        return "\n".join(lines)

    def versions(self):
        packages = ["aiohttp", "massive", "polars", "polygon-api-client", "requests"]
        python = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
        return f"{version(self.options.grab, '--version')} ({self.options.commit}), {version('rustc', '--version')}; " \
            f"Python {platform.python_version()}: {python}"

    def markdown(self):
        pages, rounds = self.pages, len(self.memory["grab-4"])
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        machine = f"{os.cpu_count()} × {cpu_model()}, {memory:.0f} GB, {platform.system()} {platform.release()}"
        return TEXT.format(
            date=date.today(), machine=machine, load=f"{self.load[0]:.1f}", versions=self.versions(), rounds=rounds,
            bars=f"{pages['bars']:,}", pages=f"{pages['pages']:,}", tickers=len(pages["tickers"]),
            json=f"{pages['json_bytes'] / pages['bars']:.1f}", gzip=f"{pages['gzip_bytes'] / pages['bars']:.1f}",
            goals=table(["", "goal", "measured", "met"], self.goals()),
            contenders=table(["", "million bars a second", "CPU-seconds a million bars", "peak MB", "bytes a bar",
                              "tickers", "grab is faster by", "grab's CPU-seconds over its"], self.contender_rows()),
            latency=table(["", "million bars a second", "CPU-seconds a million bars", "peak MB"], self.latency_rows()),
        )

    def latency_rows(self):
        for key, name in (("grab-1", "one in flight"), ("grab-16", "16 in flight")):
            runs = self.latency[key]
            yield [name, spread([run.millions_per_second for run in runs]),
                   spread([run.cpu_per_million for run in runs]), f"{median([run.peak_mb for run in runs]):.0f}"]

    def chart(self):
        bars = [(f"{c.name}: {c.tickers} tickers", median([run.millions_per_second for run in self.runs[c.key]]))
                for c in self.contenders]
        return chart(bars)


def table(head, rows):
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def chart(bars):
    """Bars a second, one bar for each contender; the colours follow the reader's."""
    width, left, height = 940, 380, 34
    scale = (width - left - 90) / max(value for _, value in bars)
    rows = []
    for number, (name, value) in enumerate(bars):
        y = 44 + number * height
        kind = "grab" if name.startswith("grab") else "floor" if name.startswith("the ideal") else "peer"
        rows.append(
            f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect class="{kind}" x="{left}" y="{y}" width="{max(2, value * scale):.0f}" height="22" rx="2"/>'
            f'<text x="{left + value * scale + 8:.0f}" y="{y + 15}">{value:.2f}</text>'
        )
    total = 54 + len(bars) * height
    return SVG.format(width=width, height=total, left=left, rows="\n".join(rows))


SVG = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="Million bars a second">
<style>
text {{ font: 14px system-ui, sans-serif; fill: #1f2328 }}
.title {{ font-weight: 600 }}
.back {{ fill: #ffffff }}
.grab {{ fill: #1a7f37 }}
.floor {{ fill: #6e7781 }}
.peer {{ fill: #54aeff }}
@media (prefers-color-scheme: dark) {{
text {{ fill: #e6edf3 }}
.back {{ fill: #0d1117 }}
.grab {{ fill: #3fb950 }}
.floor {{ fill: #8b949e }}
.peer {{ fill: #1f6feb }}
}}
</style>
<rect class="back" width="100%" height="100%"/>
<text class="title" x="{left}" y="26">Million bars a second, from loopback to disk (median)</text>
{rows}
</svg>
"""

TEXT = """# Benchmarks

`scripts/bench-peers.sh` has made this page; do not edit it. Trust ratios more than times: all contenders ran in turn on one
machine, {rounds} rounds, and each ratio is of two runs over the same tickers in the same round. Figures are medians, with the
least and the most.

- Made on {date}: {machine}; load before it began: {load}.
- {versions}.
- Pages: {tickers} tickers × 1 year, {bars} made bars in {pages} pages of at most 50,000; {json} bytes a bar as JSON, {gzip} as
  gzip -6; prices in cents, a quarter with four decimals. A static server on the same machine holds them in memory.

## Goals

{goals}

## Contenders

![Million bars a second](benchmarks.svg)

{contenders}

- Wall time and CPU-seconds (user and system) are of the contender's whole process, start-up included; the server's are not in them.
- grab and the ideal pipeline have four pages in flight and fsync every file; grab also keeps its manifest. **The Python ones do not fsync,
  keep no record, and hold whole tickers in memory.** All write one Parquet file for each ticker and month with zstd at level 1; the sums
  of all their columns were compared.
- The ideal pipeline is [`benches/floor.rs`](../benches/floor.rs): fetch, inflate, scan, encode, fsync, rename, without any check.
- Slow ones had fewer tickers, and so had grab beside them: what it takes to start weighs as much for both. The more tickers,
  the less a program's start weighs; Python's takes longer.

## With 200 ms of latency added to each answer

{latency}

## Run it

```sh
scripts/bench-peers.sh                      # this page; half an hour
scripts/bench-peers.sh --rounds 1 --quick --out /tmp/look
just bench                                  # the stages one by one (criterion)
just bench-check                            # instruction counts of the stages against benches/baseline.json
```
"""
