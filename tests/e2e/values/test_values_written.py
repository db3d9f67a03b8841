"""What is written: every value of every type in every format, flat, nested, and in the names of folders."""

import csv
import functools
import io
import json
import math
import re
import tempfile
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.endpoint import target as sink
from support.longshore import ROOT, Program

FORMATS = ["parquet", "arrow", "csv", "json"]
DAY_SECONDS = 86_400
YEAR_300000 = 108_853_222

DATES = {
    YEAR_300000: "+300000-01-01", -735_160: "-0043-03-15", 2_932_896: "9999-12-31", 2_932_897: "+10000-01-01",
    -719_528: "0000-01-01",
    -719_529: "-0001-12-31", -719_162: "0001-01-01", 0: "1970-01-01", -1: "1969-12-31", 11_016: "2000-02-29",
    2**31 - 1: "+5881580-07-11", -(2**31): "-5877641-06-23",
}  # fmt: skip
MICROSECONDS = {
    2**63 - 1: "+294247-01-10T04:00:54.775807", -(2**63): "-290308-12-21T19:59:05.224192", 0: "1970-01-01T00:00:00",
    -1: "1969-12-31T23:59:59.999999", 253_402_300_799_999_999: "9999-12-31T23:59:59.999999",
    -62_135_596_800_000_000: "0001-01-01T00:00:00",
    -735_160 * DAY_SECONDS * 10**6: "-0043-03-15T00:00:00", 1_500: "1970-01-01T00:00:00.0015",
}  # fmt: skip
NANOSECONDS = {
    2**63 - 1: "2262-04-11T23:47:16.854775807", -(2**63): "1677-09-21T00:12:43.145224192", 1: "1970-01-01T00:00:00.000000001",
    -1: "1969-12-31T23:59:59.999999999",
}  # fmt: skip
WORDS = [
    "",
    "a\0b",
    "\0",
    'say "hi", you',
    "two\nlines",
    "a\r\nb",
    "\r",
    "\\N",
    "NULL",
    "NaN",
    "null",
    "☃ 😀 \u2028",
    " ",
    "\t",
    "'",
    "{}",
    "x" * 2_000_000,
]
REALS = [1.7976931348623157e308, 5e-324, -0.0, 0.0, 0.1, 1e16, 123456789.0, math.nan, math.inf, -math.inf]
SMALL_REALS = [3.4028234663852886e38, 1.401298464324817e-45, -0.0, 0.5, math.nan, math.inf, -math.inf]


def zoned(texts):
    return {value: f"{text}Z" for value, text in texts.items()}


def whole(bits, signed=True):
    ends = [-(2 ** (bits - 1)), 2 ** (bits - 1) - 1] if signed else [0, 2**bits - 1]
    return {value: str(value) for value in [*ends, 1]}


def decimals(*texts):
    return {Decimal(text): text for text in texts}


#: Of each type, values as Arrow has them and as text.
SAMPLES = {
    **{f"int{bits}": (getattr(pa, f"int{bits}")(), whole(bits)) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (getattr(pa, f"uint{bits}")(), whole(bits, signed=False)) for bits in (8, 16, 32, 64)},
    "float": (pa.float32(), [(value, repr(value)) for value in SMALL_REALS]),
    "double": (pa.float64(), [(value, repr(value)) for value in REALS]),
    "boolean": (pa.bool_(), {True: "true", False: "false"}),
    "decimal": (
        pa.decimal128(38, 10),
        decimals("9" * 28 + "." + "9" * 10, "-" + "9" * 28 + "." + "9" * 10, "1e-10", "0"),
    ),
    "decimal_whole": (pa.decimal128(38, 0), decimals("9" * 38, "-1")),
    "decimal_wide": (pa.decimal256(76, 20), decimals("9" * 56 + "." + "9" * 20, "-0." + "0" * 19 + "1")),
    "text": (pa.string(), {word: word for word in WORDS}),
    "large_text": (pa.large_string(), {word: word for word in WORDS[:6]}),
    "bytes": (pa.binary(), {raw: raw.hex() for raw in (b"", b"\0", b"\xff\x00abc", b"\x80" * 70_000)}),
    "fixed_bytes": (pa.binary(3), {raw: raw.hex() for raw in (b"\0\0\0", b"\xff\xfe\xfd")}),
    "date": (pa.date32(), DATES),
    "date64": (pa.date64(), {value * DAY_SECONDS * 1000: text for value, text in DATES.items()}),
    "time_s": (pa.time32("s"), {0: "00:00:00", 86_399: "23:59:59", 86_400: "24:00:00"}),
    "time_ms": (pa.time32("ms"), {1: "00:00:00.001", 86_400_000: "24:00:00"}),
    "time_us": (
        pa.time64("us"),
        {1: "00:00:00.000001", 86_399_999_999: "23:59:59.999999", 86_400_000_000: "24:00:00"},
    ),
    "time_ns": (pa.time64("ns"), {1: "00:00:00.000000001", 86_399_999_999_999: "23:59:59.999999999"}),
    "at_s": (
        pa.timestamp("s"),
        {YEAR_300000 * DAY_SECONDS: "+300000-01-01T00:00:00", -1: "1969-12-31T23:59:59"},
    ),
    "at_ms": (pa.timestamp("ms"), {YEAR_300000 * DAY_SECONDS * 1000 + 1: "+300000-01-01T00:00:00.001"}),
    "at": (pa.timestamp("us"), MICROSECONDS),
    "at_ns": (pa.timestamp("ns"), NANOSECONDS),
    "utc": (pa.timestamp("us", "UTC"), zoned(MICROSECONDS)),
    "utc_ns": (pa.timestamp("ns", "UTC"), zoned(NANOSECONDS)),
    "utc_by_offset": (pa.timestamp("us", "+00:00"), zoned(MICROSECONDS)),
    "east": (
        pa.timestamp("us", "+05:30"),
        {0: "1970-01-01T05:30:00+05:30", -1: "1970-01-01T05:29:59.999999+05:30"},
    ),
    "berlin": (pa.timestamp("us", "Europe/Berlin"), {0: "1970-01-01T00:00:00Z"}),
}
SAMPLES = {
    name: (type_, list(texts.items() if isinstance(texts, dict) else texts))
    for name, (type_, texts) in SAMPLES.items()
}
ROWS = max(len(texts) for _, texts in SAMPLES.values()) + 1


def stored(type_):
    """The whole numbers that a type is made of, if it is."""
    if pa.types.is_date32(type_) or pa.types.is_time32(type_):
        return pa.int32()
    return pa.int64() if pa.types.is_temporal(type_) else type_


def column(name, rows=None):
    type_, texts = SAMPLES[name]
    values = [value for value, _ in texts]
    return pa.array(values + [None] * ((rows or len(values)) - len(values)), stored(type_)).cast(type_)


def nested(name):
    """All values in one list, no list, and an empty one; in three shapes."""
    values = pa.concat_arrays([column(name), pa.nulls(1, SAMPLES[name][0])])
    offsets = pa.array([0, None, len(values), len(values)], pa.int32())
    items = pa.ListArray.from_arrays(offsets, values)
    objects = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([values], ["x"]))
    return {
        f"{name}.list": items,
        f"{name}.objects": objects,
        f"{name}.within": pa.StructArray.from_arrays([items], ["x"]),
    }


def arrow_file(path, columns):
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)


#: By columns of each kind, the folders of these names.
FOLDERS = {
    "days": (pa.array([*DATES, None], pa.int32()).cast(pa.date32()), [*DATES.values(), None]),
    "whole": (pa.array([2**63 - 1, -(2**63), 0, None], pa.int64()), [str(2**63 - 1), str(-(2**63)), "0", None]),
    "unsigned": (pa.array([2**64 - 1, 0], pa.uint64()), [str(2**64 - 1), "0"]),
    "truth": (pa.array([True, False, None]), ["true", "false", None]),
    "texts": (pa.array(["a/b", "a=b", " ", ".", "..", "ü☃", "%41", "a\0b", "NaN", "null", "+1", "007", "a\\b", "x" * 200, "",
                        None]),
              ["a/b", "a=b", " ", ".", "..", "ü☃", "%41", "a\0b", "NaN", "null", "+1", "007", "a\\b", "x" * 200, None, None]),
}  # fmt: skip


@pytest.fixture(scope="module")
def shared(scratch, cache):
    """All of it, in all formats."""
    program = Program(Path(tempfile.mkdtemp(prefix="t.", dir=scratch)), cache)
    data = program.folder / "data"
    data.mkdir()
    arrow_file(
        data / "flat.arrow", {"id": pa.array(range(ROWS)), **{name: column(name, ROWS) for name in SAMPLES}}
    )
    arrow_file(
        data / "nested.arrow",
        {"id": pa.array(range(3)), **{k: v for name in SAMPLES for k, v in nested(name).items()}},
    )
    for name, (keys, _) in FOLDERS.items():
        arrow_file(data / f"{name}.arrow", {"id": pa.array(range(len(keys))), "k": keys})
    return program


class Once:
    """A job in a format is run when it is first asked for: one that fails leaves the others' tests as they are."""

    def __init__(self, program):
        self.program, self.done = program, {}

    def __call__(self, relation, format_, **keys):
        place = f"{relation}-{format_}"
        if place not in self.done:
            null = {"csv": {"null": "\\N"}} if format_ == "csv" else {}
            target = {"url": f"file://{self.program.lake}/{place}", "format": format_, **null, **keys}
            source = {"url": f"file://{self.program.folder}/data"}
            self.done[place] = self.program.call(
                "run", self.program.job(source, tables=[f"{relation}.arrow"], target=target)
            )
        assert self.done[place].returncode == 0, self.done[place].stderr
        return self.program.lake / place / relation


@pytest.fixture(scope="module")
def once(shared):
    return Once(shared)


def loaded(text):
    return json.loads(text, parse_int=Decimal, parse_float=Decimal, parse_constant=pytest.fail)


def unfolded(path):
    """A file's rows: of Parquet and Arrow a table, else lists of texts, or of what JSON has, by column."""
    csv.field_size_limit(2**31 - 1)
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None)
    if path.suffix == ".arrow":
        return pa.ipc.open_file(str(path)).read_all()
    text = path.read_bytes().decode()
    if path.suffix == ".csv":
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        return {
            name: [None if row[at] == "\\N" else row[at] for row in rows] for at, name in enumerate(header)
        }
    rows = [loaded(line) for line in text.split("\n") if line]
    return {name: [row[name] for row in rows] for name in rows[0]}


@functools.cache
def one_file(folder):
    [path] = folder.iterdir()
    return unfolded(path)


def is_number(type_):
    return pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_)


def same_real(value, expected):
    return (math.isnan(value) and math.isnan(expected)) or repr(value) == repr(expected)


NAMED = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def same_text(type_, value, text, json_=False):
    """Whether a text, or what JSON has, stands for a value."""
    if pa.types.is_floating(type_):
        if json_ and text in NAMED:
            return value == NAMED[text]
        real = float(value)
        return same_real(pa.scalar(real, type_).as_py(), float(text)) and (
            not json_ or isinstance(value, Decimal)
        )
    if pa.types.is_boolean(type_):
        return value is (text == "true") if json_ else value == text
    if pa.types.is_decimal(type_):
        return Decimal(value) == Decimal(text)
    if pa.types.is_integer(type_):
        return isinstance(value, Decimal if json_ else str) and str(value) == text
    if pa.types.is_date64(type_):
        return re.fullmatch(re.escape(text) + r"(T00:00:00)?", value) is not None
    if pa.types.is_timestamp(type_) and type_.tz not in (None, "UTC", "+00:00"):
        return datetime.fromisoformat(value) == datetime.fromisoformat(text)
    if pa.types.is_temporal(type_):
        plain = lambda text: re.sub(r"(\.\d*?)0+(Z?)$", r"\1\2", text)
        return plain(value) == plain(text)
    return value == text


def leaves(array):
    """The values within lists and structs, as they are stored."""
    array = array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
    while pa.types.is_nested(array.type):
        array = array.flatten() if not pa.types.is_struct(array.type) else array.flatten()[0]
    return array


def check(name, found, rows):
    """Values of Parquet and Arrow files against what they should be."""
    type_, texts = SAMPLES[name]
    values = found.cast(type_).cast(stored(type_)).to_pylist()
    assert len(values) == rows and values[len(texts) :] == [None] * (rows - len(texts))
    for value, (expected, _) in zip(values, texts, strict=False):
        assert same_real(value, expected) if isinstance(expected, float) else value == expected


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", SAMPLES)
def test_a_value_is_in_the_file_as_it_was(once, format_, name):
    found = one_file(once("flat", format_))[name]
    type_, texts = SAMPLES[name]
    if format_ in ("parquet", "arrow"):
        check(name, found, ROWS)
        return
    assert len(found) == ROWS
    known = [
        (text, value)
        for value, (_, text) in zip(found, texts, strict=False)
        if not (format_ == "csv" and text == "\\N")
    ]
    assert [
        pair for pair in known if pair[1] is None or not same_text(type_, pair[1], pair[0], format_ == "json")
    ] == []
    assert found[len(texts) :] == [None] * (ROWS - len(texts))


def plain_shape(value, shape):
    value = value["x"] if shape == "within" else value
    return value if value is None or shape != "objects" else [item["x"] for item in value]


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("shape", ["list", "objects", "within"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_value_within_others_is_in_the_file_as_it_was(once, format_, shape, name):
    found = one_file(once("nested", format_))[f"{name}.{shape}"]
    type_, texts = SAMPLES[name]
    if format_ in ("parquet", "arrow"):
        check(name, leaves(found), len(texts) + 1)
        return
    if format_ == "csv":
        found = [value if value is None else loaded(value) for value in found]
    full, null, empty = (None if value is None else plain_shape(value, shape) for value in found)
    assert null is None and empty == [] and full[-1] is None and len(full) == len(texts) + 1
    pairs = [(text, value) for value, (_, text) in zip(full, texts, strict=False)]
    assert [
        pair for pair in pairs if pair[1] is None or not same_text(type_, pair[1], pair[0], json_=True)
    ] == []


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("name", FOLDERS)
def test_a_value_names_the_folder_of_its_rows(once, format_, name):
    folder = once(name, format_, partition_by=["k"])
    keys, expected = FOLDERS[name]
    found = {}
    for path in folder.iterdir():
        text = path.name.removeprefix("k=")
        text = None if text == "__HIVE_DEFAULT_PARTITION__" else unquote(text)
        for part in path.iterdir():
            ids = unfolded(part)["id"]
            found.update({int(str(id_)): text for id_ in (ids if isinstance(ids, list) else ids.to_pylist())})
    assert [found[id_] for id_ in range(len(keys))] == expected


@pytest.mark.parametrize("name", ["whole", "texts"])
@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_a_folders_value_is_read_as_what_it_was(once, program, format_, name):
    folder = once(name, format_, partition_by=["k"])
    keys, expected = FOLDERS[name]
    program.ok("run", program.job({"url": f"file://{folder.parent}"}, tables=[name]))
    found = pq.read_table(program.lake / name, partitioning=None).sort_by("id")["k"]
    if name == "texts":
        assert found.to_pylist() == expected
    else:
        assert (
            found.type == keys.type
            and found.cast(stored(keys.type)).to_pylist() == keys.cast(stored(keys.type)).to_pylist()
        )


def test_a_date_of_milliseconds_is_a_date_in_parquet_or_the_documents_say_what(once):
    [path] = once("flat", "parquet").iterdir()
    is_date = pa.types.is_date32(pq.read_schema(path).field("date64").type)
    documents = (ROOT / "docs/how-to/targets.md").read_text() + (ROOT / "docs/how-to/files.md").read_text()
    assert is_date or re.search("date64", documents, re.I)


#: What the source of files calls these types.
DECLARED = {
    "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint", "float": "float", "double": "double",
    "boolean": "boolean",
    "decimal": "decimal(38,10)", "decimal_whole": "decimal(38,0)", "text": "string", "date": "date", "at": "timestamp",
    "utc": "timestamptz",
    "at_ns": "timestamp(9)", "utc_ns": "timestamptz(9)",
}  # fmt: skip


@pytest.fixture(scope="module")
def reread(once):
    """What was written as text, read again by the program itself, with declared types."""
    found = {}

    def read(format_):
        if format_ not in found:
            folder = once("flat", format_).parent
            how = {"csv": {"null": "\\N", "newlines": True}} if format_ == "csv" else {}
            columns = {**DECLARED, "uint64": "string", "decimal_wide": "string"}
            source = {"url": f"file://{folder}", "columns": columns, **how}
            target = {"url": f"file://{once.program.lake}/again-{format_}"}
            found[format_] = once.program.call(
                "run", once.program.job(source, tables=["flat"], target=target)
            )
        assert found[format_].returncode == 0, found[format_].stderr
        return pq.read_table(once.program.lake / f"again-{format_}" / "flat")

    return read


@pytest.mark.parametrize("format_", ["csv", "json"])
@pytest.mark.parametrize("name", DECLARED)
def test_what_was_written_as_text_is_read_as_what_it_was(reread, format_, name):
    found = reread(format_).sort_by("id")[name]
    assert found.type == SAMPLES[name][0]
    check(name, found, ROWS)


# From a database

FROM_POSTGRESQL = """
    SELECT * FROM (VALUES
      (1, date '300000-01-01', 'NaN'::float8, 'Infinity'::float4, timestamp '294246-12-31 23:59:59.999999',
       timestamptz '294246-12-31 23:59:59+00'),
      (2, date '0044-03-15 BC', 'Infinity'::float8, 'NaN'::float4, timestamp '0044-03-15 12:00:00 BC',
       timestamptz '0044-03-15 12:00:00+00 BC'),
      (3, date '4714-11-24 BC', '-Infinity'::float8, '-Infinity'::float4, timestamp '4714-11-24 00:00:00 BC',
       timestamptz '4713-01-01 00:00:00+00 BC'),
      (4, date '5874897-12-31', 5e-324, 1e-45, timestamp '0001-01-01', timestamptz '9999-12-31 23:59:59.999999+00'),
      (5, NULL, NULL, NULL, NULL, NULL)) v(id, d, f, f4, at, tz)
"""
THEIRS = {
    "d": ["+300000-01-01", "-0043-03-15", "-4713-11-24", "+5874897-12-31", None],
    "f": ["NaN", "Infinity", "-Infinity", 5e-324, None],
    "f4": ["Infinity", "NaN", "-Infinity", 1e-45, None],
    "at": [
        "+294246-12-31T23:59:59.999999",
        "-0043-03-15T12:00:00",
        "-4713-11-24T00:00:00",
        "0001-01-01T00:00:00",
        None,
    ],
    "tz": [
        "+294246-12-31T23:59:59Z",
        "-0043-03-15T12:00:00Z",
        "-4712-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        None,
    ],
}
AS_LISTS = f"SELECT id, {', '.join(f'ARRAY[{name}] AS {name}' for name in THEIRS)} FROM ({FROM_POSTGRESQL}) v"


def shown(value):
    """A number as a number, whatever it is wrapped in."""
    if isinstance(value, list):
        [value] = value
    return float(value) if isinstance(value, (Decimal, float)) else value


@pytest.fixture(scope="module")
def databases(server, shared):
    relations = [{"query": FROM_POSTGRESQL, "as": "flat"}, {"query": AS_LISTS, "as": "lists"}]
    for format_ in ("json", "csv"):
        target = {
            "url": f"file://{shared.lake}/postgres-{format_}",
            "format": format_,
            **({"csv": {"null": "\\N"}} if format_ == "csv" else {}),
        }
        shared.ok("run", shared.postgres(server, relations=relations, target=target))
    return shared.lake


@pytest.mark.parametrize(
    "format_, relation", [("json", "flat"), ("json", "lists"), ("csv", "lists"), ("csv", "flat")]
)
@pytest.mark.parametrize("name", THEIRS)
def test_what_no_calendar_and_no_number_has_is_told_from_null(databases, format_, relation, name):
    rows = one_file(databases / f"postgres-{format_}" / relation)
    found = [loaded(value) if (format_, relation) == ("csv", "lists") else value for value in rows[name]]
    found = dict(zip(map(int, rows["id"]), map(shown, found), strict=True))
    expected = THEIRS[name]
    if (format_, relation) == ("csv", "flat") and name.startswith("f"):
        assert found[5] is None and all(same_real(float(found[n + 1]), float(expected[n])) for n in range(4))
        return
    assert [found[n] for n in range(1, 6)] == expected


def test_a_date_of_any_year_names_its_folder(server, program):
    target = {"url": f"file://{program.lake}", "partition_by": ["d"]}
    program.ok("run", program.postgres(server, query=FROM_POSTGRESQL, name="days.yaml", target=target))
    names = {unquote(path.name) for path in (program.lake / "days").iterdir()}
    assert names == {f"d={day or '__HIVE_DEFAULT_PARTITION__'}" for day in THEIRS["d"]}


@pytest.mark.parametrize("relation", ["flat", "lists"])
def test_an_endpoint_is_sent_the_same(server, program, endpoint, relation):
    query = FROM_POSTGRESQL if relation == "flat" else AS_LISTS
    program.ok(
        "run", program.postgres(server, relations=[{"query": query, "as": relation}], target=sink(endpoint))
    )
    rows = sorted(endpoint.rows(f"/rows/{relation}"), key=lambda row: row["id"])
    assert {name: [shown(row[name]) for row in rows] for name in THEIRS} == THEIRS
