"""Tables of a real HiveServer2 (Spark's Thrift Server): every type, every way to cut and to log in."""

import datetime
import subprocess
from decimal import Decimal

import pyarrow.parquet as pq
import pytest

from support.hive import LOST, HiveServer
from support.ports import free_port
from support.postgres import flights_csv
from support.proxy import Proxy, cut

# What Spark says of itself when it is lost says nothing of us.
pytestmark = [pytest.mark.hive, pytest.mark.flaky(reruns=2, only_rerun=LOST)]


@pytest.fixture(scope="module")
def warehouse(scratch, spark):
    server = spark
    for table in ("weather", "planes"):
        (scratch / f"{table}.csv").write_text(flights_csv(table))
        server.run(
            f"CREATE TEMPORARY VIEW csv_{table} USING csv OPTIONS (path '{scratch}/{table}.csv', header 'true', "
            "inferSchema 'true', nullValue 'NA')",
            f"CREATE TABLE {table} STORED AS PARQUET AS SELECT * FROM csv_{table}",
            f"ANALYZE TABLE {table} COMPUTE STATISTICS",
        )
    server.run(
        "CREATE TABLE parts (n bigint) PARTITIONED BY (day date, kind string, num int) STORED AS PARQUET",
        "INSERT INTO parts SELECT id, date_add(date'2020-01-01', cast(id % 5 as int)), "
        "if(id % 7 = 0, null, concat('it''s a/b=c:', id % 2)), cast(id % 3 as int) FROM range(10000)",
        "CREATE TABLE keyed STORED AS PARQUET AS SELECT if(id % 10 = 0, null, id) AS k, "
        "date_add(date'2000-01-01', cast(id % 1000 as int)) AS day, id AS n, cast(id as string) AS t FROM range(50000)",
        "ANALYZE TABLE keyed COMPUTE STATISTICS",
        "CREATE VIEW recent AS SELECT tailnum, year FROM planes WHERE year > 2000",
        "CREATE DATABASE other",
        "CREATE TABLE other.`select` STORED AS PARQUET AS SELECT 1 AS `a b`, 2 AS `select`",
    )
    return server


def source(hive, **keys):
    return {"url": hive.url(), "auth": "nosasl", **keys}


def rows(program, relation):
    table = pq.read_table(program.lake / relation)
    return sorted(table.to_pylist(), key=lambda row: [str(value) for value in row.values()])


def test_tables_arrive_as_another_client_reads_them(program, hive):
    report = program.report("run", program.job(source(hive), tables=["weather", "planes"]))
    assert [relation["rows"] for relation in report["relations"]] == [26_115, 3_322]
    for table in ("weather", "planes"):
        columns = pq.read_schema(next((program.lake / table).glob("*.parquet"))).names
        theirs = hive.run(f"SELECT * FROM {table}")

        def text(value):
            # Their client makes numbers of nothing else, and texts of times.
            return value.isoformat(sep=" ") if isinstance(value, datetime.datetime) else value

        ours = [
            tuple(text(row[name]) for name in columns)
            for row in pq.read_table(program.lake / table).to_pylist()
        ]
        theirs = [tuple(text(value) for value in row) for row in theirs]
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs))


TYPES = {
    "true": True, "cast(-128 as tinyint)": -128, "cast(32767 as smallint)": 32_767, "-2147483648": -(1 << 31),
    "9223372036854775807L": (1 << 63) - 1, "cast(1.5 as float)": 1.5, "-1.0e300D": -1e300, "double('NaN')": "nan",
    "'naïve ☃ 𝄞'": "naïve ☃ 𝄞", "''": "", "cast(x'00ff' as binary)": b"\x00\xff", "1.50BD": Decimal("1.50"),
    "cast('99999999999999999999999999999999999999' as decimal(38,0))": Decimal("9" * 38),
    "cast(-0.001 as decimal(10,3))": Decimal("-0.001"), "date'1582-10-15'": datetime.date(1582, 10, 15),
    "date'9999-12-31'": datetime.date(9999, 12, 31),
    "timestamp'2020-02-29 23:59:59.999999'": datetime.datetime(2020, 2, 29, 23, 59, 59, 999_999),
    "timestamp'0001-01-01 00:00:00'": datetime.datetime(1, 1, 1),
    "array(1, null)": "[1,null]", "map('a', 1)": '{"a":1}', "named_struct('x', 1, 'y', 'z')": '{"x":1,"y":"z"}',
    "cast('a' as char(3))": "a", "cast('b' as varchar(3))": "b",
}  # fmt: skip


def test_every_type_keeps_its_values_and_its_nulls(program, hive):
    values = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(TYPES))
    nulls = ", ".join(
        f"nullif({sql}, {sql})" if not sql.startswith(("array", "map", "named")) else f"if(true, null, {sql})"
        for sql in TYPES
    )
    query = f"SELECT {values} UNION ALL SELECT {nulls}"
    program.ok("run", program.job(source(hive), query=query))
    table = pq.read_table(program.lake / "job")
    filled, empty = sorted(table.to_pylist(), key=lambda row: row["c0"] is None)
    for (sql, expected), value in zip(TYPES.items(), filled.values(), strict=True):
        assert value == expected or (expected == "nan" and value != value), (sql, value)
    assert all(value is None for value in empty.values())
    types = {name: str(table.schema.field(f"c{number}").type) for number, name in enumerate(TYPES)}
    assert (
        types["true"] == "bool" and types["1.50BD"] == "decimal128(3, 2)" and types["-2147483648"] == "int32"
    )


def test_nothing_of_a_timestamp_is_lost_in_silence(program, hive):
    # Spark knows microseconds only: what has more is a text here.
    far = program.job(
        source(hive, timestamps="nanoseconds"), query="SELECT timestamp'9999-12-31 00:00:00' AS t"
    )
    line, code = program.refused("run", far)
    assert (
        "column `t`" in line
        and "between 1677 and 2262" in line
        and "timestamps: microseconds" in line
        and code == 4
    )
    program.ok(
        "run",
        program.job(source(hive, timestamps="text"), query="SELECT timestamp'9999-12-31 00:00:00' AS t"),
    )
    assert rows(program, "job") == [{"t": "9999-12-31 00:00:00"}]


@pytest.mark.parametrize(
    "relation, strategy",
    [
        ({"table": "parts"}, "30 partitions|60 partitions|45 partitions"),
        ({"table": "keyed"}, "buckets of a hash of k"),
        ({"table": "keyed", "chunk_by": "k"}, "ranges of k from 1 to 49999"),
        ({"table": "keyed", "chunk_by": "day"}, "ranges of day from"),
        ({"query": "SELECT * FROM keyed", "as": "keyed", "chunk_by": "n"}, "ranges of n from 0 to 49999"),
        (
            {"query": "SELECT * FROM keyed WHERE k < 0", "as": "keyed", "chunk_by": "k"},
            "its key has no values",
        ),
    ],
)
def test_chunks_cover_a_relation_without_loss_or_overlap(program, hive, relation, strategy):
    job = program.job(source(hive), relations=[relation], chunk={"bytes": 20_000}, parallel={"chunks": 4})
    shown = program.ok("plan", job)
    assert any(words in shown for words in strategy.split("|")), shown
    program.ok("run", job)
    name = relation.get("as", relation.get("table"))
    read = [row["n"] for row in rows(program, name)]
    expected = 0 if "no values" in strategy else 10_000 if name == "parts" else 50_000
    assert sorted(read) == list(range(expected))
    if name == "parts":
        ours = [tuple(str(value) for value in row.values()) for row in rows(program, name)]
        theirs = [tuple(str(value) for value in row) for row in hive.run("SELECT * FROM parts")]
        assert sorted(ours) == sorted(theirs)


def test_what_can_be_is_done_at_the_source(program, hive):
    sql = "SELECT tailnum, seats FROM data WHERE seats >= 300 AND manufacturer = 'BOEING'"
    job = program.job(source(hive), tables=["planes"], transform=[{"sql": sql}])
    shown = program.ok("plan", job)
    assert "filter=(`seats` >= 300)" in shown and "FilterExec: manufacturer" in shown, shown
    program.ok("run", job)
    expected = hive.run("SELECT tailnum, seats FROM planes WHERE seats >= 300 AND manufacturer = 'BOEING'")
    assert sorted((row["tailnum"], row["seats"]) for row in rows(program, "planes")) == sorted(expected)
    counted = program.job(
        source(hive), tables=["keyed"], transform=[{"sql": "SELECT count(*) AS n FROM data"}]
    )
    program.ok("run", counted)
    assert rows(program, "keyed") == [{"n": 50_000}]
    shown = program.ok("preview", program.job(source(hive), tables=["weather"]), "--rows", "3")
    assert "EWR" in shown


@pytest.mark.parametrize("column", ["id x", "at", "day", "word"])
def test_what_is_new_is_loaded(program, hive, column):
    hive.run(
        "DROP TABLE IF EXISTS news",
        "CREATE TABLE news (n int, `id x` decimal(12,2), at timestamp, day date, word string) STORED AS PARQUET",
    )
    job = program.job(
        source(hive),
        relations=[{"table": "news", "incremental": {"column": column}}],
        target={"url": f"file://{program.lake}", "mode": "append"},
    )
    for first in (0, 2):
        hive.run(
            f"INSERT INTO news SELECT id, id / 4, timestamp'2024-02-27 23:59:59.999999' + make_interval(0, 0, 0, 0, 0, 0, "
            f"id), date_add(date'2024-02-27', cast(id as int)), concat('a\\'', id) FROM range({first}, {first + 2})"
        )
        assert program.report("run", job)["rows"] == 2
    assert program.report("run", job)["rows"] == 0
    assert [row["n"] for row in rows(program, "news")] == [0, 1, 2, 3]


def test_views_databases_and_odd_names_are_read(program, hive):
    relations = [
        {"table": "recent"},
        {"table": "other.select", "as": "odd"},
        {"table": "`other`.`select`", "as": "quoted"},
    ]
    report = program.report("run", program.job(source(hive), relations=relations))
    assert [relation["rows"] for relation in report["relations"]] == [
        len(hive.run("SELECT * FROM recent")),
        1,
        1,
    ]
    assert rows(program, "odd") == rows(program, "quoted") == [{"a b": 1, "select": 2}]
    within = {**source(hive), "url": hive.url(database="other")}
    answer = program.report("test-connection", program.job(within, tables=["select"]))
    assert answer["relations"] == ["select"] and "user ada" in answer["source"]


REFUSALS = {
    "no table": ({"table": "nothing"}, {}, "TABLE_OR_VIEW_NOT_FOUND", 4),
    "no column": ({"table": "planes", "chunk_by": "wings"}, {}, "no column `wings`", 4),
    "no key": ({"table": "planes", "chunk_by": "model"}, {}, "`model` is a string", 2),
    "no SQL": ({"query": "SELEKT 1", "as": "q"}, {}, "PARSE_SYNTAX_ERROR", 4),
    "no value": ({"query": "SELECT assert_true(n < 5), n FROM keyed", "as": "q"}, {}, "is not true", 4),
    "no database": ({"table": "planes"}, {"database": "nowhere"}, "SCHEMA_NOT_FOUND", 4),
    "no option": ({"table": "planes"}, {"fetch_rows": 0}, "fetch_rows", 2),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_what_cannot_be_carried_out_is_told_in_one_line(program, hive, refusal):
    relation, keys, words, code = REFUSALS[refusal]
    database = keys.pop("database", "") if "database" in keys else ""
    job = program.job({**source(hive, **keys), "url": hive.url(database=database)}, relations=[relation])
    line, told = program.refused("run", job)
    assert words in line and told == code and len(line) < 1_500, line
    assert "\tat " not in line and "org.apache" not in line.split("next:")[0].split("[", 1)[0], line


def test_a_server_that_is_not_there_or_speaks_otherwise_is_told(program, hive):
    nowhere = {"url": f"hive://ada@127.0.0.1:{free_port()}", "auth": "nosasl"}
    line, code = program.refused("test-connection", program.job(nowhere, tables=["t"]))
    assert "refused" in line and code == 3
    remote = {"url": "impala://ada@db.internal", "password": "s3cret"}
    line, code = program.refused("test-connection", program.job(remote, tables=["t"]))
    assert (
        "everybody can read it" in line and "tls: verify-full" in line and "s3cret" not in line and code == 2
    )


def test_a_connection_that_breaks_costs_no_row(program, hive):
    # The first one plans, and reads: whether a second one reads beside it is not certain.
    with Proxy(hive.port, faults=[cut(150_000), cut(200_000)]) as proxy:
        url = f"hive://ada@127.0.0.1:{proxy.port}"
        settings = ["--retries", "8", "--retry-backoff-millis", "10"]
        job = program.job({"url": url, "auth": "nosasl"}, tables=["keyed"], chunk={"bytes": 20_000})
        program.ok(*settings, "run", job)
        assert proxy.connections >= 3
    assert sorted(row["n"] for row in rows(program, "keyed")) == list(range(50_000))


def test_a_session_takes_options(program, hive):
    job = program.job(source(hive, query_options={"spark.sql.session.timeZone": "Asia/Tokyo"}),
                      query="SELECT timestamp_seconds(0) AS t")  # fmt: skip
    program.ok("run", job)
    assert rows(program, "job") == [{"t": datetime.datetime(1970, 1, 1, 9)}]


def test_sasl_and_tls(program, scratch):
    folder = scratch / "tls"
    folder.mkdir()
    subprocess.run(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost "
        "-addext subjectAltName=DNS:localhost,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE && "
        "openssl pkcs12 -export -in cert.pem -inkey key.pem -out store.p12 -passout pass:changeit",
        shell=True, cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    server = HiveServer(
        scratch / "hive-tls",
        **{
            "hive.server2.authentication": "NONE",
            "hive.server2.use.SSL": "true",
            "hive.server2.keystore.path": folder / "store.p12",
            "hive.server2.keystore.password": "changeit",
        },
    )
    try:
        query = "SELECT id FROM range(20000)"
        secure = {
            "url": server.url(),
            "password": "anything",
            "tls": "verify-full",
            "root_cert": {"file": str(folder / "cert.pem")},
        }
        program.ok("run", program.job(secure, query=query))
        assert len(rows(program, "job")) == 20_000
        line, code = program.refused(
            "run", program.job({**secure, "root_cert": None, "tls": "verify-full"}, query=query)
        )
        assert "certificate" in line and code == 5, line
        plain = program.job({"url": server.url(), "auth": "nosasl"}, query=query)
        line, code = program.refused("--retries", "0", "run", plain)
        assert "auth" in line or "closed the connection" in line
    finally:
        server.stop()


def test_http(program, scratch):
    server = HiveServer(
        scratch / "hive-http",
        **{"hive.server2.transport.mode": "http", "hive.server2.authentication": "NONE"},
    )
    try:
        over_http = {"url": server.url(), "transport": "http"}
        program.ok(
            "run", program.job(over_http, query="SELECT id, cast(id as string) AS t FROM range(50000)")
        )
        assert sorted(row["id"] for row in rows(program, "job")) == list(range(50_000))
        line, code = program.refused(
            "run", program.job({**over_http, "http_path": "elsewhere"}, query="SELECT 1 AS a")
        )
        assert "405" in line and "http_path" in line and code == 2, line
    finally:
        server.stop()


def test_lineage_sees_what_is_behind_a_view(program, hive):
    hive.run(
        "CREATE OR REPLACE VIEW big_planes AS SELECT p.tailnum, w.temp FROM planes p CROSS JOIN weather w WHERE p.seats > 300",
        "CREATE OR REPLACE VIEW biggest AS SELECT * FROM big_planes WHERE tailnum LIKE 'N%'",
    )
    shown = program.ok("lineage", program.job(source(hive), query="SELECT tailnum FROM biggest -- all"))
    place = f"hive://127.0.0.1:{hive.port}"
    assert f"reads  {place}  default.planes\nreads  {place}  default.weather\n" in shown, shown
