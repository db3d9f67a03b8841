"""Suites that others made to tell right readers from wrong ones. Where they are from: tests/data/referees/LICENSES.md."""

import csv
import datetime
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from support.longshore import ROOT
from support.messages import plain

REFEREES = ROOT / "tests/data/referees"
JSONS = REFEREES / "JSONTestSuite"
PARQUETS = REFEREES / "parquet-testing"
ARROWS = REFEREES / "arrow-testing"
DUCKDB = REFEREES / "duckdb"


@pytest.fixture(autouse=True)
def no_plugins(program):
    """Files need none; without them the program is there at once, and it is started a thousand times here."""
    (program.folder / "none").mkdir()
    program.env["LONGSHORE_PLUGINS"] = str(program.folder / "none")


def read(program, source, tables=None, sql=None, name="t"):
    """What a run publishes: a table for each relation."""
    keys = {**({"tables": tables} if tables else {}), **({"transform": [{"sql": sql}]} if sql else {})}
    report = program.report("run", program.job(source, f"{name}.yaml", **keys))
    return {
        each["relation"]: pq.read_table(each["folder"], partitioning=None) for each in report["relations"]
    }


def read_one(program, source, sql=None):
    [table] = read(program, source, sql=sql).values()
    return table


def written(program, content, name):
    path = program.folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return {
        "url": f"file://{path}".replace("#", "%23"),
        "format": name.rsplit(".", 1)[1].replace("jsonl", "json"),
    }


def refused(program, source, sql=None):
    """What is said of a file that cannot be read: no word of a library, and nothing is published."""
    keys = {"transform": [{"sql": sql}]} if sql else {}
    line, code = program.refused("run", program.job(source, "t.yaml", **keys), seconds=60)
    assert code == 4, line
    assert program.published() == []
    return plain(line)


def outcome(program, source, command="run"):
    """The rows, or what is said where there are none; a panic or a hang is neither."""
    done = program.call("--json", command, program.job(source, "t.json"), seconds=60)
    assert done.returncode in (0, 4) and "thread '" not in done.stderr, done.stderr
    if done.returncode:
        return None, done.stderr
    if command == "preview":
        return done.stdout, ""
    [relation] = json.loads(done.stdout)["relations"]
    return pq.read_table(relation["folder"], partitioning=None).to_pylist(), ""


# CSV


def csv_says(text, value):
    """Whether a value is the one that stands in the file: types are told only where nothing is lost."""
    if value is None:
        return text == ""
    if isinstance(value, bool):
        return text == str(value).lower()
    if isinstance(value, float):
        return Decimal(text) == Decimal(repr(value))
    if isinstance(value, datetime.datetime):
        return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")) == value
    return text == str(value)


def test_csv_is_read_as_csv_spectrum_says(program):
    folder = REFEREES / "csv-spectrum"
    names = sorted(path.name for path in (folder / "csvs").iterdir())
    tables = read(program, {"url": f"file://{folder}/csvs"}, names)
    assert len(tables) == 12
    for name in names:
        expected = json.loads((folder / "json" / name.replace(".csv", ".json")).read_text())
        # Its own JSON has another telephone number than its CSV, and no list.
        if name == "location_coordinates.csv":
            expected = [{**expected, "Contact Phone Number": "2095257564"}]
        rows = tables[name.removesuffix(".csv")].to_pylist()
        assert len(rows) == len(expected) and [list(row) for row in rows] == [
            list(row) for row in expected
        ], name
        for row, values in zip(rows, expected, strict=True):
            assert all(csv_says(values[key], row[key]) for key in row), (name, row, values)


def test_odd_csv_files_of_duckdb_hold_what_pythons_reader_reads(program):
    folder = DUCKDB / "csv"
    names = sorted(path.name for path in folder.iterdir() if path.name != "bad_escape.csv")
    tables = read(program, {"url": f"file://{folder}"}, names)
    for name in names:
        with (folder / name).open(newline="", encoding="utf-8-sig") as file:
            header, *expected = [row for row in csv.reader(file, strict=True) if row]
        table = tables[name.removesuffix(".csv")]
        assert table.column_names == header, name
        rows = [list(row.values()) for row in table.to_pylist()]
        assert len(rows) == len(expected), name
        for row, texts in zip(rows, expected, strict=True):
            assert all(map(csv_says, texts, row)), (name, row, texts)


def test_an_escape_is_taken_off_before_a_quote_only(program):
    source = {"url": f"file://{DUCKDB}/csv/bad_escape.csv", "csv": {"escape": "\\"}}
    bars = ["Surname\\, Firstname", 'foo ("foo")']
    rows, said = outcome(program, source)
    # A file that holds another escape may be refused; `\,` is not made `,` in silence.
    assert "line 2" in said if rows is None else [row["bar"] for row in rows] == bars


# JSON


def exact(text):
    """JSON by Python's reader, with numbers as they stand, and nothing that is beyond the standard."""

    def constant(word):
        raise ValueError(word)

    def keys(pairs):
        if len(dict(pairs)) < len(pairs):
            raise ValueError("a key comes twice")
        return dict(pairs)

    value = json.loads(
        text, parse_float=Decimal, parse_int=Decimal, parse_constant=constant, object_pairs_hook=keys
    )
    json.dumps(value, ensure_ascii=False, default=str).encode()
    return value


def same(ours, theirs):
    if isinstance(theirs, dict):
        return (
            isinstance(ours, dict)
            and ours.keys() == theirs.keys()
            and all(same(ours[key], theirs[key]) for key in ours)
        )
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, Decimal):
        return (
            type(ours) in (int, float, Decimal)
            and Decimal(repr(ours) if isinstance(ours, float) else ours) == theirs
        )
    return type(ours) is type(theirs) and ours == theirs


def suite(prefix, folder="test_parsing"):
    """The files by name, without the line ends around them: a record of JSON is a line."""
    files = {
        path.stem: path.read_bytes().strip(b"\r\n")
        for path in sorted((JSONS / folder).glob(f"{prefix}*.json"))
    }
    assert files
    return files


def valid():
    """What every reader must read, each as a value on one line. Where a key comes twice, Longshore reads nothing."""
    return {
        name: text.decode().replace("\n", " ")
        for name, text in suite("y_").items()
        if "duplicated_key" not in name
    }


def invalid():
    """What no reader may read."""
    files = suite("n_")
    # The two that are too large to be kept here.
    return {
        **files,
        "n_structure_100000_opening_arrays": b"[" * 100_000,
        "n_structure_open_array_object": b'[{"":' * 50_000,
    }


#: Valid JSON that is no column, which files.md says: an array of several kinds, and an object without keys.
NO_COLUMNS = {"y_array_heterogeneous", "y_object_empty"}


def test_valid_json_is_read_with_its_values(program):
    texts = valid()
    line = ",".join(f"{json.dumps(name)}:{text}" for name, text in texts.items())
    columns = dict.fromkeys(NO_COLUMNS, "string")
    [row] = read_one(
        program, {**written(program, f"{{{line}}}\n", "all.jsonl"), "columns": columns}
    ).to_pylist()
    assert row.keys() == texts.keys() and len(row) == 93
    wrong = [
        name for name, text in texts.items() if name not in NO_COLUMNS and not same(row[name], exact(text))
    ]
    assert not wrong and all(row[name] == texts[name] for name in NO_COLUMNS)


def test_json_that_is_declared_as_text_is_kept_as_it_stands(program):
    texts = valid()
    # A line for each: they are read one after the other, and none takes over from the one before.
    lines = "".join(f'{{"name":{json.dumps(name)},"v":{text}}}\n' for name, text in texts.items())
    rows = read_one(program, {**written(program, lines, "all.jsonl"), "columns": {"v": "string"}}).to_pylist()
    assert [row["name"] for row in rows] == list(texts)
    for row in rows:
        value, text = exact(texts[row["name"]]), texts[row["name"]].strip()
        assert row["v"] == (value if value is None or isinstance(value, str) else text), row


FILES_READ = {
    "y_object", "y_object_basic", "y_object_empty_key", "y_object_escaped_null_in_key", "y_object_extreme_numbers",
    "y_object_long_strings", "y_object_simple", "y_object_string_unicode", "y_object_with_newlines",
}  # fmt: skip


def test_valid_json_files_are_read_or_told_how_to_be(program):
    """Rows are objects: all else is refused, and nothing is taken for it."""
    for path in sorted((JSONS / "test_parsing").glob("y_*.json")):
        value = json.loads(path.read_text())
        rows, said = outcome(
            program, {"url": f"file://{path}"}, "run" if isinstance(value, dict) else "preview"
        )
        if isinstance(value, list):
            assert rows is None and path.name in said, path.name
        elif path.stem in FILES_READ:
            assert len(rows) == 1 and same(rows[0], exact(path.read_text())), (path.name, said)
        else:
            # A value that is no object, an object without keys, a key that comes twice.
            assert rows is None and path.name in said, path.name


def test_invalid_json_is_never_read(program):
    for name, text in invalid().items():
        rows, said = outcome(program, written(program, b'{"v":' + text + b"}\n", "t.jsonl"), "preview")
        assert rows is None and "t.jsonl: " in said and "line 1" in said, (name, rows, said)
    assert program.published() == []


#: Files of objects that do not stand on a line each.
LAYOUTS = {
    "array": lambda objects: b"[" + b",".join(objects) + b"]",
    "arrays": lambda objects: b"".join(b"[%s]\n" % each for each in objects),
    "pretty": lambda objects: b"\n".join(each.replace(b"{", b"{\n", 1) for each in objects),
    "concatenated": lambda objects: b'{"v":1}' + b"".join(objects),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_invalid_json_is_never_read_in_other_layouts(program, layout):
    for name, text in invalid().items():
        content = LAYOUTS[layout]([b'{"v":' + text + b"}"])
        rows, said = outcome(program, written(program, content, "rows.json"), "preview")
        assert rows is None and "rows.json: " in said, (name, rows, said)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_valid_json_is_the_same_in_other_layouts(program, layout):
    objects = [f'{{"v":{text}}}'.encode() for text in valid().values()]
    columns = {"columns": {"v": "string"}}
    rows = read_one(
        program, {**written(program, LAYOUTS[layout](objects), "rows.json"), **columns}
    ).to_pylist()
    expected = read_one(program, {**written(program, b"\n".join(objects), "l.jsonl"), **columns}).to_pylist()
    assert rows == ([{"v": "1"}] if layout == "concatenated" else []) + expected


def test_invalid_json_files_are_never_read(program):
    for name, text in invalid().items():
        rows, said = outcome(program, written(program, text, f"{name}.json"), "preview")
        assert rows is None and f"{name}.json" in said, (name, rows, said)


def left_out(program, texts):
    """Each of the lines is between two that are read: nothing of it is taken, nor of its neighbours."""
    lines = b"".join(b'{"n":%d}\n{"v":%s}\n' % (n, text) for n, text in enumerate(texts))
    source = {**written(program, lines, "t.jsonl"), "columns": {"n": "bigint", "v": "string"}}
    for options in ({}, {"sample_rows": 1}):
        rows = read_one(program, {**source, "bad_rows": "skip", **options})
        assert rows["n"].to_pylist() == list(range(len(texts)))


def is_utf8(text):
    try:
        text.decode()
        return True
    except UnicodeDecodeError:
        return False


def test_invalid_lines_are_left_out_and_no_other(program):
    """A key that is kept as text is looked through no less."""
    left_out(program, [text for text in invalid().values() if is_utf8(text)])


def test_lines_that_are_not_utf8_are_left_out_and_no_other(program):
    left_out(program, [text for text in invalid().values() if not is_utf8(text)])


@pytest.mark.parametrize("bad", [b"2,\xff", b'2,"z"z', b"2,\rz"])
def test_a_bad_row_is_left_out_of_the_sample_as_of_the_rest(program, bad):
    source = {**written(program, b"a,b\n1,x\n" + bad + b"\n3,y\n", "t.csv"), "bad_rows": "skip"}
    for options in ({"sample_rows": 1}, {}):
        assert read_one(program, {**source, **options})["a"].to_pylist() == [1, 3], options


def test_json_that_readers_differ_over_is_exact_or_refused(program):
    for name, text in {
        **suite("i_"),
        **suite("number_", "test_transform"),
        **suite("string_", "test_transform"),
    }.items():
        rows, said = outcome(program, written(program, b'{"v":' + text + b"}\n", "t.jsonl"))
        assert "t.jsonl: " in said if rows is None else same(rows, [{"v": exact(text)}]), (name, rows, said)


def test_keys_that_only_look_the_same_are_two(program):
    for name, text in suite("object_key_", "test_transform").items():
        rows, said = outcome(program, written(program, text, "t.jsonl"))
        assert rows == [json.loads(text)] and len(rows[0]) == 2, (name, said)


TWICE = {
    **{name: text for name, text in suite("y_object_duplicated").items()},
    **{name: text for name, text in suite("object_same", "test_transform").items()},
}


@pytest.mark.parametrize("name", TWICE)
def test_a_key_that_comes_twice_is_refused_and_named(program, name):
    said = refused(program, written(program, TWICE[name] + b"\n", "t.jsonl"))
    assert "the key `a` comes twice" in said and "line 1" in said


@pytest.mark.parametrize("name", TWICE)
@pytest.mark.parametrize("around", ['{"v":%s}\n', '{"v":[%s]}\n'])
def test_a_key_that_comes_twice_within_a_value_is_refused(program, name, around):
    """Else there are two columns of one name in a column, which pyarrow for one does not read."""
    said = refused(program, written(program, around % TWICE[name].decode(), "t.jsonl"))
    assert "the key `a` comes twice" in said and "line 1" in said


@pytest.mark.parametrize(
    "text, cause",
    [
        ("42", "object"),
        ('"asd"', "object"),
        ("null", "object"),
        ('{"a":1}2', "line 1"),
        ('{"a":1} x', "line 1"),
        ('{"v":{}}}', "line 1"),
        ('{"v":' + "[" * 300 + "]" * 300 + "}", "deep"),
        ('{"\\ud800":1}', "line 1"),
    ],
)
def test_a_single_line_of_json_is_not_said_to_be_several(program, text, cause):
    said = refused(program, written(program, text + "\n", "t.jsonl"))
    assert cause in said and "several lines" not in said


@pytest.mark.parametrize(
    "text",
    ['{"a":1}\n42\n', '{"a":["s"]}\n{"a":{"b":1}}\n', '{"a":\n', '{"a":nul}\n', '{"a":1}\n{"\\ud800":1}\n'],
)
def test_what_is_wrong_with_json_is_said_in_plain_words(program, text):
    said = refused(program, {**written(program, text, "t.jsonl"), "sample_rows": 1})
    said += refused(program, written(program, text, "t.jsonl"))
    assert not [word for word in ("EOF", "ident", "hex escape", "sequence") if word in said], said


def test_half_a_character_has_a_next_step_that_works(program):
    source = written(program, '{"v":"\\ud800"}\n', "t.jsonl")
    said = refused(program, source)
    if "columns: { v: string }" in said:
        assert read_one(program, {**source, "columns": {"v": "string"}}).num_rows == 1


# Parquet

ALIKE = [
    "alltypes_plain", "float16_nonzeros_and_nans", "hadoop_lz4_compressed", "int32_with_null_pages", "nested_maps.snappy",
    "nullable.impala", "old_list_structure",
]  # fmt: skip


def values(table):
    """The columns, where NaN is itself."""
    return {name: repr(table[name].to_pylist()) for name in table.column_names}


def test_parquet_is_read_as_arrow_reads_it(program):
    tables = read(program, {"url": f"file://{PARQUETS}"}, [f"{name}.parquet" for name in ALIKE])
    assert len(tables) == len(ALIKE)
    for name, table in zip(ALIKE, tables.values(), strict=True):
        theirs = pq.read_table(PARQUETS / f"{name}.parquet", partitioning=None)
        # INT96 is a timestamp in microseconds here, and in nanoseconds there.
        casts = [
            field.with_type(pa.timestamp("us")) if field.type == pa.timestamp("ns") else field
            for field in theirs.schema
        ]
        assert values(table) == values(theirs.cast(pa.schema(casts))), name


def test_moments_beyond_nanoseconds_are_what_spark_wrote(program):
    """As data/int96_from_spark.md says; who reads them as nanoseconds gets others. The last one went round in Spark."""
    source = {"url": f"file://{PARQUETS}/int96_from_spark.parquet"}
    said = refused(program, source)
    assert "row 6, column `a`" in said and "further from 1970" in said
    table = read_one(program, {**source, "parquet": {"int96": "truncated"}})
    assert table["a"].cast(pa.int64()).to_pylist() == [
        1704141296123456, 1704070800000000, 253402225200000000, 1735599600000000, None, 9089380393200000000,
    ]  # fmt: skip


#: Files that pyarrow and DuckDB read, with the number of their rows.
OTHERS_READ = {
    PARQUETS / "repeated_no_annotation.parquet": 6,
}


@pytest.mark.parametrize("path", OTHERS_READ, ids=lambda path: path.stem)
def test_parquet_that_others_read_is_read(program, path):
    table, theirs = read_one(program, {"url": f"file://{path}"}), pq.read_table(path, partitioning=None)
    assert table.num_rows == OTHERS_READ[path] and values(table) == values(theirs)


@pytest.mark.parametrize(
    "path, cause",
    [
        # A dictionary that the footer does not tell of.
        (
            PARQUETS / "nation.dict-malformed.parquet",
            "column `name`: cannot be read as Parquet: it is damaged",
        ),
        # A list in its footer has items of another type than the format's.
        (
            PARQUETS / "dict-page-offset-zero.parquet",
            "what it says of itself is damaged, or beyond the format",
        ),
        # A converted type that no version of the format has.
        (DUCKDB / "parquet/empty.parquet", "what it says of itself is damaged, or beyond the format"),
    ],
    ids=lambda value: getattr(value, "stem", ""),
)
def test_parquet_that_is_not_as_the_format_has_it_is_refused_in_plain_words(program, path, cause):
    said = refused(program, {"url": f"file://{path}"})
    assert path.name in said and cause in said and "; next: " in said


def test_a_group_without_columns_is_left_out_or_named(program):
    path = DUCKDB / "parquet/empty_group_test.parquet"
    said = refused(program, {"url": f"file://{path}"})
    assert "PhysicalExpr" not in said and pq.read_schema(path).names[1] in said


@pytest.mark.parametrize(
    "name",
    ["PARQUET-1481.parquet", "ARROW-RS-GH-6229-LEVELS.parquet", "uniform_encryption.parquet.encrypted"],
)
def test_parquet_that_is_damaged_or_encrypted_is_refused_in_plain_words(program, name):
    said = refused(program, {"url": f"file://{PARQUETS}/{name}", "format": "parquet"})
    assert name in said and ("encrypt" in said) == ("encrypt" in name)
    assert "feature" not in said and "argument error" not in said


@pytest.mark.parametrize(
    "fuzz",
    [
        "arrow-ipc-file-fuzz-5657400208261120",
        "parquet-arrow-fuzz-5382863341289472",
        "parquet-arrow-fuzz-5682250927833088",
    ],
)
def test_a_damaged_file_is_no_fault_of_its_store(program, fuzz):
    """Where it points beyond its own end, nobody is to look at the store; and each has a next step."""
    path = ARROWS / f"clusterfuzz-testcase-minimized-{fuzz}"
    program.env["LONGSHORE_RETRY_BACKOFF_MILLIS"] = "1"
    said = refused(program, {"url": f"file://{path}", "format": fuzz.split("-")[0]})
    assert "LocalFileSystem" not in said and "endpoint" not in said and "; next: " in said


def test_statistics_that_are_wrong_lose_no_row(program):
    """Writers before parquet-mr 1.10 compared a decimal's bytes as signed: 1.00 lies outside their bounds."""
    source = {"url": f"file://{PARQUETS}/fixed_length_decimal.parquet"}
    table = read_one(program, source, "SELECT * FROM data WHERE value < 2")
    assert table["value"].to_pylist() == [Decimal("1.00")]


def test_a_bloom_filter_that_is_damaged_loses_no_row(program):
    """DuckDB reads past it; to refuse the file would be right, too."""
    source = {"url": f"file://{DUCKDB}/parquet/bloom_filter_bad_length_range.parquet"}
    done = program.call("run", program.job(source, transform=[{"sql": "SELECT * FROM data WHERE r = 0"}]))
    assert done.returncode == 4 or "1000 rows" in done.stdout.replace(",", ""), done.stdout


# What SQL asks of Parquet is asked of the file's own reader. The rows are those that SQL would keep.

ROWS = {
    "amount": (pa.decimal128(12, 2), [Decimal("123456.78"), Decimal("123456.79"), None]),
    "until": (
        pa.timestamp("us"),
        [datetime.datetime(2026, 11, 20), datetime.datetime(9999, 12, 31), datetime.datetime(1, 1, 1)],
    ),
    "huge": (pa.decimal128(38, 0), [Decimal("9" * 38), Decimal(1), None]),
}

KEPT = {
    "amount = CAST('123456.79' AS decimal(12,2))": [1],
    "amount > CAST('123456.79' AS decimal(12,2))": [],
    "amount IN (CAST('123456.79' AS decimal(12,2)), CAST('123456.78' AS decimal(12,2)))": [0, 1],
    "amount = 123456.79": [1],
    "amount > 123456.79": [],
    "amount BETWEEN 123456.78 AND 123456.79": [0, 1],
    "until = TIMESTAMP '9999-12-31 00:00:00'": [1],
    "until < TIMESTAMP '9999-12-31 00:00:00'": [0, 2],
    f"huge = CAST('{'9' * 38}' AS decimal(38,0))": [0],
}


@pytest.mark.parametrize("format", ["parquet", "arrow"])
@pytest.mark.parametrize("condition", KEPT)
def test_a_condition_keeps_the_same_rows_of_each_format(program, format, condition):
    table = pa.table({"n": range(3), **{name: pa.array(each, type) for name, (type, each) in ROWS.items()}})
    path = program.folder / f"t.{format}"
    if format == "parquet":
        pq.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    kept = read_one(program, {"url": f"file://{path}"}, f"SELECT n FROM data WHERE {condition}")
    assert sorted(kept["n"].to_pylist()) == KEPT[condition]


@pytest.mark.parametrize(
    "condition", ["until = TIMESTAMP '2026-11-20 10:00:00.123456789'", f"huge = {'9' * 38}", "flag = 'true'"]
)
def test_a_condition_that_is_not_carried_out_is_refused_in_plain_words(program, condition):
    columns = {name: pa.array(each, type) for name, (type, each) in ROWS.items()}
    pq.write_table(pa.table({**columns, "flag": [True, False, None]}), program.folder / "t.parquet")
    source = {"url": f"file://{program.folder}/t.parquet"}
    done = program.call(
        "run", program.job(source, transform=[{"sql": f"SELECT * FROM data WHERE {condition}"}])
    )
    for word in (
        "apply_function_rewrites",
        "Optimizer rule",
        "simplify_expressions",
        "type_coercion",
        "Utf8",
        "Cast error",
    ):
        assert word not in done.stderr, done.stderr


# Arrow


def plainly(column):
    """Durations are longer than Python's."""
    column = column.cast(pa.int64()) if pa.types.is_duration(column.type) else column
    return [value.as_py() for value in column]


def test_arrow_files_are_read_as_arrow_reads_them(program):
    names = ["dictionary", "run_end_encoded", "map_non_canonical", "duration"]
    files = [f"generated_{name}.arrow_file" for name in names]
    tables = read(program, {"url": f"file://{ARROWS}", "format": "arrow"}, files)
    for name, table in zip(files, tables.values(), strict=True):
        theirs = pa.ipc.open_file(ARROWS / name).read_all()
        assert {column: plainly(table[column]) for column in table.column_names} == {
            column: plainly(theirs[column]) for column in theirs.column_names
        }, name


def test_a_dictionary_of_lists_is_its_values(program):
    path = ARROWS / "generated_nested_dictionary.arrow_file"
    table = read_one(program, {"url": f"file://{path}", "format": "arrow"})
    assert plainly(table["list_dict"]) == plainly(pa.ipc.open_file(path).read_all()["list_dict"])


def test_arrow_of_the_other_byte_order_is_refused(program):
    """Nothing of it is read the wrong way round; and it is a file of Arrow's file format already."""
    said = refused(program, {"url": f"file://{ARROWS}/bigendian_dictionary.arrow_file", "format": "arrow"})
    assert "byte order" in said and "again in Arrow's file format" not in said


def test_a_stream_of_arrow_is_called_one(program):
    said = refused(program, {"url": f"file://{ARROWS}/generated_duration.stream", "format": "arrow"})
    assert "stream" in said.replace("generated_duration.stream", "")
