"""The query at the end of demo.sh: bars per ticker and year in ./sandbox-data, the same row for row as in ./undisturbed."""

import json
import sys

import duckdb

READ = "read_parquet('{}/bars_1m/**/*.parquet', hive_partitioning = true)"
KILLED, UNDISTURBED = READ.format("sandbox-data"), READ.format("undisturbed")


def number(query: str) -> int:
    """The one number that a query has for an answer."""
    ((found,),) = duckdb.sql(query).fetchall()
    return found


print(f"{'ticker':<8}{'year':<6}{'bars':>9}   first and last bar (UTC)")
for ticker, year, bars, first, last in duckdb.sql(f"""
    SELECT ticker, year, count(*), strftime(min(timestamp) AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M'),
           strftime(max(timestamp) AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M')
    FROM {KILLED} GROUP BY ALL ORDER BY ALL
""").fetchall():
    print(f"{ticker:<8}{year:<6}{bars:>9,}   {first}  {last}")

with open("status.json", encoding="utf-8") as file:
    reported = json.load(file)["bars"]
held = number(f"SELECT count(*) FROM {KILLED}")
doubled = held - number(f"SELECT count(*) FROM (SELECT DISTINCT ticker, timestamp FROM {KILLED})")
lost = number(f"SELECT count(*) FROM (FROM {UNDISTURBED} EXCEPT ALL FROM {KILLED})")
foreign = number(f"SELECT count(*) FROM (FROM {KILLED} EXCEPT ALL FROM {UNDISTURBED})")

print(f"\n{held:,} bars on disk, {reported:,} in the manifest; {doubled} doubled")
print(f"against the undisturbed run: {lost} rows lost, {foreign} rows that differ")
if held == 0 or held != reported or doubled or lost or foreign:
    sys.exit("the two are not the same")
