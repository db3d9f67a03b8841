"""Load modes: what is refused, and what a run says."""

import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

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
        (
            {"mode": "replace_partitions", "partition_by": ["a"], "url": "http://hooks.internal/"},
            "`http-sink` has no load modes",
        ),
        ({"mode": "merge"}, "`merge: { key: [id] }`"),
        ({"mode": "merge", "merge": {"key": []}}, "the key has no columns"),
        ({"mode": "merge", "merge": {"key": ["a", "a"]}}, "names `a` twice"),
        ({"mode": "merge", "merge": {"key": ["a"], "ordre_by": "b"}}, "order_by"),
        (
            {"mode": "merge", "merge": {"key": ["a"], "order_by": "b", "duplicates": "fail"}},
            "duplicates: latest",
        ),
        ({"mode": "merge", "merge": {"key": ["a"], "deleted": "op = "}}, "merge.deleted"),
        ({"mode": "merge", "merge": {"key": ["a"], "deleted": "x) OR (y"}}, "merge.deleted"),
        ({"mode": "merge", "merge": {"key": ["a"]}, "format": "csv"}, "csv files are not read back"),
        ({"mode": "scd2"}, "`scd2: { key: [id] }`"),
        ({"mode": "scd2", "scd2": {"key": ["a"], "absent": "delete"}}, "absent"),
        ({"mode": "snapshot"}, "`snapshot: { arrival: arrived_at }`"),
        ({"mode": "append", "merge": {"key": ["a"]}}, "choose `mode: merge`"),
        (
            {"mode": "merge", "merge": {"key": ["a"]}, "url": "http://hooks.internal/"},
            "`http-sink` has no load modes",
        ),
    ],
)
def test_what_cannot_be_had_is_refused_by_validate(program, target, said):
    job = program.job({"url": "file:///data/"}, tables=["a"], target={"url": "file:///lake", **target})
    line, code = program.refused("validate", job)
    assert code in (2, 4) and said in line, line


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
    assert code == 2 and "has other columns: `id` is Int64 in the target" in line and "`schema`" in line


def test_modes_that_join_rows_do_not_point_to_policies_that_they_do_not_have(program, lake):
    load = merge(program, lake)
    load.run([{"id": 1}])
    load.schema = pa.schema({"id": pa.string()})
    line, code = program.refused("run", load.job([{"id": "1"}]))
    assert code == 2 and "has other columns" in line and "`schema`" not in line
    line, code = program.refused("run", load.job([{"id": "1"}], schema={"on_added": "evolve"}))
    assert code == 2 and "`target.mode` merge keeps the columns" in line


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


def merge(program, lake, schema=DAYS, **how):
    return Load(program, lake, "shop", schema, mode="merge", merge={"key": ["id"], **how})


@pytest.mark.parametrize(
    "how, said",
    [
        ({"key": ["di"]}, "`merge.key`: no column `di`; next: the columns are id, day"),
        ({"order_by": "when"}, "`merge.order_by`: no column `when`"),
        ({"deleted": "gone"}, "no column `gone`"),
        ({"deleted": "id"}, "is Int64, and no condition"),
    ],
)
def test_columns_that_a_merge_has_not_are_refused_by_plan(program, lake, how, said):
    job = merge(program, lake, **how).job([{"id": 1, "day": None}])
    for command in ["plan", "run"]:
        line, code = program.refused(command, job)
        assert said in line and code in (2, 4), line
    assert not lake.files("shop")


def test_a_relation_has_a_key_of_its_own(program, lake):
    load = merge(program, lake, key=["day"])
    own = {"merge": {"key": ["id"]}}
    for ids in [[1, 2], [2, 3]]:
        job = load.job([{"id": id, "day": None} for id in ids])
        text = yaml.safe_load(job.read_text())
        text["relations"][0] |= own
        job.write_text(yaml.safe_dump(text))
        program.ok("run", job)
    assert sorted(row["id"] for row in load.rows()) == [1, 2, 3]


def test_several_rows_of_one_key_are_refused_and_three_are_named(program, lake):
    load = merge(program, lake)
    load.run([{"id": 1, "day": None}])
    before = load.files()
    rows = [{"id": id, "day": None} for id in [7, 7, 8, 9, 9, 9, None, None, 10, 10]]
    line, code = program.refused("run", load.job(rows, chunks=2))
    assert (
        code == 4 and "orders: the source has several rows of (id=NULL), (id=7), (id=9), and others" in line
    ), line
    assert "duplicates: latest" in line
    assert load.files() == before
    assert not any((program.folder / "state").glob("scratch/*"))


def test_the_last_row_that_arrives_is_taken(program, lake):
    load = merge(program, lake, duplicates="latest")
    rows = [{"id": n % 3, "day": n} for n in range(30)]
    load.run([{**row, "day": pa.scalar(row["day"], pa.date32()).as_py()} for row in rows])
    assert sorted((row["id"], row["day"].toordinal() - 719163) for row in load.rows()) == [
        (0, 27), (1, 28), (2, 29),
    ]  # fmt: skip


def test_a_merge_rewrites_only_files_with_a_key_that_comes(program, lake):
    load = merge(program, lake)
    for start in [0, 100, 200]:
        load.run([{"id": n, "day": None} for n in range(start, start + 100)])
    before = load.files()
    assert len(before) == 3
    report = load.run([{"id": 150, "day": pa.scalar(1, pa.date32()).as_py()}, {"id": 500, "day": None}])
    after = load.files()
    assert len(before.keys() - after.keys()) == 1 and len(after.keys() - before.keys()) == 1
    assert report["load"] == {
        "mode": "merge", "inserted": 1, "updated": 1, "deleted": 0, "unchanged": 0,
        "rewritten_files": 1, "rewritten_bytes": len(before[next(iter(before.keys() - after.keys()))]), "kept_files": 2,
    }  # fmt: skip
    text = program.ok("run", load.job([{"id": 150, "day": None}]))
    assert "merge: 1 updated, 1 file of" in text and "2 kept" in text, text


def test_rows_that_are_all_deleted_leave_a_file_with_the_columns(program, lake):
    schema = pa.schema({"id": pa.int64(), "gone": pa.bool_()})
    load = merge(program, lake, schema, deleted="gone")
    load.run([{"id": 1, "gone": False}, {"id": 2, "gone": None}])
    assert len(load.rows()) == 2
    report = load.run([{"id": id, "gone": True} for id in [1, 2, 3]])
    assert load.rows() == [] and len(load.files()) == 1
    assert report["load"]["deleted"] == 2 and report["rows"] == 0


def test_files_of_others_with_other_columns_are_refused(program, lake):
    load = merge(program, lake)
    table = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "other": ["x"]}), table)
    lake.put("shop/orders/theirs.parquet", table.getvalue())
    line, code = program.refused("run", load.job([{"id": 1, "day": None}]))
    assert code == 2 and "theirs.parquet: it has a column `other`, which the run has not" in line
    lake.put("shop/orders/theirs.parquet", b"no Parquet")
    line, code = program.refused("run", load.job([{"id": 1, "day": None}]))
    assert code == 4 and "theirs.parquet" in line and "damaged" in line


@pytest.mark.parametrize(
    "arrival, said",
    [
        ("dya", "no column `dya`; next: the columns are day, note"),
        ("note", "name a column of dates, timestamps or whole numbers"),
    ],
)
def test_columns_that_tell_no_arrival_are_refused_by_plan(program, lake, arrival, said):
    schema = pa.schema({"day": pa.date32(), "note": pa.string()})
    load = Load(program, lake, "shop", schema, mode="snapshot", snapshot={"arrival": arrival})
    line, code = program.refused("plan", load.job([{"day": None, "note": "x"}]))
    assert code == 2 and said in line, line


def test_rows_without_an_arrival_are_refused(program, lake):
    load = Load(program, lake, "shop", DAYS, mode="snapshot", snapshot={"arrival": "day"})
    line, code = program.refused("run", load.job([{"id": 1, "day": None}, {"id": 2, "day": None}]))
    assert code == 4 and "the source has 2 rows whose `day` is NULL" in line, line


STAFF = pa.schema({"id": pa.int64(), "team": pa.string()})


def staff(**teams):
    return [{"id": int(id[1:]), "team": team} for id, team in teams.items()]


def history(load, starts):
    """The versions of each key: the numbers of the loads in which they begin and end, and the team."""
    when = lambda at: (
        starts.index(at.isoformat(timespec="milliseconds").replace("+00:00", "Z")) if at else None
    )
    rows = sorted(load.rows(), key=lambda row: (row["id"], row["valid_from"]))
    return [(row["id"], when(row["valid_from"]), when(row["valid_to"]), row["team"]) for row in rows]


def test_absent_keys_end_and_return(program, lake):
    how = {"key": ["id"], "absent": "close", "end": None}
    load = Load(program, lake, "shop", STAFF, mode="scd2", scd2=how)
    starts = []
    loads = [
        staff(_1="red", _2="red", _3=None),
        staff(_1="red", _2="blue"),
        staff(_2="blue", _3="red"),
        [],
        staff(_1="red", _2="blue", _3="red"),
    ]
    for rows in loads:
        starts.append(program.report("run", load.job(rows))["started"])
    assert history(load, starts) == [
        (1, 0, 2, "red"), (1, 4, None, "red"),
        (2, 0, 1, "red"), (2, 1, None, "blue"),
        (3, 0, 1, None), (3, 2, None, "red"),
    ]  # fmt: skip


def test_a_key_that_returns_with_its_old_time_is_reopened_by_the_run(program, lake):
    schema = pa.schema({"id": pa.int64(), "team": pa.string(), "day": pa.date32()})
    how = {"key": ["id"], "changed_at": "day", "absent": "close"}
    load = Load(program, lake, "shop", schema, mode="scd2", scd2=how)
    day = pa.scalar(20000, pa.date32()).as_py()
    row, other = {"id": 1, "team": "red", "day": day}, {"id": 2, "team": "red", "day": day}
    for rows in [[row, other], [other], [row, other]]:
        load.run(rows)
    versions = sorted((r["id"], r["valid_from"], r["valid_to"].year) for r in load.rows())
    assert [(id, year) for id, _, year in versions] == [(1, versions[1][1].year), (1, 9999), (2, 9999)]
    assert versions[0][1] == day and versions[1][1] > day


@pytest.mark.parametrize(
    "how, said",
    [
        ({"changed_at": "team"}, "name a column of dates or timestamps"),
        ({"changed_at": "at"}, "no column `at`"),
        ({"track": ["taem"]}, "did you mean `team`?"),
        ({"valid_from": "team"}, "two columns are called `team`"),
        ({"end": "never"}, "`scd2.end`: `never` is no Timestamp"),
    ],
)
def test_columns_that_make_no_history_are_refused_by_plan(program, lake, how, said):
    load = Load(program, lake, "shop", STAFF, mode="scd2", scd2={"key": ["id"], **how})
    line, code = program.refused("plan", load.job(staff(_1="red")))
    assert code == 2 and said in line, line
    assert not lake.files("shop")


def test_a_history_of_which_nothing_is_tracked_has_a_version_of_each_key(program, lake):
    load = Load(program, lake, "shop", STAFF, mode="scd2", scd2={"key": ["id"], "track": []})
    for team in ["red", "blue"]:
        load.run(staff(_1=team, _2=team))
    assert sorted((row["id"], row["team"]) for row in load.rows()) == [(1, "red"), (2, "red")]


def test_rows_of_one_key_and_time_are_refused(program, lake):
    load = Load(program, lake, "shop", STAFF, mode="scd2", scd2={"key": ["id"]})
    line, _ = program.refused("run", load.job(staff(_1="red") + staff(_1="blue")))
    assert "the source has several rows of (id=1)" in line


def test_a_plan_says_what_is_there_and_may_be_written_again(program, lake):
    load = merge(program, lake)
    load.run([{"id": 1, "day": None}])
    [data] = load.files().values()
    job = load.job([{"id": 2, "day": None}])
    [relation] = json.loads(program.ok("--json", "plan", job))["relations"]
    assert relation["load"] == {"mode": "merge", "files": 1, "bytes": len(data)}
    assert "merge: 1 file there, at most" in program.ok("plan", job)


def test_a_merge_is_verified_by_its_parts_and_not_by_its_source(program, lake):
    load = merge(program, lake)
    job = load.job([{"id": 1, "day": None}])
    manifest = program.report("run", job)["manifest"]
    assert "intact" in program.ok("verify", manifest, "--job", job)
    line, code = program.refused("verify", manifest, "--job", job, "--source")
    assert code == 2 and "its parts also hold rows of earlier runs" in line


@pytest.mark.parametrize("mode, how", [("merge", {"key": ["id"]}), ("snapshot", {"arrival": "day"})])
def test_a_first_run_without_rows_makes_the_columns_known(program, lake, mode, how):
    load = Load(program, lake, "shop", DAYS, mode=mode, **{mode: how})
    for _ in range(2):
        load.run([])
    [data] = load.files().values()
    assert pq.read_schema(io.BytesIO(data)).names == ["id", "day"]


@pytest.mark.parametrize(
    "check, said",
    [
        ({"rows": {"change": "10%"}}, "`rows.change`"),
        ({"not_null": ["id"], "severity": "quarantine"}, "`severity`"),
    ],
    ids=["change", "quarantine"],
)
def test_checks_that_a_mode_cannot_have_are_refused(program, lake, check, said):
    line, code = program.refused("validate", merge(program, lake).job([{"id": 1}], checks=[check]))
    assert code == 2 and said in line and "merge" in line


def test_rows_that_a_mode_reads_are_checked_before_it_changes_anything(program, lake):
    load = merge(program, lake)
    load.run([{"id": 1, "day": None}])
    before = load.files()
    line, code = program.refused("run", load.job([{"id": 2, "day": None}], checks=[{"not_null": ["day"]}]))
    assert code == 4 and "not_null(day)" in line
    assert load.files() == before


def test_a_history_of_an_incremental_relation_closes_no_absent_keys(program, lake):
    load = Load(program, lake, "shop", DAYS, mode="scd2", scd2={"key": ["id"], "absent": "close"})
    relations = [{"table": "load", "as": "orders", "incremental": {"by": "modified"}}]
    job = program.job({"url": f"file://{program.folder}/"}, target=load.target, relations=relations)
    line, code = program.refused("validate", job)
    assert code == 2 and "`scd2.absent`" in line and "incremental" in line


def test_a_snapshot_of_a_window_is_refused(program, lake):
    """It would remove all that is newer than the earliest row of the window."""
    relations = [{"table": "load", "as": "orders", "incremental": {"by": "modified"}}]
    target = lake.target("shop", mode="snapshot", snapshot={"arrival": "day"})
    (program.folder / "load").mkdir()
    job = program.job({"url": f"file://{program.folder}/"}, target=target, relations=relations)
    line, code = program.refused("validate", job)
    assert code == 2 and "snapshot" in line and "incremental" in line


def test_zero_is_one_key_whatever_its_sign(program, lake):
    schema = pa.schema({"id": pa.float64(), "n": pa.int64()})
    load = merge(program, lake, schema)
    load.run([{"id": 0.0, "n": 1}])
    line, code = program.refused("run", load.job([{"id": -0.0, "n": 2}, {"id": 0.0, "n": 3}]))
    assert code == 4 and "key" in line
    load.run([{"id": -0.0, "n": 2}])
    assert [row["n"] for row in load.rows()] == [2]


def test_a_run_without_values_or_rows_goes_into_history(program):
    source = program.folder / "in"
    source.mkdir()
    job = program.job(
        {"url": f"file://{source}/n.csv"},
        target={"url": f"file://{program.lake}", "mode": "scd2", "scd2": {"key": ["id"]}},
    )
    for rows in ["id,o\n1,5\n", "id,o\n2,\n", "id,o\n"]:
        (source / "n.csv").write_text(rows)
        report = program.report("run", job)
    found = pq.read_table(program.lake / report["relations"][0]["published_as"]).to_pylist()
    assert sorted((row["id"], row["o"]) for row in found) == [(1, 5), (2, None)]
