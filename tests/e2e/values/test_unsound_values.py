"""Arrow data of others that its own types do not allow, or that text formats cannot hold: it arrives as it is, or an error
names it."""

import gzip
import json

import pyarrow as pa
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from support.longshore import only


def copied(program, table, to, *flags):
    only(program)
    pyarrow.feather.write_feather(table, program.folder / "in.feather", compression="uncompressed")
    program.ok("copy", "in.feather", to, *flags)
    return (program.folder / to).read_text()


def refused(program, source, to, *flags):
    line, code = program.refused("copy", source, to, *flags)
    assert code == 4, line
    return line


@pytest.mark.parametrize("nested", [False, True], ids=["columns", "structs"])
def test_nulls_among_the_values_of_a_dictionary_stay_nulls(program, nested):
    columns = {
        name: pa.array([value, None]).dictionary_encode(null_encoding="encode")
        for name, value in {"e": 7, "p": "x", "b": True, "d": 1.5}.items()
    }
    if nested:
        columns = {"s": pa.StructArray.from_arrays(list(columns.values()), list(columns))}
    lines = copied(program, pa.table(columns), "out.jsonl").splitlines()
    row = json.loads(lines[1])
    assert (row["s"] if nested else row) == {"e": None, "p": None, "b": None, "d": None}
    text = copied(program, pa.table(columns), "out.csv").splitlines()[1:]
    assert text[1] == ('"{""e"":null,""p"":null,""b"":null,""d"":null}"' if nested else ",,,")


def test_a_decimal_with_more_digits_than_its_type_is_refused_with_all_of_them(program):
    only(program)
    values = b"".join(value.to_bytes(16, "little", signed=True) for value in [123, 12_345])
    column = pa.Array.from_buffers(pa.decimal128(3, 2), 2, [None, pa.py_buffer(values)])
    table = pa.table({"d": column})
    pq.write_table(table, program.folder / "d.parquet", store_decimal_as_integer=True)
    pyarrow.feather.write_feather(table, program.folder / "d.feather")
    for source in ["d.parquet", "d.feather"]:
        for to in ["out.csv", "out.parquet"]:
            assert f"{source}: column `d`: 123.45 has more digits" in refused(program, source, to)


@pytest.mark.parametrize(
    "column, cause",
    [
        (pa.array([2**63 - 1], pa.duration("s")), "9223372036854775807 of Duration(s) has no text"),
        (pa.array([-1], pa.time64("ns")), "a time of day before midnight"),
        (
            pa.array([[("b", "x"), ("b", "y")]], pa.map_(pa.string(), pa.string())),
            'a map has the key "b" twice',
        ),
    ],
    ids=["duration", "time", "map"],
)
def test_what_has_no_text_is_refused_by_its_column(program, column, cause):
    only(program)
    pyarrow.feather.write_feather(pa.table({"x": column}), program.folder / "x.feather")
    for to in ["out.csv", "out.jsonl"]:
        line = refused(program, "x.feather", to)
        assert "column `x`" in line and cause in line, line


def test_a_map_of_any_keys_is_an_object(program):
    maps = pa.table({"m": pa.array([[(1, "x"), (-2, None)], []], pa.map_(pa.int32(), pa.string()))})
    lines = copied(program, maps, "out.jsonl").splitlines()
    assert lines == ['{"m":{"1":"x","-2":null}}', '{"m":{}}']
    assert copied(program, maps, "out.csv") == 'm\n"{""1"":""x"",""-2"":null}"\n{}\n'


def test_categories_name_folders(program):
    only(program)
    groups = pa.array(["a", "b", None, "a"]).dictionary_encode()
    pq.write_table(pa.table({"g": groups, "v": [1, 2, 3, 4]}), program.folder / "in.parquet")
    program.ok("copy", "in.parquet", "lake", "--target-option", 'partition_by=["g"]')
    table = pyarrow.dataset.dataset(program.folder / "lake/in", partitioning="hive").to_table()
    rows = sorted(zip(table["v"].to_pylist(), table["g"].to_pylist(), strict=True))
    assert rows == [(1, "a"), (2, "b"), (3, None), (4, "a")]


def test_a_packed_file_without_the_ending_says_how_it_is_packed(program):
    only(program)
    (program.folder / "in.csv").write_bytes(gzip.compress(b"a\n1\n"))
    assert "it is packed with gzip" in refused(program, "in.csv", "out.jsonl")
    program.ok("copy", "in.csv", "out.jsonl", "--option", "compression=gzip")
    assert (program.folder / "out.jsonl").read_text() == '{"a":1}\n'


def test_a_word_for_null_says_how_it_is_read(program):
    only(program)
    (program.folder / "in.csv").write_text("a,b\n1,2\nNA,3\n")
    line = refused(program, "in.csv", "out.jsonl", "--option", "sample_rows=1")
    step = 'csv.null=["","NA"]'
    assert f"--option '{step}'" in line, line
    program.ok("copy", "in.csv", "out.jsonl", "--option", "sample_rows=1", "--option", step)
    assert (program.folder / "out.jsonl").read_text() == '{"a":1,"b":2}\n{"a":null,"b":3}\n'


def test_two_columns_of_one_name_can_be_read_as_told(program):
    only(program)
    (program.folder / "in.csv").write_text("a,a\n1,2\n")
    assert "leave that row out" in refused(program, "in.csv", "out.jsonl")
    step = "SELECT * FROM data WHERE column_1 <> 'a'"
    program.ok("copy", "in.csv", "out.jsonl", "--option", "csv.header=false", "--sql", step)
    assert (program.folder / "out.jsonl").read_text() == '{"column_1":"1","column_2":"2"}\n'
