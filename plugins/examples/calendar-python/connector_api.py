"""The `calendar` connector: a row a day. A source that needs no server, in Python."""

import json
from datetime import date, timedelta
from itertools import islice
from math import ceil

import arrow_ipc
from arrow_ipc import BOOL, DATE32, INT8, INT16
from plugin import failure, told
from wit_world import exports
from wit_world.exports import connector_api as api
from wit_world.imports import connector_types as types
from wit_world.imports.types import Description, ErrorClass, Relation_Table

BATCH_ROWS = 8_192
ROW_BYTES = 16
EPOCH = date(1970, 1, 1).toordinal()

# Name; type, in SQL and in Arrow; value.
COLUMNS = {
    "day": ("date", DATE32, lambda day: day.toordinal() - EPOCH),
    "year": ("smallint", INT16, lambda day: day.year),
    "quarter": ("tinyint", INT8, lambda day: (day.month + 2) // 3),
    "month": ("tinyint", INT8, lambda day: day.month),
    "day_of_month": ("tinyint", INT8, lambda day: day.day),
    "weekday": ("tinyint", INT8, date.isoweekday),
    "iso_week": ("tinyint", INT8, lambda day: day.isocalendar().week),
    "is_weekend": ("boolean", BOOL, lambda day: day.isoweekday() > 5),
}


def a_date(description, default):
    return {"description": description, "type": "string", "format": "date", "default": default}


CONFIG_SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "url": {"description": "`calendar:`", "type": "string"},
        "from": a_date("The first day.", "2000-01-01"),
        "to": a_date("The last day.", "2039-12-31"),
    },
    "required": ["url"],
    "additionalProperties": False,
}


class ConnectorApi(exports.ConnectorApi):
    def describe(self):
        return Description(
            name="calendar",
            version="0.1.0",
            summary="The days of a calendar, a row each",
            schemes=["calendar"],
            config_schema=json.dumps(CONFIG_SCHEMA),
            endpoints=[],
            secrets=[],
        )

    def features(self):
        pushdown = types.Pushdown(projection=True, filter=None, limit=True)
        return types.ConnectorFeatures(pushdown=pushdown, consistency=types.Consistency.SNAPSHOT)


@told
class Session(api.Session):
    def __init__(self, first, last):
        self._first, self._last = first, last
        self._rows = (last - first).days + 1

    @classmethod
    def open(cls, config):
        config = json.loads(config)
        first, last = config_date(config, "from"), config_date(config, "to")
        if first > last:
            raise failure(ErrorClass.CONFIG, f"`from`: {first} is after `to`: {last}", "exchange them")
        return cls(first, last)

    def test(self):
        return f"a calendar of {self._first} to {self._last}"

    def relations(self):
        return ["days"]

    def open_snapshot(self, relations):
        # Days do not change: every session sees the same ones without being told which.
        return types.SnapshotResult_Opened(types.Snapshot(token="", label="days do not change"))

    def describe_relation(self, relation):
        check(relation)
        return types.RelationInfo(
            schema=schema_of(COLUMNS),
            columns=[types.Column(sql, types.Comparable.NO, None) for sql, _, _ in COLUMNS.values()],
            rows=self._rows,
            bytes=self._rows * ROW_BYTES,
        )

    def plan(self, scan, hints):
        check(scan.relation)
        # Chunks are ranges of days: there is no other way to cut them.
        if hints.key not in (None, "day"):
            hint = "cut by `day`, or leave `chunk_by` out"
            raise failure(ErrorClass.CONFIG, f"`chunk_by`: cannot cut by `{hints.key}`", hint)
        wanted = max(1, hints.rows or hints.bytes // ROW_BYTES)
        return Chunks(self._first, self._rows, max(wanted, ceil(self._rows / hints.max_chunks)))

    def storage(self, relation):
        return types.Storage_Unavailable("days are not kept in files")

    def read(self, scan, descriptor):
        check(scan.relation)
        first, rows = chunk_of(descriptor)
        columns = COLUMNS if scan.projection is None else scan.projection
        return Reader(first, rows if scan.limit is None else min(rows, scan.limit), columns)

    def check_tables(self, tables):
        raise failure(ErrorClass.CONFIG, "a calendar has no tables but its own", "name another catalog")

    def register(self, tables):
        self.check_tables(tables)

    def unregister(self, tables):
        self.check_tables(tables)


@told
class Chunks(api.Chunks):
    def __init__(self, first, rows, chunk_rows):
        self._rows = chunk_rows
        self._chunks = (
            chunk(first + timedelta(start), min(chunk_rows, rows - start))
            for start in range(0, rows, chunk_rows)
        )

    def consistency(self):
        return types.Consistency.SNAPSHOT

    def strategy(self):
        return f"ranges of {self._rows} days"

    def next(self, max):
        return list(islice(self._chunks, max))


@told
class Reader(api.Reader):
    def __init__(self, first, rows, columns):
        self._stretches = stretches(first.toordinal(), rows, columns)

    def next(self):
        return next(self._stretches, None)


def stretches(first, rows, columns):
    """The IPC stream of these days: its schema, its batches, its end."""
    yield [schema_of(columns)]
    for start in range(first, first + rows, BATCH_ROWS):
        days = [date.fromordinal(day) for day in range(start, min(start + BATCH_ROWS, first + rows))]
        yield arrow_ipc.write_batch(arrow_ipc.Batch(len(days), [column(name, days) for name in columns]))
    yield [arrow_ipc.END]


def config_date(config, field):
    text = config.get(field, CONFIG_SCHEMA["properties"][field]["default"])
    try:
        return date.fromisoformat(text)
    except (TypeError, ValueError):
        hint = f"write it as '{CONFIG_SCHEMA['properties'][field]['default']}'"
        raise failure(ErrorClass.CONFIG, f"`{field}`: {json.dumps(text)} is not a date", hint) from None


def check(relation):
    if not isinstance(relation, Relation_Table):
        hint = "name the table `days`, and put SQL into `transform`"
        raise failure(ErrorClass.CONFIG, "calendar runs no queries", hint)
    if relation.value != "days":
        raise failure(ErrorClass.NOT_FOUND, f"no table `{relation.value}` in calendar", "name `days`")


def chunk_of(descriptor):
    """The first day of a chunk, and how many there are."""
    try:
        # As text: of bytes, `json` guesses the encoding, and imports it.
        chunk = json.loads(descriptor.decode())
        return date.fromisoformat(chunk["from"]), int(chunk["rows"])
    except (ValueError, TypeError, LookupError):
        raise failure(ErrorClass.INTERNAL, "a chunk descriptor that calendar did not make") from None


def schema_of(columns):
    return arrow_ipc.write_schema([(name, COLUMNS[name][1], False) for name in columns])


def column(name, days):
    _, kind, value = COLUMNS[name]
    return arrow_ipc.write_column(kind, [value(day) for day in days])


def chunk(first, rows):
    descriptor = json.dumps({"from": first.isoformat(), "rows": rows}).encode()
    return types.Chunk(
        label=f"{first} to {first + timedelta(rows - 1)}",
        lane=types.Lane_Component(descriptor),
        rows=rows,
        bytes=rows * ROW_BYTES,
    )
