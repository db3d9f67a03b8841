"""Rows for histories of loads: few keys, NULL among them, late rows, and values that look alike."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pyarrow as pa

from support.load_modes import ordered

MERGED = pa.schema(
    {
        "id": pa.int32(),
        "größe ☃": pa.string(),
        "day": pa.date32(),
        "at": pa.timestamp("us", "UTC"),
        "local": pa.timestamp("us"),
        "amount": pa.decimal128(20, 4),
        "flag": pa.bool_(),
        "note": pa.string(),
    }
)


def a_row(dice, keys):
    """A row whose key is one of a few; keys can be NULL, and look alike when they are put together."""
    some = lambda value: None if dice.random() < 0.15 else value
    return {
        "id": some(dice.randrange(keys)),
        "größe ☃": some(dice.choice(["", "1", "11", "NULL", "a|b", "a", "b", "ü ☃"])),
        "day": some(date(2026, 11, dice.choice([1, 2, 3]))),
        "at": some(datetime(2026, 11, dice.randrange(1, 28), 12, tzinfo=UTC)),
        "local": some(datetime(1900, 1, 1) + timedelta(microseconds=dice.randrange(10**15))),
        "amount": some(Decimal(dice.randrange(10**15)).scaleb(-4)),
        "flag": some(dice.random() < 0.3),
        "note": some("x" * dice.randrange(5)),
    }


KEY = ["id", "größe ☃"]


ARRIVED = pa.schema(
    {"id": pa.int64(), "at": pa.timestamp("us", "UTC"), "day": pa.date32(), "note": pa.string()}
)


def arrivals(dice, first_day, size):
    """Rows that arrived from a day on."""
    days = [date(2026, 11, first_day + dice.randrange(3)) for _ in range(size)]
    rows = [
        {
            "id": dice.randrange(10**6),
            "at": datetime(day.year, day.month, day.day, dice.randrange(24), tzinfo=UTC),
            "day": day,
            "note": dice.choice([None, "", "ü"]),
        }
        for day in days
    ]
    return rows


SUBSCRIPTIONS = pa.schema(
    {
        "id": pa.int64(),
        "plan": pa.string(),
        "seats": pa.int32(),
        "note": pa.string(),
        "at": pa.timestamp("us", "UTC"),
    }
)

VERSIONS = pa.schema(
    {
        "sk": pa.string(),
        "valid_from": pa.timestamp("us", "UTC"),
        "valid_to": pa.timestamp("us", "UTC"),
        "is_current": pa.bool_(),
        "id": pa.int64(),
        "plan": pa.string(),
        "seats": pa.int32(),
        "note": pa.string(),
    }
)

NAMES = {"surrogate_key": "sk", "current": "is_current"}


def subscriptions(dice, size):
    """Rows of few keys, at any time: many come late, and many change nothing."""
    found = {}
    for _ in range(size):
        id = dice.choice([1, 2, 3, 4, 5, None])
        at = datetime(2026, 1 + dice.randrange(12), 1, tzinfo=UTC)
        found[id, at] = {
            "id": id,
            "plan": dice.choice(["a", "b", "", None]),
            "seats": dice.choice([1, None]),
            "note": str(dice.random()),
            "at": at,
        }
    return list(found.values())


def comparable(rows):
    """Versions without their surrogate keys."""
    return ordered({name: value for name, value in row.items() if name != "sk"} for row in rows)
