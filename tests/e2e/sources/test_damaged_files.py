"""Of a file that is damaged its name and its column are told, in words of ours, and nothing of it is published."""

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from support.longshore import only
from support.messages import plain

TABLE = {"id": [1, 2, 3], "other": ["a", "b", "c"], "name": ["one-canary", "two", "three"]}


def put(program, name, **options):
    path = program.folder / name
    table = pa.table(TABLE)
    if name.endswith(".arrow"):
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table)
    else:
        pq.write_table(
            table, path, compression="none", use_dictionary=False, write_statistics=False, **options
        )
    return path


def spoil(path, becomes):
    content = path.read_bytes()
    assert content.count(b"one-canary") == 1
    path.write_bytes(content.replace(b"one-canary", becomes))


def refused(program, pattern, sql=None):
    keys = {"transform": [{"sql": sql}]} if sql else {}
    line, code = only(program).refused(
        "run", program.job({"url": f"file://{program.folder}/{pattern}"}, "t.yaml", **keys)
    )
    assert code == 4 and "; next: " in line and program.published() == []
    return plain(line)


def test_a_page_whose_checksum_is_wrong_is_not_read(program):
    spoil(put(program, "t.parquet", write_page_checksum=True), b"One-canary")
    said = refused(program, "t.parquet")
    assert "t.parquet: column `name`" in said and "checksum" in said


def test_pages_with_checksums_are_read(program):
    put(program, "t.parquet", write_page_checksum=True)
    job = program.job({"url": f"file://{program.folder}/t.parquet"})
    assert only(program).report("run", job)["rows"] == 3


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
def test_a_text_that_is_not_utf8_is_told_with_file_and_column(program, ending):
    spoil(put(program, f"t.{ending}"), b"one-\xff\xfenary")
    said = refused(program, f"t.{ending}")
    assert f"t.{ending}: column `name`" in said and "not UTF-8" in said


@pytest.mark.parametrize("sql", [None, "SELECT id FROM data WHERE name > 'a'"])
def test_the_file_that_is_damaged_is_told_among_those_that_are_not(program, sql):
    for name in "abcde":
        put(program, f"{name}.parquet", write_page_checksum=True)
    spoil(program.folder / "d.parquet", b"one-Canary")
    said = refused(program, "*.parquet", sql)
    assert "d.parquet: column `name`" in said and "a.parquet" not in said


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("kept", [3, 100, -100, -1])
def test_a_file_that_was_cut_off_is_told_as_one(program, ending, kept):
    path = put(program, f"t.{ending}")
    path.write_bytes(path.read_bytes()[:kept])
    said = refused(program, f"t.{ending}")
    assert f"t.{ending}: " in said and "store" not in said, said
