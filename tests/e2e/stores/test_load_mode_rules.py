"""Load modes: what is refused, and what a run says."""

import json

import pyarrow as pa
import pytest

from support.load_modes import Load
from support.longshore import runs
from support.stores import Local

DAYS = pa.schema({"id": pa.int64(), "day": pa.date32()})


@pytest.fixture
def lake(program):
    lake = Local()
    lake.start(program.folder / "lake")
    return lake


def days(*pairs):
    return pa.table(dict(zip(["id", "day"], zip(*pairs, strict=True), strict=True)), DAYS).to_pylist()


def partitions(program, lake, **target):
    return Load(program, lake, "shop", DAYS, mode="replace_partitions", **target)


@pytest.mark.parametrize(
    "target, said",
    [
        ({"mode": "replace_partitions"}, "target.partition_by"),
        ({"mode": "replace_partition"}, "replace_partitions"),
        ({"mode": "replace_partitions", "url": "http://hooks.internal/"}, "a sink does not have it"),
    ],
)
def test_what_cannot_be_had_is_refused_by_validate(program, target, said):
    job = program.job({"url": "file:///data/"}, tables=["a"], target={"url": "file:///lake", **target})
    line, code = program.refused("validate", job)
    assert code == 2 and said in line, line


def test_registered_tables_are_refused(program):
    job = program.job(
        {"url": "file:///data/"},
        tables=["a"],
        target={"url": "file:///lake", "mode": "replace_partitions", "partition_by": ["day"]},
        register={"url": "hive://loader@hs2.internal/lake"},
    )
    line, code = program.refused("validate", job)
    assert code == 2 and "registered tables do not have it yet" in line


@pytest.mark.parametrize("by, there", [(["id"], "day="), (["day", "id"], None)])
def test_files_in_other_folders_are_refused_before_anything_is_read(program, lake, by, there):
    load = partitions(program, lake, partition_by=["day"])
    load.run([{"id": 1, "day": None}])
    if there is None:
        stray = next(iter(load.files()))
        lake.put(f"shop/orders/{stray.rpartition('/')[2]}", load.files()[stray])
        by = ["day"]
    load.target["partition_by"] = by
    line, code = program.refused("run", load.job([{"id": 2, "day": None}]))
    assert code == 2 and f"is no folder of `{by[0]}`" in line and "partition_by" in line, line
    assert not any(run["phase"] == "reading" for run in runs(program))


def test_other_columns_are_refused(program, lake):
    load = partitions(program, lake, partition_by=["day"])
    load.run([{"id": 1, "day": None}])
    load.schema = pa.schema({"id": pa.string(), "day": pa.date32()})
    line, code = program.refused("run", load.job([{"id": "1", "day": None}]))
    assert code == 2 and "`target.mode` is replace_partitions" in line and "`id` (Int64) is there" in line


def test_a_source_without_rows_changes_nothing_and_says_so(program, lake):
    load = partitions(program, lake, partition_by=["day"])
    load.run([{"id": 1, "day": None}])
    before = load.files()
    done = program.call("run", load.job([]))
    assert done.returncode == 0 and "the source has no rows: nothing changes" in done.stderr, done.stderr
    assert "replace_partitions: 0 files of 0 B replaced" in done.stdout, done.stdout
    assert load.files() == before


def test_formats_other_than_parquet_have_replace_partitions(program, lake):
    load = partitions(program, lake, partition_by=["day"], format="csv")
    for id in [1, 2]:
        load.run([{"id": id, "day": None}])
    assert list(load.files().values()) == [b"id\n2\n"]


def test_a_manifest_whose_parts_were_replaced_is_superseded(program, lake):
    load = partitions(program, lake, partition_by=["day"])
    job = load.job([{"id": 1, "day": None}])
    first, second = (program.report("run", job) for _ in range(2))
    assert "intact" in program.ok("verify", second["manifest"], "--job", job)
    line, _ = program.refused("verify", first["manifest"], "--job", job)
    assert f"superseded by run {second['run']}" in line
    record = json.loads((lake.folder / f"shop/.longshore/runs/{second['run']}.json").read_text())
    load = record["relations"][0]["load"]
    assert load["mode"] == record["job"]["mode"] == "replace_partitions" and load["rewritten_files"] == 1


def test_two_runs_at_once_leave_the_rows_of_one(program, lake):
    load = partitions(program, lake, partition_by=["day"])
    jobs = [load.job([{"id": n, "day": None}] * 1000, name=f"load{n}.yaml") for n in range(3)]
    running = [program.start("run", job) for job in jobs]
    assert [run.wait(120) for run in running] == [0, 0, 0]
    rows = load.rows()
    assert len(rows) == 1000 and len({row["id"] for row in rows}) == 1
