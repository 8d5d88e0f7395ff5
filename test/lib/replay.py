"""replay.py -- a real access log as events, and what plain sets say of it."""

import collections
import csv
import datetime
import gzip
import zoneinfo

from farm import SHARED

LOG = SHARED / "replay-elastic.tsv.gz"
EXPECTED = SHARED / "replay-elastic.expected.tsv"

Row = collections.namedtuple("Row", "ts date address type id ua referrer")
Day = collections.namedtuple("Day", "views visitors contents unique_views")


def load():
    with gzip.open(LOG, "rt", encoding="utf-8", newline="") as lines:
        return [
            Row(int(c[0]), c[2], c[3], c[5], c[6], c[7], c[8])
            for c in (line.rstrip("\n").split("\t") for line in lines)
        ]


def event(row):
    """As a datagram says it."""
    it = {
        "type": row.type,
        "id": row.id,
        "ts": row.ts * 1000,
        "ip": row.address,
        "ua": row.ua,
    }
    if row.referrer not in ("", "-"):
        it["ref"] = row.referrer
    return it


def days_of(rows, zone="UTC"):
    """Per day of a zone, by plain sets."""
    tz = zoneinfo.ZoneInfo(zone)
    by_day = collections.defaultdict(list)
    for row in rows:
        by_day[datetime.datetime.fromtimestamp(row.ts, tz).strftime("%Y-%m-%d")].append(row)
    return {day: count(of_day) for day, of_day in sorted(by_day.items())}


def count(rows):
    return Day(
        len(rows),
        len({(r.address, r.ua) for r in rows}),
        len({r.id for r in rows}),
        len({(r.address, r.ua, r.id) for r in rows}),
    )


def contents_of(rows):
    """(type, id) -> (views, visitors)."""
    people = collections.defaultdict(list)
    for row in rows:
        people[row.type, row.id].append((row.address, row.ua))
    return {key: (len(seen), len(set(seen))) for key, seen in people.items()}


def expected():
    """The figures that stand beside the log, per UTC day and in total."""
    with open(EXPECTED, encoding="utf-8", newline="") as lines:
        rows = [r for r in csv.DictReader(lines, delimiter="\t") if r["basis"] == "utc"]
    return {
        (r["date"] if r["date"] == "TOTAL" else f"{r['date'][:4]}-{r['date'][4:6]}-{r['date'][6:]}"): Day(
            int(r["views"]),
            int(r["uniq_ip_ua"]),
            None if r["contents"] == "-" else int(r["contents"]),
            int(r["uniq_ip_ua_content"]),
        )
        for r in rows
    }
