"""Texts as values: a text is taken for a value only where the value stands for exactly that text."""

import bz2
import csv
import decimal
import gzip
import io
import json
import lzma
import math
import re
import struct
import tempfile
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
import yaml

from support.longshore import Program

TEXT, INT, REAL, BOOL, DAY = "string", "int64", "double", "bool", "date32[day]"
AT, UTC, AT9, UTC9 = "timestamp[us]", "timestamp[us, tz=UTC]", "timestamp[ns]", "timestamp[ns, tz=UTC]"

#: Dates that Python has not.
FAR = {
    "+300000-01-01": 108_853_222,
    "-0043-03-15": -735_160,
    "0000-01-01": -719_528,
    "+10000-01-01": 2_932_897,
}
BAD = object()


def days(text):
    return FAR[text] if text in FAR else date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()


def moment(text, digits=6):
    clock, fraction, zone = re.fullmatch(r"(.{19})(?:\.(\d+))?(Z|[+-]\d\d:\d\d)?", text).groups()
    seconds = datetime.fromisoformat(clock + (zone or "Z")).timestamp()
    return int(seconds) * 10**digits + int((fraction or "0").ljust(digits, "0")[:digits])


READ = {TEXT: str, INT: int, REAL: float, BOOL: "true".__eq__, DAY: days, AT: moment, UTC: moment,
        AT9: lambda text: moment(text, 9), UTC9: lambda text: moment(text, 9)}  # fmt: skip


def source(folder, **keys):
    return {"url": f"file://{folder}", **keys}


@pytest.fixture
def data(program):
    folder = program.folder / "data"
    folder.mkdir()
    return folder


def table(program, relation):
    return pq.read_table(program.lake / relation, partitioning=None)


def raw(column):
    """Values as they are stored: Python knows no year 300000."""
    if pa.types.is_date32(column.type):
        return column.cast(pa.int32()).to_pylist()
    return column.cast(pa.int64()).to_pylist() if pa.types.is_timestamp(column.type) else column.to_pylist()


def csv_text(rows):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def same(value, expected):
    if isinstance(expected, float) and isinstance(value, float):
        return (math.isnan(value) and math.isnan(expected)) or repr(value) == repr(expected)
    return type(value) is type(expected) and value == expected


@pytest.fixture(scope="module")
def shared(scratch, cache):
    """For runs that many tests look at."""
    program = Program(Path(tempfile.mkdtemp(prefix="t.", dir=scratch)), cache)
    (program.folder / "data").mkdir()
    return program


def moved(shared, name, text, **keys):
    (shared.folder / "data" / name).write_text(text)
    shared.ok("run", shared.job(source(shared.folder / "data", **keys), tables=[name]))
    return table(shared, name.split(".")[0]).sort_by("id")


# Types that nobody declared

INFERRED = {
    "whole numbers": (INT, ["1", "-20"]),
    "the ends of whole numbers": (INT, ["-9223372036854775808", "9223372036854775807"]),
    "beyond whole numbers": (TEXT, ["9223372036854775808", "1"]),
    "a zero in front": (TEXT, ["007", "1"]),
    "zero alone": (INT, ["0", "10"]),
    "a plus": (TEXT, ["+1", "2"]),
    "minus zero": (TEXT, ["-0", "1"]),
    "a blank in front": (TEXT, [" 1", "2"]),
    "a blank behind": (TEXT, ["1 ", "2"]),
    "hexadecimal": (TEXT, ["0x10", "1"]),
    "underscores": (TEXT, ["1_000", "1"]),
    "full-width digits": (TEXT, ["１", "2"]),
    "numbers": (REAL, ["0.5", "-2.25"]),
    "an exponent": (REAL, ["1e3", "0.5"]),
    "one digit behind the point": (REAL, ["1.0", "2.5"]),
    "whole and other numbers": (REAL, ["1", "0.5"]),
    "prices": (TEXT, ["1.10", "2.25"]),
    "a needless zero": (TEXT, ["0.5", "2.50"]),
    "seventeen digits that count": (REAL, ["0.30000000000000004", "0.1"]),
    "more digits than a double has": (TEXT, ["0.1234567890123456789", "0.1"]),
    "a whole number that no double is": (TEXT, ["9007199254740993", "0.5"]),
    "the same, behind": (TEXT, ["0.5", "-9007199254740993"]),
    "the largest that every double is": (REAL, ["9007199254740992", "0.5"]),
    "too large for a double": (TEXT, ["1e400", "1"]),
    "too small for a double": (TEXT, ["1e-400", "1"]),
    "a point in front": (TEXT, [".5", "1"]),
    "a point behind": (TEXT, ["5.", "1"]),
    "no number": (TEXT, ["NaN", "0.5"]),
    "no end": (TEXT, ["Infinity", "0.5"]),
    "truth": (BOOL, ["true", "false"]),
    "truth in capitals": (TEXT, ["TRUE", "false"]),
    "truth as a name": (TEXT, ["True", "False"]),
    "truth as letters": (TEXT, ["t", "f"]),
    "truth and numbers": (TEXT, ["true", "1"]),
    "dates": (DAY, ["2026-11-20", "0001-01-01"]),
    "dates beyond four digits": (DAY, ["+300000-01-01", "+10000-01-01"]),
    "dates before the year one": (DAY, ["-0043-03-15", "0000-01-01"]),
    "no date": (TEXT, ["2026-02-29", "2026-02-28"]),
    "a short date": (TEXT, ["2026-1-1", "2026-01-01"]),
    "slashes": (TEXT, ["2026/01/01", "2026/01/02"]),
    "five digits of a year": (TEXT, ["02026-01-01", "2026-01-01"]),
    "a date and a number": (TEXT, ["2026-01-01", "5"]),
    "moments": (AT, ["2026-01-01 10:00:00", "2026-01-01T10:00:00.123456"]),
    "moments with a zone": (UTC, ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+05:30"]),
    "a date and a moment": (TEXT, ["2026-01-01", "2026-01-04T23:30:00"]),
    "a date and a moment with a zone": (TEXT, ["2026-01-01", "2026-01-04T23:30:00-05:00"]),
    "moments with a zone and without": (TEXT, ["2026-01-01 10:00:00", "2026-01-01 10:00:00+05:00"]),
    "seven digits of a second": (AT9, ["2026-01-01 10:00:00.1234567", "2026-01-01 10:00:00"]),
    "nine digits of a second": (UTC9, ["2026-01-01T10:00:00.123456789Z", "2026-01-01T10:00:00+01:00"]),
    "ten digits of a second": (TEXT, ["2026-01-01 10:00:00.1234567891", "2026-01-01 10:00:00"]),
    "a moment of no day": (TEXT, ["2026-01-01 25:00:00", "2026-01-01 10:00:00"]),
    "nothing at all": (TEXT, ["", ""]),
    "nothing at first": (INT, ["", "5"]),
    "a NUL": (TEXT, ["a\0b", "\0"]),
    "line separators": (TEXT, ["a\u2028b", "\u0085"]),
}


@pytest.fixture(scope="module")
def inferred(shared):
    columns = list(INFERRED)
    rows = [[number, *(INFERRED[name][1][number] for name in columns)] for number in range(2)]
    return moved(shared, "inferred.csv", csv_text([["id", *columns], *rows]))


@pytest.mark.parametrize("case", INFERRED)
def test_a_column_is_more_than_text_only_where_all_its_texts_come_back(inferred, case):
    type_, texts = INFERRED[case]
    assert str(inferred.schema.field(case).type) == type_
    assert raw(inferred[case]) == [None if text == "" else READ[type_](text) for text in texts]


ANY = "whatever holds it"
JSON_INFERRED = {
    "whole numbers": (INT, ["1", "null"], [1, None]),
    "numbers": (REAL, ["0.5", "3"], [0.5, 3.0]),
    "an unsigned whole number": (ANY, ["18446744073709551615", "null"], ["18446744073709551615", None]),
    "a whole number below": (ANY, ["-9223372036854775809", "null"], ["-9223372036854775809", None]),
    "truth": (BOOL, ["true", "false"], [True, False]),
    "numbers in quotes": (TEXT, ['"007"', '"1"'], ["007", "1"]),
    "a NUL": (TEXT, ['"a\\u0000b"', '""'], ["a\0b", ""]),
    "a pair of surrogates": (TEXT, ['"\\ud83d\\ude00"', '"☃"'], ["😀", "☃"]),
    "lists": (f"list<element: {INT}>", ["[1, null]", "[]"], [[1, None], []]),
    "objects": (f"struct<x: {INT}>", ['{"x": 1}', "{}"], [{"x": 1}, {"x": None}]),
    "large numbers in lists": (ANY, ["[18446744073709551615]", "[]"], [["18446744073709551615"], []]),
}


@pytest.fixture(scope="module")
def json_inferred(shared):
    def line(row):
        return ", ".join(
            [f'"id": {row}', *(f'"{name}": {texts[row]}' for name, (_, texts, _) in JSON_INFERRED.items())]
        )

    return moved(shared, "shapes.jsonl", "".join(f"{{{line(row)}}}\n" for row in range(2)))


@pytest.mark.parametrize("case", JSON_INFERRED)
def test_a_value_of_json_is_what_it_says(json_inferred, case):
    type_, _, expected = JSON_INFERRED[case]
    column = json_inferred[case]
    if type_ is ANY:
        text = lambda value: (
            value
            if value is None
            else [text(item) for item in value]
            if isinstance(value, list)
            else str(value)
        )
        assert [text(value) for value in column.to_pylist()] == expected
        return
    assert str(column.type).replace("item:", "element:") == type_ and column.to_pylist() == expected


# What comes after the sample, and types that are declared: one value a row, and rows that do not fit are left out

AFTER = {
    "n": (INT, ["1", "2"], ["3", "-5", "9223372036854775807", "-9223372036854775808"],
          ["2.9", "007", "00501", "+3", "1.0", "1e3", " 4", "-0", "9223372036854775808", "x"]),
    "d": (REAL, ["0.5", "1.5"], ["2", "1e3", "-2.25", "1.0"],
          ["1.10", "9007199254740993", "0.1234567890123456789", "1e400", "x"]),
    "b": (BOOL, ["true", "false"], ["true"], ["TRUE", "1", "yes", "t"]),
    "day": (DAY, ["2026-01-01", "2026-01-02"], ["+300000-01-01", "-0043-03-15", "0001-01-01", "9999-12-31"],
            ["2026-01-04T23:30:00-05:00", "2026-01-04 00:00:00", "2026-02-29", "2026-1-3", "20260103", "10000-01-01"]),
    "at": (AT, ["2026-01-01 00:00:00", "2026-01-01 00:00:01"], ["2026-01-01T10:00:00.123456", "9999-12-31 23:59:59.999999"],
           ["2026-01-01 10:00:00+05:00", "2026-01-01T10:00:00Z", "2026-01-01 10:00:00.1234567", "2026-01-01",
            "2026-01-01 10:00:60"]),
    "zoned": (UTC, ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00+02:00"], ["2026-01-01 10:00:00-05:00"],
              ["2026-01-01T10:00:00", "2026-01-01T10:00:00.1234567Z", "2026-01-01T10:00:00+25:00"]),
}  # fmt: skip

DECLARED = {
    "tinyint": {"-128": -128, "127": 127, "128": BAD},
    "smallint": {"32767": 32767, "-32769": BAD},
    "int": {"2147483647": 2**31 - 1, "2147483648": BAD},
    "bigint": {"9223372036854775807": 2**63 - 1, "-9223372036854775808": -(2**63), "9223372036854775808": BAD, "007": BAD,
               "+1": BAD,
               "2.9": BAD, "x": BAD, " 1": BAD},
    "boolean": {"true": True, "false": False, "yes": BAD, "1": BAD},
    "float": {"1.5": 1.5, "0.1": struct.unpack("f", struct.pack("f", 0.1))[0],
              "1.10": struct.unpack("f", struct.pack("f", 1.1))[0],
              "16777217": BAD, "1e39": BAD},
    "double": {"1.10": 1.1, "1e3": 1e3, "9007199254740992": 2.0**53, "9007199254740993": BAD, "1e400": BAD, "NaN": math.nan,
               "Infinity": math.inf, "-Infinity": -math.inf, "1,5": BAD},
    "decimal(10,2)": {"1.5": "1.50", "1.500": "1.50", "1e2": "100.00", "-0.01": "-0.01", "99999999.99": "99999999.99",
                      "1.999": BAD,
                      "100000000": BAD, "1e4294967296": BAD, "1e-3": BAD, "0.001": BAD, "NaN": BAD},
    "decimal(38,0)": {"9" * 38: "9" * 38, "-" + "9" * 38: "-" + "9" * 38, "9" * 39: BAD, "1e37": "1" + "0" * 37, "0.5": BAD},
    "decimal(38,38)": {"0." + "9" * 38: "0." + "9" * 38, "1": BAD, "0." + "1" * 39: BAD},
    "date": {"2028-02-29": days("2028-02-29"), "+300000-01-01": FAR["+300000-01-01"], "-0043-03-15": FAR["-0043-03-15"],
             "2026-02-29": BAD, "2026-01-01T00:00:00": BAD, "20260101": BAD, "0000-00-00": BAD},
    "timestamp": {"2026-01-01T00:00:00": moment("2026-01-01T00:00:00"),
                  "2026-01-01 00:00:00.1234560": moment("2026-01-01 00:00:00.123456"),
                  "+294247-01-10T04:00:54.775807": 2**63 - 1, "+294247-01-10T04:00:54.775808": BAD,
                  "2026-01-01 00:00:00.1234567": BAD, "2026-01-01 00:00:00+02:00": BAD, "2026-01-01T00:00:00Z": BAD},
    "timestamptz": {"2026-01-01T00:00:00+02:00": moment("2026-01-01T00:00:00+02:00"),
                    "2026-01-01 00:00:00Z": moment("2026-01-01 00:00:00"),
                    "2026-01-01 00:00:00": BAD, "2026-01-01 00:00:00.1234567Z": BAD},
    "timestamp(9)": {"2026-01-01 00:00:00.123456789": moment("2026-01-01 00:00:00.123456789", 9),
                     "2262-04-11 23:47:16.854775807": 2**63 - 1, "2262-04-11 23:47:16.854775808": BAD,
                     "2026-01-01 00:00:00.1234567891": BAD},
    "timestamptz(9)": {"2026-01-01T00:00:00.123456789+01:00": moment("2026-01-01T00:00:00.123456789+01:00", 9),
                       "2026-01-01T00:00:00": BAD},
    "string": {"007": "007", " x ": " x ", "1.10": "1.10", "true": "true", "a\0b": "a\0b"},
}  # fmt: skip

LENIENT = {
    "tinyint": {"+127": 127, "128": BAD},
    "bigint": {"007": 7, " 5 ": 5, "1.50": 1, "-1.99": -1, "1e2": 100, "9223372036854775808": BAD, "x": BAD},
    "boolean": {"TRUE": True, "0": False, "x": BAD},
    "double": {
        ".5": 0.5,
        "+1.5": 1.5,
        "NaN": math.nan,
        "-inf": -math.inf,
        "1e400": BAD,
        "1e-400": BAD,
        "x": BAD,
    },
    "decimal(10,2)": {"1.999": "1.99", "-1.999": "-1.99", " 1.5 ": "1.50", "1e2": "100.00", "x": BAD},
    "date": {
        " 2026-01-01 ": days("2026-01-01"),
        "2026-01-01T23:00:00-05:00": days("2026-01-01"),
        "+300000-01-01": FAR["+300000-01-01"],
        "x": BAD,
    },
    "timestamp": {
        "+294247-01-10 04:00:54.775807": 2**63 - 1,
        "2026-01-01": moment("2026-01-01T00:00:00"),
        "2026-01-01 00:00:00.1234567": moment("2026-01-01 00:00:00.123456"),
        "x": BAD,
    },
    "binary": {"DE ad": b"\xde\xad", "0xDEAD": b"\xde\xad", "\\xdead": b"\xde\xad", "ABC": BAD, "hello": BAD},
    "timestamptz": {"2026-01-01T02:00:30+02:00:30": moment("2026-01-01T00:00:00"), "x": BAD},
}

TYPES = {
    "tinyint": "int8", "smallint": "int16", "int": "int32", "bigint": INT, "boolean": BOOL, "float": "float", "double": REAL,
    "date": DAY,
    "timestamp": AT, "timestamptz": UTC, "timestamp(9)": AT9, "timestamptz(9)": UTC9, "string": TEXT,
}  # fmt: skip


def cases(of):
    return [(column, text) for column, texts in of.items() for text in texts]


AFTER_CASES = {
    column: {**{text: READ[type_](text) for text in good}, **dict.fromkeys(bad, BAD)}
    for column, (type_, _, good, bad) in AFTER.items()
}


def one_by_one(of, first=()):
    """Rows that have a value in one column, and nothing in the others."""
    columns, rows = list(of), [list(map(str, row)) for row in first]
    for number, (column, text) in enumerate(cases(of), len(rows)):
        rows.append([str(number), *(text if column == name else "" for name in columns)])
    return csv_text([["id", *columns], *rows])


def values(found, of, skipped=0):
    """What became of each case: a value, or nothing where the row was left out."""
    ids = found["id"].to_pylist()
    columns = {name: dict(zip(ids, raw(found[name]), strict=True)) for name in of}
    return {case: columns[case[0]].get(number, BAD) for number, case in enumerate(cases(of), skipped)}


@pytest.fixture(scope="module")
def after(shared):
    sample = [[number, *(AFTER[name][1][number] for name in AFTER)] for number in range(2)]
    found = moved(shared, "after.csv", one_by_one(AFTER_CASES, sample), sample_rows=2, bad_rows="skip")
    return values(found, AFTER_CASES, skipped=2)


@pytest.mark.parametrize("column, text", cases(AFTER_CASES))
def test_what_comes_after_the_sample_is_held_to_the_same(after, column, text):
    expected = AFTER_CASES[column][text]
    assert same(after[column, text], expected) or after[column, text] is expected


def declared_values(shared, name, of, **more):
    columns = {type_: {"type": type_, **more} if more else type_ for type_ in of}
    return moved(shared, name, one_by_one(of), columns=columns, bad_rows="skip")


@pytest.fixture(scope="module")
def declared(shared):
    return declared_values(shared, "declared.csv", DECLARED)


@pytest.mark.parametrize("column, text", cases(DECLARED))
def test_a_declared_type_takes_what_is_exactly_one_of_its_values(declared, column, text):
    value, expected = values(declared, DECLARED)[column, text], DECLARED[column][text]
    expected = decimal.Decimal(expected) if column.startswith("decimal") and expected is not BAD else expected
    assert same(value, expected) or value is expected


@pytest.mark.parametrize("type_", TYPES)
def test_a_declared_type_is_the_type(declared, type_):
    assert str(declared.schema.field(type_).type) == TYPES[type_]


@pytest.fixture(scope="module")
def lenient(shared):
    return declared_values(shared, "lenient.csv", LENIENT, lenient=True)


@pytest.mark.parametrize("column, text", cases(LENIENT))
def test_a_lenient_type_takes_other_spellings_and_no_other_texts(lenient, column, text):
    value, expected = values(lenient, LENIENT)[column, text], LENIENT[column][text]
    expected = decimal.Decimal(expected) if column.startswith("decimal") and expected is not BAD else expected
    assert same(value, expected) or value is expected


JSON_AFTER = {
    "n": (["1", "2"], {"3": 3, "null": None, "9223372036854775807": 2**63 - 1, "2.9": BAD, "2.0": BAD, '"007"': BAD, '"3"': BAD,
                       "true": BAD, "[1]": BAD, '{"x": 1}': BAD, "9223372036854775808": BAD}),
    "d": (["0.5", "1.5"], {"2": 2.0, "1e3": 1e3, "9007199254740993": BAD, '"0.5"': BAD}),
    "b": (["true", "false"], {"true": True, '"true"': BAD, "1": BAD}),
    "s": (['"a"', '"b"'], {'""': "", '"5"': "5", "5": BAD, "true": BAD, '{"x": 1}': BAD, "[]": BAD}),
    "l": (["[1]", "[2, 3]"], {"[]": [], "[null]": [None], "5": BAD, '[1, "x"]': BAD, "[2.5]": BAD, '"[1]"': BAD}),
    "o": (['{"x": 1}', '{"x": 2}'], {"{}": {"x": None}, '{"x": null}': {"x": None}, '{"x": "1"}': BAD, '"x"': BAD, "[]": BAD}),
}  # fmt: skip
JSON_AFTER_CASES = {column: texts for column, (_, texts) in JSON_AFTER.items()}

JSON_DECLARED = {
    "bigint": {"5": 5, "2.9": BAD, '"x"': BAD, "9223372036854775808": BAD, "true": BAD, "[1]": BAD},
    "date": {'"2026-01-05"': days("2026-01-05"), "2": BAD, "20260105": BAD, "true": BAD, '"2026-02-29"': BAD},
    "timestamp": {'"2026-01-05T00:00:00"': moment("2026-01-05T00:00:00"), "1767571200": BAD, '"2026-01-05T00:00:00Z"': BAD},
    "decimal(10,2)": {"1.5": "1.50", "1.10": "1.10", "1.999": BAD, "1e4294967296": BAD},
    "double": {"0.5": 0.5, "1.10": 1.1, "9007199254740993": BAD, '"NaN"': math.nan, '"-Infinity"': -math.inf},
    "boolean": {"true": True, "1": BAD},
    "string": {'"x"': "x", "1.10": "1.10", "18446744073709551615": "18446744073709551615", "true": "true", "null": None,
               '{"a": [1, 2.50]}': '{"a": [1, 2.50]}', "[1,  null]": "[1,  null]", "1e400": "1e400"},
}  # fmt: skip


def json_lines(of, first=()):
    lines = [*first, *((column, text) for column, text in cases(of))]
    return "".join(f'{{"id": {number}, "{column}": {text}}}\n' for number, (column, text) in enumerate(lines))


@pytest.fixture(scope="module")
def json_after(shared):
    first = [(column, text) for column, (sample, _) in JSON_AFTER.items() for text in sample]
    text = json_lines(JSON_AFTER_CASES, first)
    return values(
        moved(shared, "later.jsonl", text, sample_rows=len(first), bad_rows="skip"),
        JSON_AFTER_CASES,
        skipped=len(first),
    )


@pytest.mark.parametrize("column, text", cases(JSON_AFTER_CASES))
def test_json_after_the_sample_is_held_to_the_same(json_after, column, text):
    expected = JSON_AFTER_CASES[column][text]
    assert same(json_after[column, text], expected) or json_after[column, text] is expected


@pytest.fixture(scope="module")
def json_declared(shared):
    columns = {type_: type_ for type_ in JSON_DECLARED}
    return values(
        moved(shared, "told.jsonl", json_lines(JSON_DECLARED), columns=columns, bad_rows="skip"),
        JSON_DECLARED,
    )


@pytest.mark.parametrize("column, text", cases(JSON_DECLARED))
def test_a_declared_type_of_json_takes_what_is_exactly_one_of_its_values(json_declared, column, text):
    value, expected = json_declared[column, text], JSON_DECLARED[column][text]
    expected = decimal.Decimal(expected) if column.startswith("decimal") and expected is not BAD else expected
    assert same(value, expected) or value is expected


# Where a bad row is

MANY = "n,t\n" + "".join(f"{n},{n * 7}\n" for n in range(1, 900))
PLACES = {
    "csv": ("t.csv", "n,t\n1,a\n2,b\n2.9,c\n3,d\n", {}, "2.9,c", "n", "2.9"),
    "crlf": ("t.csv", "n,t\r\n1,a\r\n2,b\r\n00501,c\r\n", {}, "00501", "n", "00501"),
    "no header": ("t.csv", "1,a\n2,b\nx,c\n", {"csv": {"header": False}}, "x,c", "column_1", "x"),
    "comments and empty lines": ("t.csv", "# a\nn,t\n\n1,a\n# b\n2,b\n\nx,c\n", {"csv": {"comment": "#"}}, "x,c", "n", "x"),
    "lines in values": ("t.csv", 'n,t\n1,"a\nb\nc"\n2,b\nx,c\n', {"csv": {"newlines": True}}, "x,c", "n", "x"),
    "another chunk": ("t.csv", MANY + "x,1\n" + MANY[4:], {}, "x,1", "n", "x"),
    "the last line": ("t.csv", MANY + "7.5,1", {}, "7.5,1", "n", "7.5"),
    "packed": ("t.csv.gz", MANY + "x,1\n", {}, "x,1", "n", "x"),
    "tabs": ("t.tsv", "n\tt\n1\ta\n2\tb\nx\tc\n", {}, "x\tc", "n", "x"),
    "a name with a blank": ("t.csv", "n n,t\n1,a\n2,b\nx,c\n", {}, "x,c", "n n", "x"),
    "declared": ("t.csv", "n,t\n1,a\n2,b\n007,c\n", {"columns": {"n": "bigint"}}, "007,c", "n", "007"),
    "declared decimal": ("t.csv", "n,t\n1,a\n1.999,c\n", {"columns": {"n": "decimal(10,2)"}}, "1.999,c", "n", "1.999"),
    "declared, and nothing in quotes": ("t.csv", 'n,t\n1,a\n"",c\n', {"columns": {"n": "bigint"}}, '"",c', "n", ""),
    "json": ("t.jsonl", '{"n":1}\n{"n":2}\n{"n":2.9}\n', {}, '{"n":2.9}', "n", "2.9"),
    "json, later": ("t.jsonl", '{"n":1}\n' * 900 + '\n{"n":"007"}\n{"n":1}\n', {}, '{"n":"007"}', "n", "007"),
    "json, within": ("t.jsonl", '{"o":{"n":1}}\n{"o":{"n":2}}\n{"o":{"n":2.9}}\n', {}, '{"o":{"n":2.9}}', "o.n", "2.9"),
    "json, declared": ("t.jsonl", '{"n":"2026-01-01"}\n{"n":2}\n', {"columns": {"n": "date"}}, '{"n":2}', "n", "2"),
}  # fmt: skip


@pytest.mark.parametrize("case", PLACES)
def test_a_bad_row_is_named_by_place_column_and_value(program, data, case):
    name, text, keys, record, column, value = PLACES[case]
    (data / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    job = program.job(source(data, sample_rows=2, **keys), tables=[name], chunk={"bytes": 2_000})
    line, code = program.refused("run", job)
    at = text.index("\n" + record) + 1
    assert f"{name}: at byte {at}, line {text[:at].count(chr(10)) + 1}: " in line and code == 4, line
    assert f"`{column}`" in line and (f"'{value}'" in line or f"'\"{value}\"'" in line), line
    assert program.published() == []


def test_a_bad_value_is_shown_on_one_line_and_not_in_full(program, data):
    (data / "t.csv").write_text("n\n1\n2\n\x1b[31m" + "9" * 5_000 + "\n")
    done = program.call("run", program.job(source(data, sample_rows=2), tables=["t.csv"]))
    assert done.returncode == 4 and "\x1b[31m" not in done.stderr and "9" * 300 not in done.stderr


# Lines

CARRIAGE_RETURNS = {
    "all lines": "a,b\r1,x\r2,y\r",
    "one line": "a,b\n1,x\r2,y\n3,z\n",
    "doubled": "a,b\r\r\n1,x\r\r\n2,y\r\r\n",
    "behind the sample": "a,b\n1,x\n2,y\n3,z\r4,z\n",
    "one column": "a\r1\r2\r",
}


@pytest.mark.parametrize("bad_rows", ["fail", "skip"])
def test_lines_that_end_with_carriage_returns_are_refused_with_words_about_them(program, data, bad_rows):
    (data / "t.csv").write_bytes(b"a,b\r1,x\r2,y\r")
    job = program.job(source(data, bad_rows=bad_rows), tables=["t.csv"])
    for command in (["run", job], ["plan", job], ["preview", data / "t.csv"]):
        line, code = program.refused(*command)
        assert re.search(r"\bCR\b", line) and re.search("lines? ends?", line) and code == 4, line


@pytest.mark.parametrize("case", CARRIAGE_RETURNS)
def test_a_carriage_return_outside_quotes_ends_no_line_in_silence(program, data, case):
    (data / "t.csv").write_bytes(CARRIAGE_RETURNS[case].encode())
    line, code = program.refused("run", program.job(source(data, sample_rows=2), tables=["t.csv"]))
    assert re.search(r"\bCR\b", line) and code == 4, line


LINES = {
    "a carriage return in quotes": ('a,b\n1,"x\ry"\n', [(1, "x\ry")]),
    "crlf": ("a,b\r\n1,x\r\n2,y\r\n", [(1, "x"), (2, "y")]),
    "no end of the last line": ("a,b\n1,x\n2,y", [(1, "x"), (2, "y")]),
    "empty lines of two columns": ("a,b\n\n1,x\n\n\n2,y\n\n", [(1, "x"), (2, "y")]),
    "one column": ("n\n1\n\n3\n", [(1,), (None,), (3,)]),
    "one column, crlf": ("n\r\n1\r\n\r\n3\r\n", [(1,), (None,), (3,)]),
    "one column of texts": ("s\na\n\nb\n", [("a",), (None,), ("b",)]),
    "one column, empty at both ends": ("n\n\n1\n\n\n", [(None,), (1,), (None,), (None,)]),
    "one column, nothing else": ("n\n\n\n", [(None,), (None,)]),
    "one column, quotes": ('s\n""\n\na\n', [("",), (None,), ("a",)]),
    "one column, many": ("n\n" + "1\n\n" * 2_000, [(1,), (None,)] * 2_000),
}


@pytest.fixture(scope="module")
def lines(shared):
    folder = shared.folder / "lines"
    folder.mkdir()
    for number, (text, _) in enumerate(LINES.values()):
        (folder / f"l{number}.csv").write_bytes(text.encode())
    tables = [f"l{number}.csv" for number in range(len(LINES))]
    shared.ok("run", shared.job(source(folder), tables=tables, chunk={"bytes": 500}))
    return [table(shared, f"l{number}") for number in range(len(LINES))]


@pytest.mark.parametrize("case", LINES)
def test_every_line_that_is_a_row_is_one(lines, case):
    found = lines[list(LINES).index(case)]
    rows = list(zip(*found.to_pydict().values(), strict=True))
    assert sorted(rows, key=repr) == sorted(LINES[case][1], key=repr)


# NULL

NULLS = 'id,t\n1,NA\n2,""\n3,"NA"\n4,\n5,-\n6,"-"\n'


@pytest.mark.parametrize(
    "style, expected",
    [
        ({}, ["NA", "", "NA", None, "-", "-"]),
        ({"null": "NA"}, [None, "", "NA", "", "-", "-"]),
        ({"null": "NA", "quoted_nulls": True}, [None, "", None, "", "-", "-"]),
        ({"null": ["NA", "", "-"]}, [None, "", "NA", None, None, "-"]),
        ({"null": ["NA", ""], "quoted_nulls": True}, [None, None, None, None, "-", "-"]),
        ({"null": "NA", "quote": ""}, [None, '""', '"NA"', "", "-", '"-"']),
    ],
)  # fmt: skip
def test_what_stands_in_quotes_is_a_value(program, data, style, expected):
    (data / "t.csv").write_text(NULLS)
    program.ok("run", program.job(source(data, csv=style), tables=["t.csv"]))
    assert table(program, "t").sort_by("id")["t"].to_pylist() == expected


@pytest.mark.parametrize("null", ["\\N", "NULL", "NA", "-"])
def test_nulls_that_were_written_come_back_as_nulls_and_texts_as_texts(program, data, null):
    texts = [None, "\\N", "NULL", "NA", "-", "", "a,b", 'say "\\N"', "\\N\n", " "]
    feather.write_feather(
        pa.table({"id": range(len(texts)), "t": texts}), str(data / "t.arrow"), compression="uncompressed"
    )
    target = {"url": f"file://{program.lake}", "format": "csv", "csv": {"null": null}}
    program.ok("run", program.job(source(data), tables=["t.arrow"], target=target))
    [part] = (program.lake / "t").glob("*.csv")
    lines = part.read_text().split("\n")
    assert lines[1] == f"0,{null}" and f'{texts.index(null)},"{null}"' in lines
    keys = {"csv": {"null": null, "newlines": True}}
    program.ok("run", program.job(source(program.lake, **keys), relations=[{"table": "t", "as": "back"}]))
    assert table(program, "back").sort_by("id")["t"].to_pylist() == texts


JOBS = {
    "null.yaml": 'source: { url: "SRC", csv: { null: "NA" } }\ntables: [t.csv]\ntarget: { url: "LAKE" }\n',
    "block.yaml": "source:\n  url: SRC\n  csv:\n    null: NA\ntables: [t.csv]\ntarget:\n  url: LAKE\n",
    "list.yaml": 'source: { url: "SRC", csv: { null: ["NA", "-"] } }\ntables: [t.csv]\ntarget: { url: "LAKE" }\n',
    "null.toml": 'tables = ["t.csv"]\n[source]\nurl = "SRC"\ncsv = { null = "NA" }\n[target]\nurl = "LAKE"\n',
    "null.json": '{"source": {"url": "SRC", "csv": {"null": "NA"}}, "tables": ["t.csv"], "target": {"url": "LAKE"}}',
}


def written(program, data, name, text):
    path = program.folder / name
    path.write_text(text.replace("SRC", f"file://{data}").replace("LAKE", f"file://{program.lake}"))
    return path


@pytest.mark.parametrize("name", JOBS)
def test_null_is_a_key_like_any_other(program, data, name):
    (data / "t.csv").write_text("id,t\n1,NA\n2,x\n")
    program.ok("run", written(program, data, name, JOBS[name]))
    assert table(program, "t")["t"].to_pylist() == [None, "x"]


def test_null_is_a_key_of_targets_and_of_columns_too(program, data):
    (data / "t.csv").write_text("null,true,no,1,tilde\n1,2,3,4,5\n,,,,\n")
    job = (
        "source: { url: SRC, columns: { null: int, true: smallint, no: tinyint, 1: string, tilde: double } }\n"
        'tables: [t.csv]\ntarget: { url: LAKE, format: csv, csv: { null: "\\\\N" } }\n'
    )
    program.ok("run", written(program, data, "job.yaml", job))
    [part] = (program.lake / "t").glob("*.csv")
    assert part.read_text() == "null,true,no,1,tilde\n1,2,3,4,5.0\n\\N,\\N,\\N,\\N,\\N\n"


TWICE = {
    "target.json": '{"source": {"url": "SRC"}, "tables": ["t.csv"], "target": {"url": "LAKE/a"}, "target": {"url": "LAKE/b"}}',
    "url.json": '{"source": {"url": "SRC"}, "tables": ["t.csv"], "target": {"url": "LAKE/a", "url": "LAKE/b"}}',
    "as.json": '{"source": {"url": "SRC"}, "relations": [{"table": "t.csv", "as": "x", "as": "y"}], "target": {"url": "LAKE"}}',
    "null.json": '{"source": {"url": "SRC", "csv": {"null": "", "null": "NA"}}, "tables": ["t.csv"], "target": {"url": "LAKE"}}',
    "target.yaml": "source: { url: SRC }\ntables: [t.csv]\ntarget: { url: LAKE/a }\ntarget: { url: LAKE/b }\n",
    "url.yaml": "source: { url: SRC }\ntables: [t.csv]\ntarget: { url: LAKE/a, url: LAKE/b }\n",
    "target.toml": 'tables = ["t.csv"]\nsource.url = "SRC"\ntarget.url = "LAKE/a"\ntarget.url = "LAKE/b"\n',
}  # fmt: skip


@pytest.mark.parametrize("name", TWICE)
def test_a_key_that_stands_twice_is_refused_in_every_language(program, data, name):
    (data / "t.csv").write_text("n\n1\n")
    words = {"target.toml": "line 4"}.get(name, name.split(".")[0])
    for command in ("validate", "run"):
        line, code = program.refused(command, written(program, data, name, TWICE[name]))
        assert words in line.replace(name, "") and code == 2, line
    assert program.published() == []


# JSON whose values have no type

MIXED = {
    "a number and a text": ["1", '"x"'],
    "a text and a number": ['"x"', "1.10"],
    "truth and a number": ["true", "1"],
    "an object and a text": ['{"a": 1.10}', '"x"'],
    "a list and a number": ["[1, 2]", "18446744073709551615"],
    "objects within": ['{"a": {"b": 1}}', '{"a": {"b": "x"}}'],
    "items of a list": ['[1,  "x"]', "[]"],
    "a whole number that no double is": ["9007199254740993", "0.5"],
    "such numbers in lists": ["[18446744073709551615]", "[0.5]"],
    "more digits than a double has": ["0.1234567890123456789", "null"],
    "too large for a double": ["1e400", "1"],
    "geometries": [
        '{"type":"Point","coordinates":[1.0,2.0]}',
        '{"type":"LineString","coordinates":[[1.0,2.0]]}',
    ],
}


@pytest.mark.parametrize("case", MIXED)
def test_the_next_step_for_mixed_json_works_and_keeps_the_text(program, data, case):
    texts = MIXED[case]
    (data / "t.jsonl").write_text("".join(f'{{"id": {n}, "v": {text}}}\n' for n, text in enumerate(texts)))
    line, code = program.refused("run", program.job(source(data), tables=["t.jsonl"]))
    assert code == 4 and "`v" in line, line
    offered = yaml.safe_load(re.search(r"source\.columns: (\{[^{}]*\})", line)[1])
    assert offered == {"v": "string"}
    program.ok("run", program.job(source(data, columns=offered), tables=["t.jsonl"]))
    plain = [json.loads(text) if text.startswith('"') or text == "null" else text for text in texts]
    assert table(program, "t").sort_by("id")["v"].to_pylist() == plain


def test_kinds_that_are_mixed_only_after_the_sample_have_the_same_next_step(program, data):
    (data / "t.jsonl").write_text('{"v": 1}\n{"v": 2}\n{"v": "x"}\n{"v": {"a": null}}\n')
    line, _ = program.refused("run", program.job(source(data, sample_rows=2), tables=["t.jsonl"]))
    offered = yaml.safe_load(re.search(r"source\.columns: (\{[^{}]*\})", line)[1])
    program.ok("run", program.job(source(data, sample_rows=2, columns=offered), tables=["t.jsonl"]))
    assert table(program, "t")["v"].to_pylist() == ["1", "2", "x", '{"a": null}']


@pytest.mark.parametrize(
    "text",
    [
        '{\n"a": 1\n}\n{\n"a": 2\n}\n',
        '{"a": 1}{"a": 2}',
        '\ufeff[\r\n  {"a": 1},\r\n  {"a": 2}\r\n]\r\n',
        '[{"a": 1}, {"a": 2}]\n',
        '[{"a": 1}]\n[{"a": 2}]\n',
        '[]\n[{"a":1},{\n"a":2}]',
    ],
)
def test_json_is_read_however_its_objects_are_laid_out(program, data, text):
    (data / "t.json").write_text(text)
    program.ok("run", program.job(source(data), tables=["t.json"]))
    assert table(program, "t")["a"].to_pylist() == [1, 2]


def test_an_object_over_several_lines_that_is_kept_as_text_is_the_same_value(program, data):
    value = {"type": "Point", "at": [1.10, {"x": "a\nb"}], "none": None}
    (data / "t.json").write_text(json.dumps([{"v": value}], indent=2).replace("1.1,", "1.10,"))
    program.ok("run", program.job(source(data, columns={"v": "string"}), tables=["t.json"]))
    [text] = table(program, "t")["v"].to_pylist()
    assert json.loads(text) == value and "1.10" in text and "\n" not in text


@pytest.mark.parametrize(
    "text",
    ['{"a": "\\ud800"}', '{"a": 1', '{"a": 01}', '{"a": 1}{"a": 2}', '{"a": NaN}', "5", '{"a": "\x01"}'],
)
def test_what_is_no_json_is_a_bad_row(program, data, text):
    (data / "t.jsonl").write_text(f'{{"a": null}}\n{text}\n')
    line, code = program.refused("run", program.job(source(data), tables=["t.jsonl"]))
    assert "t.jsonl: " in line and "line 2" in line and code == 4, line


# Packed files of several streams


def zstd(text):
    return pa.compress(text, "zstd", asbytes=True)


def skippable(text=b"x" * 20):
    return struct.pack("<II", 0x184D2A50, len(text)) + text


PACK = {"bz2": bz2.compress, "xz": lzma.compress, "zst": zstd, "gz": gzip.compress}
HALVES = {"csv": [b"n\n1\n2\n", b"3\n4\n"], "jsonl": [b'{"n":1}\n{"n":2}\n', b'{"n":3}\n{"n":4}\n']}


def packed_files():
    for ending, pack in PACK.items():
        for kind, (first, second) in HALVES.items():
            yield f"two.{kind}.{ending}", pack(first) + pack(second)
            yield f"empty.{kind}.{ending}", pack(b"") + pack(first) + pack(b"") + pack(second) + pack(b"")
            yield f"within.{kind}.{ending}", b"".join(pack(bytes([byte])) for byte in first + second)
    first, second = HALVES["csv"]
    yield "skipped.csv.zst", skippable() + zstd(first) + skippable(b"") + zstd(second) + skippable()
    yield "padded.csv.xz", lzma.compress(first) + b"\0" * 8 + lzma.compress(second) + b"\0" * 4


@pytest.fixture(scope="module")
def unpacked(shared):
    folder = shared.folder / "packed"
    folder.mkdir()
    relations = []
    for name, content in packed_files():
        (folder / name).write_bytes(content)
        relations.append({"table": name, "as": name.replace(".", "_")})
    shared.ok("run", shared.job(source(folder), relations=relations))
    return shared


@pytest.mark.parametrize("name", [name for name, _ in packed_files()])
def test_all_streams_of_a_packed_file_are_read(unpacked, name):
    assert sorted(table(unpacked, name.replace(".", "_"))["n"].to_pylist()) == [1, 2, 3, 4]


@pytest.mark.parametrize("ending", PACK)
@pytest.mark.parametrize("damage", ["cut", "cut early", "garbage"])
def test_a_damaged_second_stream_is_refused(program, data, ending, damage):
    rows = "".join(f"{n},{n * n}\n" for n in range(3_000)).encode()
    first, second = (PACK[ending](b"n,m\n" + rows), PACK[ending](rows))
    second = {"cut": second[:-9], "cut early": second[:5], "garbage": b"this is no stream"}[damage]
    (data / f"t.csv.{ending}").write_bytes(first + second)
    line, code = program.refused("run", program.job(source(data, sample_rows=10), tables=[f"t.csv.{ending}"]))
    assert f"t.csv.{ending}" in line and code == 4, line
    assert program.published() == []


# Which file is meant


EXACT = {
    "report [1].csv": [1], "a*.csv": [3], "q?.csv": [5], "day[1]": [7], "day[1]/x.csv": [7], "b[12].csv": [8, 9], "a[b].csv": [4],
    "50%41.csv": [10], "x#1.csv": [12],
}  # fmt: skip


@pytest.fixture
def odd_names(data):
    files = ["report [1].csv", "report 1.csv", "a*.csv", "ab.csv", "q?.csv", "qq.csv", "day[1]/x.csv", "b1.csv", "b2.csv",
             "50%41.csv", "50A.csv", "x#1.csv", "day1/x.csv"]  # fmt: skip
    for value, name in enumerate(files, 1):
        (data / name).parent.mkdir(exist_ok=True)
        (data / name).write_text(f"n\n{value}\n")
    return data


@pytest.mark.parametrize("name", EXACT)
def test_a_file_of_exactly_that_name_comes_before_a_pattern(program, odd_names, name):
    program.ok("run", program.job(source(odd_names), relations=[{"table": name, "as": "t"}]))
    assert sorted(table(program, "t")["n"].to_pylist()) == EXACT[name]


@pytest.mark.parametrize("name", ["report [1].csv", "report%20%5B1%5D.csv"])
def test_a_url_of_exactly_that_name_comes_before_a_pattern(program, odd_names, name):
    program.ok("run", program.job({"url": f"file://{odd_names}/{name}"}, name="one.yaml"))
    assert table(program, "one")["n"].to_pylist() == [1]


# Each percent sign once, and no mark of a URL in silence

DECODED = {
    "50%2541": ("50%41", "50A"), "x%231": ("x#1", "x"), "x%3F1": ("x?1", "x"), "a%20b": ("a b", "a%20b"),
    "%C3%A4": ("ä", "%C3%A4"),
    "ö b": ("ö b", "%C3%B6%20b"), "1+1": ("1+1", "1 1"), "a%25b": ("a%b", "a"), "back~up": ("back~up", "back"),
    "%255B1%255D": ("%5B1%5D", "[1]"),
}  # fmt: skip


@pytest.mark.parametrize("part", DECODED)
def test_a_urls_percent_signs_are_decoded_once(program, data, part):
    right, wrong = DECODED[part]
    for folder, value in [(right, 1), (wrong, 2)]:
        (data / folder).mkdir()
        (data / folder / "r.csv").write_text(f"n\n{value}\n")
    target = {"url": f"file://{program.lake}/{part}", "mode": "replace"}
    program.ok("run", program.job({"url": f"file://{data}/{part}/r.csv"}, name="r.yaml", target=target))
    assert pq.read_table(program.lake / right / "r")["n"].to_pylist() == [1]
    assert [path.name for path in program.lake.iterdir()] == [right]


REFUSED = {
    "file:///AT/x#1/y": "%23", "file:///AT/x?1": "%3F", "file:///AT/x?": "%3F", "file:///AT/x#": "%23",
    "s3://bucket/pre?fix": "%3F",
    "s3://bucket/pre#fix": "%23", "azure://bucket/a?b": "%3F", "hdfs://node:8020/a#b": "%23", "file:./lake": "file:///",
    "file:lake": "file:///",
    "file:../lake": "file:///", "file://lake/x": "", "file:///~/lake": "~", "file://~/lake": "",
    "file:///AT/a%00b": "",
}  # fmt: skip


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_does_not_say_exactly_one_place_is_refused(program, data, side, url):
    (data / "t.csv").write_text("n\n1\n")
    keep = data / "x"
    keep.mkdir()
    (keep / "precious").write_text("")
    text = url.replace("AT", str(data).strip("/"))
    given = {"source": source(data), "target": {"url": f"file://{program.lake}", "mode": "replace"}}
    given[side] = {**given[side], "url": text}
    job = program.job(given["source"], tables=["t.csv"], target=given["target"])
    line, code = program.refused("validate", job)
    assert REFUSED[url] in line and code == 2, line
    assert program.refused("run", job)[1] == 2
    assert (keep / "precious").exists() and not list(program.folder.rglob("~")) and not Path("/~").exists()


# Digits of a second


def test_a_declared_moment_that_would_lose_digits_is_refused_with_what_keeps_them(program, data):
    (data / "t.csv").write_text("at\n2026-01-01 00:00:00.1234567\n")
    line, code = program.refused(
        "run", program.job(source(data, columns={"at": "timestamp"}), tables=["t.csv"])
    )
    assert "`at`" in line and "timestamp(9)" in line and code == 4, line
    program.ok("run", program.job(source(data, columns={"at": "timestamp(9)"}), tables=["t.csv"]))
    assert raw(table(program, "t")["at"]) == [moment("2026-01-01 00:00:00.1234567", 9)]


FINE = moment("2026-01-01 00:00:00.123456", 9) + 700


def old_moments(data, values, type, **columns):
    rows = pa.table({"at": pa.array(values, type), **columns})
    pq.write_table(rows, data / "t.parquet", use_deprecated_int96_timestamps=True, row_group_size=20_000)


OLD = {
    "one": ([FINE], pa.timestamp("ns"), 1),
    "behind many": ([0] * 50_000 + [FINE], pa.timestamp("ns"), 50_001),
    "behind nothing": ([None, None, 0, None, FINE], pa.timestamp("ns"), 5),
    "in a list": ([[0, None], [], None, [0, FINE]], pa.list_(pa.timestamp("ns")), 4),
    "in a struct": ([{"x": 0}, None, {"x": FINE}], pa.struct([("x", pa.timestamp("ns"))]), 3),
    "before 1970": ([0, -1], pa.timestamp("ns"), 2),
}


@pytest.mark.parametrize("values, type, row", OLD.values(), ids=OLD)
def test_an_old_moment_of_parquet_is_whole_or_refused(program, data, values, type, row):
    """And the next step that is named keeps it."""
    old_moments(data, values, type)
    line, code = program.refused("run", program.job(source(data), tables=["t.parquet"]))
    assert code == 4 and f"t.parquet: row {row}, column `at" in line and "finer than microseconds" in line, (
        line
    )
    assert "int96: nanoseconds" in line, line
    program.ok("run", program.job(source(data, parquet={"int96": "nanoseconds"}), tables=["t.parquet"]))
    assert table(program, "t")["at"].combine_chunks().equals(pa.array(values, type))


def test_an_old_moment_that_a_filter_asks_for_is_whole_or_refused(program, data):
    old_moments(data, [0, FINE], pa.timestamp("ns"), id=pa.array([1, 2]))
    sql = [{"sql": "SELECT id FROM data WHERE at > '2026-01-01 00:00:00.123456'"}]
    line, code = program.refused("run", program.job(source(data), tables=["t.parquet"], transform=sql))
    assert code == 4 and "finer than microseconds" in line, line


def test_a_plan_says_what_of_the_old_moments_of_parquet_is_cut_off(program, data):
    old_moments(data, [FINE], pa.timestamp("ns"))
    job = program.job(source(data, parquet={"int96": "truncated"}), tables=["t.parquet"])
    assert (
        "at: parquet -> Timestamp(µs) -> INT64 Timestamp(MICROS)  WARNING: INT96 holds nanoseconds"
        in program.ok("plan", job)
    )
    program.ok("run", job)
    assert table(program, "t")["at"].cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist() == [FINE - 700]


def test_an_old_moment_beyond_nanoseconds_is_refused_where_they_are_asked_for(program, data):
    old_moments(data, [0, moment("2300-01-01 00:00:00")], pa.timestamp("us"))
    line, code = program.refused(
        "run", program.job(source(data, parquet={"int96": "nanoseconds"}), tables=["t.parquet"])
    )
    assert code == 4 and "row 2, column `at`: 2300-01-01 00:00:00" in line and "1677 and 2262" in line, line


def test_the_old_moments_of_parquet_reach_over_all_years(program, data):
    ends = [moment("0001-01-01 00:00:00"), moment("9999-12-31 23:59:59.999999"), 0, -1]
    pq.write_table(
        pa.table({"at": pa.array(ends, pa.timestamp("us"))}),
        data / "t.parquet",
        use_deprecated_int96_timestamps=True,
    )
    program.ok("run", program.job(source(data), tables=["t.parquet"]))
    assert raw(table(program, "t")["at"]) == ends


# What a format can hold and we may not

LIBRARIES = re.compile(
    r"internal error|DataFusion|\bbug\b|not yet implemented|NotYetImplemented|panicked", re.I
)


def thrift(value):
    """A list of (field, kind, value) as a struct of Thrift's compact protocol."""
    out, last = bytearray(), 0
    for field, kind, content in value:
        out.append((field - last) << 4 | {"i32": 5, "i64": 6, "text": 8, "list": 9}[kind])
        last = field
        if kind in ("i32", "i64"):
            out += varint(content << 1)
        elif kind == "text":
            out += varint(len(content)) + content.encode()
        else:
            out.append(len(content) << 4 | 12)
            out += b"".join(map(thrift, content))
    return bytes(out) + b"\0"


def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def parquet_of(*elements):
    """A file without rows, of a schema that no library writes."""
    root = [(4, "text", "schema"), (5, "i32", sum(1 for element in elements if element))]
    footer = thrift([(1, "i32", 1), (2, "list", [root, *elements]), (3, "i64", 0), (4, "list", [])])
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


PLAIN = [(1, "i32", 1), (3, "i32", 1), (4, "text", "n")]
SCHEMAS = {
    "a group without fields": parquet_of(PLAIN, [(3, "i32", 1), (4, "text", "g"), (5, "i32", 0)]),
    "only a group without fields": parquet_of([(3, "i32", 1), (4, "text", "g"), (5, "i32", 0)]),
    "fixed, of no length": parquet_of(PLAIN, [(1, "i32", 7), (3, "i32", 1), (4, "text", "fixed")]),
    "fixed, of length 0": parquet_of(
        PLAIN, [(1, "i32", 7), (2, "i32", 0), (3, "i32", 1), (4, "text", "fixed")]
    ),
    "no columns": parquet_of(),
    "a repeated value": parquet_of(PLAIN, [(1, "i32", 1), (3, "i32", 2), (4, "text", "many")]),
}


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_strange_parquet_file_is_read_or_refused_in_our_own_words(program, data, case):
    (data / "t.parquet").write_bytes(SCHEMAS[case])
    done = program.call("run", program.job(source(data), tables=["t.parquet"]))
    assert done.returncode in (0, 2, 4) and not LIBRARIES.search(done.stderr), done.stderr


STRANGE = {
    "no fields": pa.array([{}, None], pa.struct([])),
    "lists of no fields": pa.array([[{}], None], pa.list_(pa.struct([]))),
    "nothing": pa.nulls(2),
    "map": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int32())),
    "union": pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 0], pa.int32()),
                                      [pa.array([1]), pa.array(["x"])]),
    "run ends": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["x"])),
    "decimal32": pa.array([1, None], pa.decimal32(5, 2)),
    "decimal256": pa.array([decimal.Decimal("9" * 76), None], pa.decimal256(76, 0)),
    "text views": pa.array(["x", None], pa.string_view()),
    "byte views": pa.array([b"\0", None], pa.binary_view()),
    "intervals": pa.array([pa.MonthDayNano([1, 2, 3]), None], pa.month_day_nano_interval()),
    "durations": pa.array([5, None], pa.duration("us")),
    "half floats": pa.array([1.5, None], pa.float16()),
    "list views": pa.array([[1, 2], None], pa.list_view(pa.int32())),
    "bytes of no length": pa.array([b"", None], pa.binary(0)),
    "lists of no length": pa.array([[], None], pa.list_(pa.int32(), 0)),
    "dictionaries": pa.array(["x", None]).dictionary_encode(),
    "uuids": pa.array([b"0123456789abcdef", None], pa.uuid()),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
@pytest.mark.parametrize("format_", ["parquet", "json"])
def test_a_strange_type_is_moved_or_refused_in_our_own_words(program, data, case, format_):
    strange = pa.table({"n": [1, 2], "v": STRANGE[case]})
    with pa.OSFile(str(data / "t.arrow"), "wb") as out, pa.ipc.new_file(out, strange.schema) as writer:
        writer.write_table(strange)
    target = {"url": f"file://{program.lake}", "format": format_}
    done = program.call("run", program.job(source(data), tables=["t.arrow"], target=target))
    assert done.returncode in (0, 2, 4) and not LIBRARIES.search(done.stderr), done.stderr
    if done.returncode == 0 and format_ == "parquet":
        assert table(program, "t")["v"].to_pylist() == strange["v"].to_pylist()
    if done.returncode != 0:
        assert "`v`" in done.stderr, done.stderr
