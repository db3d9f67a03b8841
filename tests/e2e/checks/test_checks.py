"""Checks of rows: exact, over the whole run, before anybody can see a row."""

import json
import shutil
import signal
from functools import partial

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.checks import ROWS, job_of, more_done, random_table, results
from support.daemon import Daemon
from support.longshore import rows_job
from support.wait import wait_for

#: Checks of rows, and the same in DuckDB's SQL: the rows that fail.
FAILING = {
    "ids": ({"not_null": ["id"]}, "id IS NULL"),
    "both": ({"not_null": ["id", "status"]}, "id IS NULL OR status IS NULL"),
    "status": (
        {"accepted": {"column": "status", "values": ["open", "closed"]}},
        "status NOT IN ('open', 'closed')",
    ),
    "amounts": (
        {"accepted": {"column": "Amount, net", "values": ["1.50", -3, 0.25]}},
        '"Amount, net" NOT IN (1.50, -3, 0.25)',
    ),
    "whole": ({"range": {"column": "id", "min": 10, "max": 9000}}, "id < 10 OR id > 9000"),
    "net": ({"range": {"column": "Amount, net", "min": "-0.5"}}, '"Amount, net" < -0.5'),
    "ratio": ({"range": {"column": "ratio", "max": 7.25}}, "ratio > 7.25"),
    "day": ({"range": {"column": "day", "min": "2026-02-01"}}, "day < DATE '2026-02-01'"),
    "at": (
        {"range": {"column": "at", "max": "2026-01-05T00:00:00+02:00"}},
        "\"at\" > TIMESTAMPTZ '2026-01-04 22:00:00+00'",
    ),
    "words": (
        {"pattern": {"column": "status", "regex": "[a-zö]+"}},
        "NOT regexp_full_match(status, '[a-zö]+')",
    ),
    "long": ({"length": {"column": "status", "min": 1, "max": 5}}, "length(status) NOT BETWEEN 1 AND 5"),
}


@pytest.mark.parametrize("seed", [1, 2])
def test_duckdb_finds_the_same_rows(program, seed):
    source, table = random_table(program, seed)
    checks = [{"name": name, "severity": "warn", **check} for name, (check, _) in FAILING.items()]
    report = program.report("run", job_of(program, source, checks))
    assert report["rows"] == ROWS and report["relations"][0]["chunks"] > 1
    found = results(report)
    for name, (_, fails) in FAILING.items():
        [[expected]] = duckdb.sql(f"SELECT count(*) FROM {table} WHERE {fails}").fetchall()
        result = found[name]
        assert 0 < expected < ROWS and result["failing"] == expected, (name, expected, result)
        assert result["outcome"] == "failed" and result["rows"] == ROWS
        assert len(result["samples"]) == 5
    columns = {tuple(sorted(sample)) for sample in found["both"]["samples"]}
    assert columns == {("id", "status")}
    manifest = json.loads((program.lake / f".longshore/runs/{report['run']}.json").read_text())
    assert {check["name"] for check in manifest["relations"][0]["checks"]} == set(FAILING)
    shown = program.ok("runs", "show", report["run"])
    assert all(f"check `{name}` (warn)" in shown for name in FAILING), shown


def test_a_check_that_fails_publishes_nothing_and_names_rows(program):
    checks = [
        {"not_null": ["name"]},
        {"range": {"column": "id", "max": 2}},
        {"rows": {"min": 10}},
        {"name": "only told", "severity": "warn", "rows": {"max": 1}},
        {"name": "fine", "length": {"column": "name", "max": 5}},
    ]
    job = rows_job(program, checks=checks)
    line, code = program.refused("run", job)
    assert code == 4 and "2 checks failed" in line and "only told" not in line, line
    assert "good: check `range(id)` (fail): 1 of 3 rows fail;" in line and 'id="3"' not in line, line
    assert '1 of 3 rows fail, such as id="3"' in program.call("run", job).stdout
    assert "check `rows` (fail): 3 rows, at least 10 are wanted" in line, line
    assert "nothing is published" in line
    assert program.published() == []
    failed = json.loads(program.call("--json", "run", job).stdout)
    outcomes = {name: result["outcome"] for name, result in results(failed).items()}
    assert outcomes == {
        "not_null(name)": "passed",
        "range(id)": "failed",
        "rows": "failed",
        "only told": "failed",
        "fine": "passed",
    }
    assert (failed["error"]["class"], failed["error"]["code"]) == ("data", "check")


def test_what_is_allowed_may_fail(program):
    for allow, is_fine in [(1, True), ("34%", True), (0, False), ("33%", False)]:
        job = rows_job(program, checks=[{"range": {"column": "id", "max": 2}, "allow": allow}])
        assert (program.call("run", job).returncode == 0) == is_fine, allow


def test_rows_are_compared_with_the_last_run_that_succeeded(program):
    table = program.folder / "rows.csv"

    def run(rows):
        table.write_text("id\n" + "\n".join(map(str, range(rows))) + "\n")
        job = program.job({"url": f"file://{table}"}, "count.yaml", checks=[{"rows": {"change": "20%"}}])
        return program.call("run", job)

    assert run(100).returncode == 0, "there is no run before the first"
    assert run(120).returncode == 0
    done = run(95)
    assert done.returncode == 4 and "95 rows, the last run had 120: they may differ by 20%" in done.stderr
    # What failed is no measure for the next.
    assert run(96).returncode == 0


def test_null_rates_and_ages_are_of_the_whole_relation(program):
    source, table = random_table(program)
    checks = [
        {"name": "often", "severity": "warn", "null_rate": {"column": "status", "max": "1%"}},
        {"name": "seldom", "severity": "warn", "null_rate": {"column": "status", "max": "50%"}},
        {"name": "old", "severity": "warn", "freshness": {"column": "day", "max_age": "1s"}},
        {"name": "young", "severity": "warn", "freshness": {"column": "at", "max_age": "360d"}},
    ]
    found = results(program.report("run", job_of(program, source, checks)))
    [[nulls, newest]] = duckdb.sql(f"SELECT count(*) - count(status), max(day) FROM {table}").fetchall()
    assert f"NULL in {nulls:,} of 10,000 rows, 1% may be" in found["often"]["found"]
    assert f"the newest value is {newest}T00:00:00.000Z" in found["old"]["found"]
    outcomes = [found[name]["outcome"] for name in ["often", "seldom", "old", "young"]]
    assert outcomes == ["failed", "passed", "failed", "passed"]


def test_a_relation_without_rows_fails_what_asks_for_some(program):
    (program.folder / "none.csv").write_text("id,day\n")
    columns = {"id": "bigint", "day": "date"}
    checks = [
        {"not_null": ["id"]},
        {"null_rate": {"column": "id", "max": "0%"}},
        {"severity": "warn", "rows": {"min": 1}},
        {"severity": "warn", "freshness": {"column": "day", "max_age": "9d"}},
    ]
    source = {"url": f"file://{program.folder}/none.csv", "columns": columns}
    found = results(program.report("run", program.job(source, checks=checks)))
    outcomes = [result["outcome"] for result in found.values()]
    assert outcomes == ["passed", "passed", "failed", "failed"]
    assert found["freshness(day)"]["found"] == "there is no value"


REFUSED = {
    "a column that is not there": ({"not_null": ["nam"]}, "no column `nam`", "did you mean `name`?"),
    "a text for a number": (
        {"range": {"column": "id", "min": "ten"}},
        "`range.min`: `ten` is no value of the column `id`, which is Int64",
        "whole number",
    ),
    "text of a number": (
        {"length": {"column": "id", "max": 3}},
        "the column `id` is Int64",
        "a column of text",
    ),
    "an age of a text": (
        {"freshness": {"column": "name", "max_age": "1d"}},
        "the column `name` is Utf8",
        "dates or timestamps",
    ),
}


@pytest.mark.parametrize("refused", REFUSED)
def test_what_does_not_fit_the_rows_is_refused_before_they_are_read(program, refused):
    check, cause, hint = REFUSED[refused]
    job = rows_job(program, checks=[check])
    for command in ["plan", "run"]:
        line, code = program.refused(command, job)
        assert code == 2 and cause in line and hint in line, line
    assert program.published() == []


def test_a_pattern_that_is_none_is_refused_without_a_look_at_the_rows(program):
    job = rows_job(program, checks=[{"pattern": {"column": "name", "regex": "(?<=a)b"}}])
    line, code = program.refused("validate", job)
    assert code == 2 and "`(?<=a)b` is no regular expression: look-around" in line, line


def test_the_plan_lists_the_checks(program):
    checks = [{"not_null": ["id"], "allow": "1%"}, {"severity": "warn", "rows": {"min": 1}}]
    job = rows_job(program, checks=checks)
    text = program.ok("plan", job)
    assert "check: not_null(id) (fail, 1% of the rows may fail)\n" in text and "check: rows (warn)\n" in text
    [relation] = program.report("plan", job)["relations"]
    assert [check["severity"] for check in relation["checks"]] == ["fail", "warn"]


def test_rows_are_checked_after_all_transforms_and_masks(program):
    mask = {"sql": "SELECT id, 'x' || length(name) AS name FROM data WHERE id > 1"}
    checks = [
        {"severity": "warn", "range": {"column": "id", "max": 0}},
        {"accepted": {"column": "name", "values": ["x3"]}, "severity": "warn"},
    ]
    found = results(program.report("run", rows_job(program, transform=[mask], checks=checks)))
    assert found["range(id)"]["failing"] == 2
    assert found["accepted(name)"]["samples"] == [{"name": "x5"}]


def test_checks_are_counted(program):
    checks = [{"severity": "warn", "rows": {"min": 10}}, {"not_null": ["id"]}]
    metrics = program.folder / "run.prom"
    program.ok("run", "--metrics-file", metrics, rows_job(program, checks=checks))
    text = metrics.read_text()
    assert 'longshore_checks_total{severity="warn",outcome="failed"} 1\n' in text
    assert 'longshore_checks_total{severity="fail",outcome="passed"} 1\n' in text


def test_a_unique_key_has_no_two_rows(program):
    source, table = random_table(program)
    checks = [
        {"severity": "warn", "unique": ["id"]},
        {"severity": "warn", "name": "two", "unique": ["id", "status"]},
        {"severity": "warn", "name": "three", "unique": ["id", "Amount, net", "at"]},
    ]
    found = results(program.report("run", job_of(program, source, checks)))
    for name, key in [("unique(id)", "id"), ("two", "id, status")]:
        known = key.replace(",", " IS NOT NULL AND") + " IS NOT NULL"
        sql = f"SELECT sum(n) FROM (SELECT count(*) n FROM {table} WHERE {known} GROUP BY {key} HAVING n > 1)"
        [[expected]] = duckdb.sql(sql).fetchall()
        assert expected > 0 and found[name]["failing"] == expected, name
    assert set(found["two"]["samples"][0]) == {"id", "status", "rows"}
    assert found["three"]["outcome"] == "passed"
    assert not (program.folder / "state/scratch").exists() or not list(
        (program.folder / "state/scratch").iterdir()
    )


def shop(program, **keys):
    """Two relations of files: orders refer to customers."""
    (program.folder / "customers.csv").write_text("id,Näme\n1,a\n2,b\n")
    (program.folder / "orders.csv").write_text("id,customer,amount\n1,1,5\n2,3,-1\n3,,7\n4,2,9\n5,4,1\n")
    relations = [
        {"table": "customers.csv", "as": "the customers", **keys.pop("customers", {})},
        {"table": "orders.csv", "as": "orders", **keys.pop("orders", {})},
    ]
    return program.job({"url": f"file://{program.folder}/"}, "shop.yaml", relations=relations, **keys)


def test_references_lead_to_rows_of_another_relation(program):
    refers = {"references": {"columns": ["customer"], "relation": "the customers", "to": ["id"]}}
    job = shop(program, orders={"checks": [refers]})
    line, code = program.refused("run", job)
    assert code == 4 and "orders: check `references(customer)` (fail): 2 of 5 rows fail" in line, line
    shown = program.call("run", job).stdout
    assert 'customer="3"' in shown and 'customer="4"' in shown
    assert program.published() == []
    # Both of the same run: those that are kept out are not there to be referred to.
    keep = {"severity": "quarantine", "accepted": {"column": "customer", "values": [1, 2]}}
    report = program.report("run", shop(program, orders={"checks": [refers, keep]}))
    assert results(report)["references(customer)"]["rows"] == 3


def test_rows_that_a_query_gives_fail(program):
    sql = 'SELECT o.id, o.amount, c."Näme" FROM data o LEFT JOIN "the customers" c ON c.id = o.customer WHERE o.amount < 6'
    check = {"name": "cheap", "severity": "warn", "sql": sql, "allow": 1}
    result = results(program.report("run", shop(program, orders={"checks": [check]})))["cheap"]
    assert (result["failing"], result["outcome"]) == (3, "failed")
    assert {"id": "1", "amount": "5", "Näme": "a"} in result["samples"]
    assert {"id": "2", "amount": "-1", "Näme": None} in result["samples"]


WRONG_QUERIES = {
    "no column": ({"sql": "SELECT idd FROM data"}, "plan", "check `sql`: no column `idd`"),
    "no table": ({"sql": "SELECT 1 FROM customers"}, "validate", "check `sql`: no table `customers`"),
    "no key": ({"unique": ["id", "custom"]}, "plan", "no column `custom`"),
    "no such row": (
        {"references": {"columns": ["customer"], "relation": "the customers", "to": ["name"]}},
        "plan",
        "the customers: no column `name`",
    ),
    "other types": (
        {"references": {"columns": ["customer"], "relation": "the customers", "to": ["Näme"]}},
        "plan",
        "check `references(customer)`: `customer` is Int64, and `Näme` of `the customers` is Utf8",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_QUERIES)
def test_what_cannot_be_asked_is_refused_before_rows_are_read(program, wrong):
    check, first, cause = WRONG_QUERIES[wrong]
    job = shop(program, orders={"checks": [check]})
    for command in [first, "run"]:
        line, _ = program.refused(command, job)
        assert cause in line, line
    assert program.published() == []


def test_checks_of_a_join_see_what_it_makes(program):
    sql = 'SELECT o.id, c."Näme" FROM orders o LEFT JOIN "the customers" c ON c.id = o.customer'
    checks = [{"severity": "warn", "not_null": ["Näme"]}, {"unique": ["id"]}]
    found = results(program.report("run", shop(program, sql=sql, checks=checks)))
    assert (found["not_null(Näme)"]["failing"], found["unique(id)"]["outcome"]) == (3, "passed")


@pytest.mark.parametrize("format_, ending", [("parquet", "parquet"), ("csv", "csv"), ("json", "jsonl")])
def test_rows_in_quarantine_lie_beside_the_table(program, format_, ending):
    source, table = random_table(program)
    checks = [
        {"name": "ids", "severity": "quarantine", "not_null": ["id"]},
        {"name": "open", "severity": "quarantine", "accepted": {"column": "status", "values": ["open", "o"]}},
        {"not_null": ["id"]},
        {"severity": "warn", "rows": {"max": 1}},
    ]
    target = {"url": f"file://{program.lake}", "format": format_, "partition_by": ["status"]}
    report = program.report("run", job_of(program, source, checks, target=target))
    bad = "id IS NULL OR status NOT IN ('open', 'o')"
    [[failing, ids]] = duckdb.sql(
        f"SELECT count(*), count(*) FILTER (id IS NULL) FROM {table} WHERE {bad}"
    ).fetchall()
    found = results(report)
    assert (report["rows"], found["ids"]["failing"]) == (ROWS - failing, ids)
    assert [found[name]["outcome"] for name in ["ids", "open", "not_null(id)"]] == [
        "quarantined", "quarantined", "passed",
    ]  # fmt: skip
    assert f"{ROWS - failing:,} rows" in found["rows"]["found"]
    manifest = json.loads((program.lake / f".longshore/runs/{report['run']}.json").read_text())
    quarantine = manifest["relations"][0]["quarantine"]
    folder = program.lake / f".longshore/quarantine/job/{report['run']}"
    assert program.lake / quarantine["folder"] == folder and quarantine["rows"] == failing
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        part["file"] for part in quarantine["parts"]
    )
    reader = {"parquet": "read_parquet", "csv": "read_csv", "jsonl": "read_json"}[ending]
    aside = duckdb.sql(
        f"""SELECT "check", count(*) FROM {reader}('{folder}/*.{ending}') GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    expected = duckdb.sql(
        f"""SELECT concat_ws(', ', CASE WHEN id IS NULL THEN 'ids' END,
              CASE WHEN status NOT IN ('open', 'o') THEN 'open' END) AS c, count(*)
            FROM {table} WHERE {bad} GROUP BY 1 ORDER BY 1"""
    ).fetchall()
    assert aside == expected
    left = f"{reader}('{program.lake}/job/**/*.{ending}', hive_partitioning = true)"
    assert duckdb.sql(f"SELECT count(*) FROM {left}").fetchall() == [(ROWS - failing,)]


def test_too_many_rows_in_quarantine_fail_the_run_and_leave_nothing(program):
    check = {"severity": "quarantine", "range": {"column": "id", "max": 1}, "allow": "50%"}
    line, code = program.refused("run", rows_job(program, checks=[check]))
    assert code == 4 and "2 of 3 rows fail, 50% may" in line, line
    assert program.published() == []


def test_a_column_named_check_keeps_its_name_in_quarantine(program):
    (program.folder / "t.csv").write_text("id,check\n1,a\n2,b\n")
    checks = [{"severity": "quarantine", "range": {"column": "id", "max": 1}}]
    report = program.report("run", program.job({"url": f"file://{program.folder}/t.csv"}, checks=checks))
    [path] = (program.lake / f".longshore/quarantine/job/{report['run']}").iterdir()
    assert duckdb.sql(f"SELECT * FROM '{path}'").fetchall() == [(2, "b", "range(id)")]


def test_a_sink_has_no_quarantine(program):
    target = {"url": "postgres://postgres@127.0.0.1:1/lake"}
    checks = [{"severity": "quarantine", "not_null": ["id"]}]
    line, code = program.refused("validate", rows_job(program, target=target, checks=checks))
    assert code == 2 and "sinks, single files, and the modes merge" in line, line


def test_a_run_that_is_killed_counts_each_row_once(program, flights):
    """The second process keeps what the first has measured, quarantined and kept for later."""
    checks = [
        {"severity": "quarantine", "range": {"column": "distance", "max": 2500}},
        {"severity": "warn", "not_null": ["dep_delay"]},
        {"severity": "warn", "unique": ["carrier", "flight"]},
    ]
    target = {"url": f"file://{program.lake}"}
    job = program.postgres(
        flights,
        tables=["flights"],
        target=target,
        chunk={"rows": 4_000},
        checks=checks,
        consistency="per-chunk",
    )
    whole = results(program.report("run", job))
    program.ok("plugin", "list")
    shutil.rmtree(program.lake)
    daemon = Daemon(program)
    job.rename(daemon.inbox / job.name)
    done = 0
    for _ in range(4):
        # Something is new since the last death, or all is over.
        done = wait_for(partial(more_done, program, done, daemon.inbox / "done"))
        daemon.stop(signal.SIGKILL)
        daemon.start()
    [report] = daemon.reports("done")
    daemon.stop()
    assert any("are kept" in text for text in report["interruptions"]), report["interruptions"]
    counts = lambda found: {name: (result["failing"], result["rows"]) for name, result in found.items()}
    assert counts(results(report)) == counts(whole)
    [[rows, long]] = duckdb.sql(
        f"""SELECT count(*), (SELECT count(*) FROM '{program.lake}/.longshore/quarantine/flights/*/*.parquet')
            FROM '{program.lake}/flights/*.parquet'"""
    ).fetchall()
    assert rows + long == 336_776 and long == whole["range(distance)"]["failing"] > 0
    assert list((program.folder / "state/scratch").iterdir()) == []


@pytest.fixture(scope="module")
def payments(server):
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS payments")
        connection.execute(
            "CREATE TABLE payments AS SELECT n AS id, (n % 1999 - 1000)::numeric(12, 2) / 8 AS amount, "
            "((n % 7) * 0.05)::numeric(9, 2) AS fee, n * 0.1::float8 AS ratio FROM generate_series(1, 20000) n"
        )
        connection.execute("ALTER TABLE payments ALTER COLUMN amount TYPE numeric(12, 3)")
        connection.execute("UPDATE payments SET fee = NULL WHERE id % 100 = 0")
    return server


def test_sums_are_those_of_the_source_digit_by_digit(program, payments):
    def run(*transform):
        checks = [
            {"severity": "warn", "sum": {"column": column, "query": f"SELECT sum({column}) FROM payments"}}
            for column in ["id", "amount", "fee"]
        ]
        job = program.postgres(
            payments, tables=["payments"], checks=checks, transform=list(transform), chunk={"rows": 3_000}
        )
        return results(program.report("run", job))

    assert [result["outcome"] for result in run().values()] == ["passed"] * 3
    found = run({"sql": "SELECT * FROM data WHERE id <> 100"})
    with payments.connect() as connection:
        [[ids, amounts]] = connection.execute(
            "SELECT sum(id), trim_scale(sum(amount)) FROM payments"
        ).fetchall()
    assert found["sum(id)"]["found"] == f"the sum is {ids - 100}, at the source {ids}"
    assert f"at the source {amounts}" in found["sum(amount)"]["found"]
    # What was left out has no fee.
    assert [result["outcome"] for result in found.values()] == ["failed", "failed", "passed"]


WRONG_SUMS = {
    "several rows": ("SELECT id FROM payments LIMIT 2", "`sum.query` gives several rows"),
    "no number": ("SELECT 'x'", "`sum.query` gives `x`"),
    "no query": ("SELECT sum(idd) FROM payments", "idd"),
}


@pytest.mark.parametrize("wrong", WRONG_SUMS)
def test_a_query_that_gives_no_sum_ends_the_run_before_it_reads(program, payments, wrong):
    query, cause = WRONG_SUMS[wrong]
    checks = [{"sum": {"column": "id", "query": query}}]
    line, _ = program.refused("run", program.postgres(payments, tables=["payments"], checks=checks))
    assert "check `sum(id)`" in line and cause in line, line
    assert program.published() == []


def test_what_has_no_exact_sum_is_refused(program, payments):
    checks = [{"sum": {"column": "ratio", "query": "SELECT 1"}}]
    line, code = program.refused("plan", program.postgres(payments, tables=["payments"], checks=checks))
    assert code == 2 and "the column `ratio` is Float64" in line, line
    line, code = program.refused("validate", rows_job(program, checks=[{**checks[0]}]))
    assert code == 2 and "files have no queries of their own" in line, line


def test_what_is_in_quarantine_is_verified(program):
    job = rows_job(program, checks=[{"range": {"column": "id", "max": 2}, "severity": "quarantine"}])
    report = program.report("run", job)
    manifest = report["manifest"]
    program.ok("verify", manifest, "--job", job, "--source")
    [part] = (program.lake / ".longshore/quarantine").rglob("*.parquet")
    part.write_bytes(b"something else")
    done = program.call("verify", manifest, "--job", job)
    assert done.returncode == 4 and part.name in done.stderr, done.stderr


@pytest.mark.parametrize(
    "column, value, check",
    [
        (pa.date32(), None, {"range": {"column": "c", "min": "2026-11-20T23:59:59"}}),
        (pa.timestamp("ms"), None, {"range": {"column": "c", "min": "2026-11-20T00:00:00.0001"}}),
        (pa.float32(), 1.0, {"range": {"column": "c", "min": 16777217}}),
        (pa.float64(), 1.0, {"range": {"column": "c", "min": 9007199254740993}}),
        (pa.decimal128(38, 2), None, {"range": {"column": "c", "max": 90071992547409.93}}),
    ],
    ids=["date", "timestamp", "float", "double", "decimal"],
)
def test_a_limit_that_would_be_rounded_is_refused(program, column, value, check):
    pq.write_table(pa.table({"c": pa.array([value], column)}), program.folder / "c.parquet")
    line, code = program.refused(
        "run", program.job({"url": f"file://{program.folder}/c.parquet"}, checks=[check])
    )
    assert code == 2 and ("of the column `c`" in line or "digits" in line), line


def test_a_key_may_have_any_name(program):
    (program.folder / "rows.csv").write_text("id,rows\n1,1\n2,1\n")
    line, code = program.refused("run", rows_job(program, checks=[{"unique": ["rows"]}]))
    assert code == 4 and "2 of 2 rows fail" in line
    program.ok("run", rows_job(program, checks=[{"unique": ["id", "rows"]}]))


#: Queries that name no column, and whether they find rows that fail in three rows.
COUNTS = {
    "SELECT count(*) AS n FROM data HAVING count(*) > 2": True,
    "SELECT count(*) AS n FROM data HAVING count(*) > 3": False,
    "SELECT 1 AS x FROM data": True,
    "SELECT 1 AS x WHERE NOT EXISTS (SELECT 1 FROM data)": False,
    "SELECT 1 AS x WHERE (SELECT count(*) FROM data) <> (SELECT count(*) FROM good)": False,
    "SELECT row_number() OVER () AS x FROM data": True,
}


@pytest.mark.parametrize("sql", COUNTS)
def test_a_query_that_names_no_column_sees_every_row(program, sql):
    report = program.report(
        "run", rows_job(program, checks=[{"name": "own", "sql": sql, "severity": "warn"}])
    )
    assert results(report)["own"]["outcome"] == ("failed" if COUNTS[sql] else "passed")
