"""A target that is one file, on every kind of store."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.stores import job
from support.wait import wait_for

#: The rows of `orders` at the scale of `job`.
ORDERS = 15_000


def a_file(program, lake, folder, name="orders.parquet", **keys):
    return job(program, lake, f"{folder}/{name}", tables=["orders"], chunk={"rows": 4000}, **keys)


def read(data):
    return pq.read_table(io.BytesIO(data))


def test_several_chunks_become_one_file_and_nothing_is_left_beside_it(program, lake, folder):
    file = a_file(program, lake, folder)
    report = program.report("run", file)
    [relation] = report["relations"]
    assert (relation["chunks"], relation["parts"], report["rows"]) == (4, 1, ORDERS)
    files = lake.files(folder)
    assert list(files) == ["orders.parquet"], "a leftover"
    keys = read(files["orders.parquet"]).column("o_orderkey").to_pylist()
    assert len(keys) == ORDERS and keys == sorted(keys), "the order of the chunks"
    assert pq.ParquetFile(io.BytesIO(files["orders.parquet"])).num_row_groups == 1, "short ones are joined"
    assert "intact" in program.ok("verify", report["manifest"], "--job", file)
    assert "the same rows" in program.ok("verify", report["manifest"], "--job", file, "--source")
    lake.put(f"{folder}/orders.parquet", b"something else")
    done = program.call("verify", report["manifest"], "--job", file)
    assert done.returncode == 4 and "14 bytes" in done.stderr, done.stderr
    if hasattr(lake, "open_uploads"):
        assert lake.open_uploads(f"{folder}/") == []


def test_long_row_groups_of_chunks_are_those_of_the_file(program, lake, folder):
    source = {"url": "tpch:", "scale": 0.2, "text_mib": 1}
    target = {"compression": "zstd"}
    keys = {"tables": ["orders"], "chunk": {"rows": 150_000}, "target": target}
    file = job(program, lake, f"{folder}/orders.parquet", "one.yaml", source, **keys)
    report = program.report("run", file)
    program.report("run", job(program, lake, f"{folder}/parts/", "parts.yaml", source, **keys))
    files = lake.files(folder)
    one = pq.ParquetFile(io.BytesIO(files["orders.parquet"]))
    parts = [read(files[name]) for name in sorted(files) if name.startswith("parts/orders/part")]
    rows = [one.metadata.row_group(group).num_rows for group in range(one.num_row_groups)]
    assert rows == [150_000, 150_000], (rows, report)
    assert one.schema_arrow.equals(parts[0].schema, check_metadata=True)
    assert one.metadata.row_group(0).column(0).compression == "ZSTD"
    assert one.read().equals(pa.concat_tables(parts))
    assert "the same rows" in program.ok("verify", report["manifest"], "--job", file, "--source")


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(program, lake, folder):
    lake.put(f"{folder}/orders.parquet", b"mine")
    file = a_file(program, lake, folder)
    line, code = program.refused("run", file)
    assert code == 2 and "is already there" in line and "mode: replace" in line
    tested, code = program.refused("test-connection", file)
    assert code == 2 and "is already there" in tested and "mode: replace" in tested
    assert lake.files(folder) == {"orders.parquet": b"mine"}
    # A run that fails leaves the old one, too.
    wrong = a_file(
        program, lake, folder, target={"mode": "replace"}, transform=[{"sql": "SELECT nope FROM data"}]
    )
    program.refused("run", wrong)
    assert lake.files(folder) == {"orders.parquet": b"mine"}
    replacing = a_file(program, lake, folder, target={"mode": "replace"})
    assert "can be written" in program.ok("test-connection", replacing)
    assert lake.files(folder) == {"orders.parquet": b"mine"}
    report = program.report("run", replacing)
    files = lake.files(folder)
    assert list(files) == ["orders.parquet"]
    assert read(files["orders.parquet"]).num_rows == ORDERS
    # And its own file, once more.
    again = program.report("run", a_file(program, lake, folder, target={"mode": "replace"}))
    assert list(lake.files(folder)) == ["orders.parquet"]
    done = program.call("verify", report["manifest"], "--job", file)
    assert done.returncode == 0 or again["run"] in done.stderr, "the same bytes, or superseded"


@pytest.mark.parametrize("name", ["empty.parquet", "empty.csv.gz"])
def test_no_rows_are_a_file_too(program, lake, folder, name):
    file = a_file(
        program, lake, folder, name, transform=[{"sql": "SELECT o_orderkey AS k FROM data WHERE false"}]
    )
    assert program.report("run", file)["rows"] == 0
    [(there, data)] = lake.files(folder).items()
    assert there == name
    if name.endswith("gz"):
        assert gzip.decompress(data) == b"k\n"
    else:
        assert read(data).schema.names == ["k"] and read(data).num_rows == 0


def test_a_run_that_was_killed_holds_its_file_up_for_no_other_job(program, lake, folder):
    """Its name is held from the run's beginning."""
    file = f"{folder}/orders.parquet"
    target = {"mode": "replace"}
    long = job(
        program,
        lake,
        file,
        "long.yaml",
        {"url": "tpch:", "scale": 20, "text_mib": 1},
        tables=["orders"],
        target=target,
    )
    running = program.start("run", long)
    wait_for(
        lambda: running.poll() is not None or any(".longshore/names/" in path for path in lake.files(folder))
    )
    running.kill()
    assert running.wait() < 0, "it was over before"
    assert program.report("run", a_file(program, lake, folder, target=target))["rows"] == ORDERS
    assert read(lake.files(folder)["orders.parquet"]).num_rows == ORDERS
