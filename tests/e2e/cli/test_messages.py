"""What the program says: the user's words, the cause, the place in the file, and a next step that works when it is followed."""

import datetime
import decimal
import hashlib
import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.daemon import PATIENCE, STAMP, Daemon, drop, log, settled
from support.endpoint import held
from support.longshore import LONGSHORE, PLUGINS, QUICK, only, rows_job, runs
from support.messages import plain
from support.wait import wait_for


def text_job(program, text, name="job.yaml"):
    """A job as a user writes it, with LAKE and ROWS in it."""
    rows_job(program, "unused.yaml")
    path = program.folder / name
    path.write_text(
        text.replace("LAKE", f"file://{program.lake}").replace("ROWS", f"file://{program.folder}/rows.csv")
    )
    return path


def said(program, *args, **options):
    """All that a failed call says, in whatever lines, and its exit code."""
    done = program.call(*args, **{"seconds": 60, **options})
    assert done.returncode > 0, (done.returncode, done.stdout)
    return plain(done.stderr), done.returncode


def refused(program, *args, **options):
    line, code = program.refused(*args, **{"seconds": 60, **options})
    return plain(line), code


# Jobs with a mistake (51, 52)

SOURCE = "source: {url: 'ROWS'}\n"
TARGET = "target: {url: 'LAKE'}\n"
BOTH = SOURCE + TARGET
PG = "source: {url: 'postgres://u@127.0.0.1:1/x'}\n"

#: The job, what is to be said of it, and what is to be written instead.
MISTAKES = {
    "a source that is a text": (f"source: ROWS\n{TARGET}", ["`source`", "url"], BOTH),
    "a target that is a text": (f"{SOURCE}target: LAKE\n", ["`target`", "url"], BOTH),
    "a source that is a list": (f"source: [ROWS]\n{TARGET}", ["`source`"], None),
    "a source without a URL": (f"source: {{format: csv}}\n{TARGET}", ["`source.url`"], None),
    "no source": (TARGET, ["`source`"], None),
    "no target": (SOURCE, ["`target`"], None),
    "a chunk that is a number": (f"{BOTH}chunk: 10000\n", ["`chunk`", "rows"], f"{BOTH}chunk: {{rows: 10000}}\n"),
    "a chunk that is a text": (f"{BOTH}chunk: big\n", ["`chunk`"], None),
    "a chunk of no rows": (f"{BOTH}chunk: {{rows: 0}}\n", ["chunk.rows"], None),
    "a chunk of fewer than no rows": (f"{BOTH}chunk: {{rows: -5}}\n", ["chunk.rows", "-5"], None),
    "a chunk of half a row": (f"{BOTH}chunk: {{rows: 1.5}}\n", ["chunk.rows", "whole number"], None),
    "a chunk of too many": (f"{BOTH}chunk: {{rows: 99999999999999999999999}}\n", ["chunk.rows"], None),
    "a chunk of words": (f"{BOTH}chunk: {{rows: many}}\n", ["chunk.rows", "whole number"], None),
    "a chunk of bananas": (f"{BOTH}chunk: {{bytes: 64 bananas}}\n", ["chunk.bytes", "whole number"], None),
    "a chunk of MB": (f"{BOTH}chunk: {{bytes: 64MB}}\n", ["chunk.bytes", "bytes: 64000000"],
                      f"{BOTH}chunk: {{bytes: 64000000}}\n"),
    "a chunk of GiB": (f"{BOTH}chunk: {{bytes: 1 GiB}}\n", ["chunk.bytes", "bytes: 1073741824"],
                       f"{BOTH}chunk: {{bytes: 1073741824}}\n"),
    "parallel that is a number": (f"{BOTH}parallel: 4\n", ["`parallel`", "chunks"], f"{BOTH}parallel: {{chunks: 4}}\n"),
    "parallel of words": (f"{BOTH}parallel: {{chunks: all}}\n", ["parallel.chunks"], None),
    "a mode of other tools": (f"{SOURCE}target: {{url: LAKE, mode: overwrite}}\n", ["`target.mode`", "overwrite", "replace"],
                              f"{SOURCE}target: {{url: LAKE, mode: replace}}\n"),
    "another one": (f"{SOURCE}target: {{url: LAKE, mode: truncate}}\n", ["`target.mode`", "truncate", "replace"], None),
    "a mode in capitals": (f"{SOURCE}target: {{url: LAKE, mode: Append}}\n", ["`target.mode`", "append"], None),
    "a mode that is a number": (f"{SOURCE}target: {{url: LAKE, mode: 1}}\n", ["target.mode"], None),
    "a format that is not known": (f"{SOURCE}target: {{url: LAKE, format: avro}}\n", ["target.format", "avro", "parquet"], None),
    "a compression that is a number": (f"{SOURCE}target: {{url: LAKE, compression: 3}}\n", ["target.compression"], None),
    "a consistency that is not known": (f"{BOTH}consistency: strong\n", ["`consistency`", "strong", "snapshot"], None),
    "a record that is not known": (f"{BOTH}record: always\n", ["`record`", "always", "on-failure"], None),
    "a record that is a boolean": (f"{BOTH}record: true\n", ["`record`"], None),
    "a step that is a text": (f"{BOTH}transform: [SELECT 1]\n", ["transform[0]", "sql"], None),
    "a step that is nothing": (f"{BOTH}transform: [null]\n", ["transform[0]"], None),
    "a name that is a list": (f"{BOTH}name: [a]\n", ["`name`"], None),
    "partitions that are a number": (f"{SOURCE}target: {{url: LAKE, partition_by: 3}}\n", ["target.partition_by"], None),
    "relations that are a text": (f"{BOTH}relations: rows\n", ["relations"], None),
    "a relation that is nothing": (f"{PG}{TARGET}relations: [{{as: x}}]\n", ["relations[0]", "table"], None),
    "tables that are a mapping": (f"{PG}{TARGET}tables: {{a: b}}\n", ["tables"], None),
    "a header that is a word": ("source: {url: ROWS, csv: {header: maybe}}\n" + TARGET, ["source.csv.header"], None),
    "rows of a sample in words": ("source: {url: ROWS, sample_rows: all}\n" + TARGET, ["source.sample_rows"], None),
    "a type that is not known": ("source: {url: ROWS, columns: {id: int64}}\n" + TARGET, ["source.columns", "bigint"], None),
    "bad rows that are not known": ("source: {url: ROWS, bad_rows: ignore}\n" + TARGET, ["source.bad_rows", "skip"], None),
    "direct that is not known": (PG.replace("}", ", direct: yes}") + TARGET + "tables: [t]\n", ["source.direct", "auto"], None),
    "a word of YAML 1.1": (f"{SOURCE}target: {{url: LAKE, csv: {{header: yes}}, format: csv}}\n", ["target.csv.header"], None),
    "two tables keys": (f"{PG}{TARGET}tables: [a]\ntables: [b]\n", ["`tables`", "twice", "line 4"], None),
    "two targets": (f"{BOTH}{TARGET}", ["`target`", "twice", "line 3"], None),
    "two keys within": ("source: {url: ROWS, url: ROWS}\n" + TARGET, ["url", "twice", "line 1"], None),
    "an unknown key": (f"{BOTH}tabels: [a]\n", ["`tabels`", "did you mean `tables`?", "line 3"], None),
    "an unknown key within": (f"{SOURCE}target:\n  url: LAKE\n  mod: append\n", ["`target.mod`", "`mode`", "line 4"], None),
    "a tab": (f"{BOTH}transform:\n\t- sql: x\n", ["yaml", "line 4", "tab"], None),
    "a brace that is not closed": (f"{SOURCE}target: {{url: LAKE\n", ["yaml", "line"], None),
    "a quote that is not closed": (f"{SOURCE}target: {{url: \"LAKE}}\n", ["yaml", "line"], None),
    "indented by chance": (f"{SOURCE}  target: {{url: LAKE}}\n", ["yaml", "line 2"], None),
    "two documents": (f"{BOTH}---\n{BOTH}", ["yaml", "document"], None),
    "an alias of nothing": (f"{SOURCE}target: *lake\n", ["yaml", "line 2"], None),
}  # fmt: skip


@pytest.mark.parametrize("text, parts, _", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_a_job_is_told_in_the_users_words(program, text, parts, _):
    line, code = said(only(program), "run", text_job(program, text))
    assert code == 2 and all(part in line for part in parts), line
    assert program.published() == []


RIGHTED = {name: right for name, (_, _, right) in MISTAKES.items() if right}


@pytest.mark.parametrize("text", RIGHTED.values(), ids=RIGHTED)
def test_what_is_said_instead_works(program, text):
    assert program.report("run", text_job(only(program), text))["rows"] == 3


OTHERS = {
    "toml without quotes": ("job.toml", "[source]\nurl = ROWS\n", ["toml", "line 2"]),
    "toml twice": ("job.toml", "[source]\nurl = 'ROWS'\n[source]\nurl = 'ROWS'\n", ["toml", "line 3", "source"]),
    "toml, a key twice": ("job.toml", "name = 'a'\nname = 'b'\n", ["toml", "line 2", "name"]),
    "toml as yaml": ("job.toml", "source:\n  url: ROWS\n", ["toml", "line 1"]),
    "yaml as toml": ("job.yaml", "[source]\nurl = 'ROWS'\n", ["yaml", "line"]),
    "yaml as json": ("job.yaml", "{\"source\": {\"url\": \"ROWS\"}}", ["`target`"]),
    "json with a comma too many": ("job.json", '{"source": {"url": "ROWS"},}', ["json", "line 1", "column"]),
    "json with a comment": ("job.json", '{\n// a comment\n"source": {"url": "ROWS"}}', ["json", "line 2"]),
    "json, a key twice": ("job.json", '{"source": {"url": "ROWS"},\n"target": {"url": "LAKE"},\n"target": {"url": "LAKE"}}',
                          ["`target`", "twice", "line 3"]),
    "json that ends": ("job.json", '{"source": {"url": "ROWS"', ["json", "line 1"]),
    "json as yaml": ("job.json", SOURCE, ["json", "line 1"]),
    "another ending": ("job.xml", "<job/>", ["xml", ".yaml"]),
    "no ending": ("job", SOURCE, [".yaml"]),
}  # fmt: skip


@pytest.mark.parametrize("name, text, parts", OTHERS.values(), ids=OTHERS)
def test_a_mistake_in_any_notation_has_its_place(program, name, text, parts):
    line, code = said(only(program), "run", text_job(program, text, name))
    assert code == 2 and all(part in line for part in parts), line


FORGIVEN = {
    "tables in one text": ("source: {url: 'HERE'}\ntables: rows.csv\n" + TARGET),
    "one partition's column": f"{SOURCE}target: {{url: 'LAKE', partition_by: name}}\n",
    "a key that is null": "source: {url: 'ROWS', csv: { null: \"NA\" }}\n" + TARGET,
    "a key that is null, in a block": "source:\n  url: 'ROWS'\n  csv:\n    null: NA\n" + TARGET,
    "a key that is null, and a list": "source: {url: 'ROWS', csv: { null: [NA, '-'] }}\n" + TARGET,
    "a key that is null, quoted": "source: {url: 'ROWS', csv: { 'null': NA }}\n" + TARGET,
    "a key that is null, of a target": f"{SOURCE}target: {{url: 'LAKE', format: csv, csv: {{ null: NA }}}}\n",
    "keys that are no texts": "source: {url: 'ROWS', columns: {id: bigint, null: string, true: string, 7: string}}\n"
    + TARGET,
    "a byte order mark": "\ufeff" + BOTH,
    "Windows' line ends": BOTH.replace("\n", "\r\n"),
}


@pytest.mark.parametrize("text", FORGIVEN.values(), ids=FORGIVEN)
def test_what_can_mean_only_one_thing_is_taken(program, text):
    rows = program.folder / "rows.csv"
    if "HERE" in text:
        rows = rows_job(program).parent / "plain/rows.csv"
        rows.parent.mkdir()
        rows.write_text("id\n1\n2\n3\n")
        text = text.replace("HERE", f"file://{rows.parent}")
    if "true: string" in text:
        rows.write_text("id,null,true,7\n1,a,b,c\n2,,,\n3,x,y,z\n")
    assert program.report("run", text_job(only(program), text))["rows"] == 3


def test_null_means_what_it_says(program):
    (program.folder / "rows.csv").write_text("id,name\n1,NA\n2,x\n3,\n")
    target = "target: {url: 'LAKE', format: csv, csv: { null: none }}\n"
    program.ok("run", text_job(only(program), "name: t\nsource: {url: 'ROWS', csv: { null: NA }}\n" + target))
    [part] = (program.lake / "t").iterdir()
    assert part.read_text().splitlines()[:3] == ["id,name", "1,none", "2,x"]


def test_several_mistakes_are_told_at_once_with_their_places(program):
    text = (
        "source: {url: 'ROWS', formt: csv}\ntarget:\n  url: LAKE\n  mode: overwrite\n  comprssion: snappy\n"
        "chunk: {rows: many}\ntabels: [a]\n"
    )
    line, code = said(only(program), "validate", text_job(program, text))
    for part in ["formt", "overwrite", "target.comprssion", "chunk.rows", "tabels"]:
        assert line.count(part) == 1, line
    for number in [1, 4, 5, 6, 7]:
        assert line.count(f"line {number},") == 1, line
    assert code == 2
    answer = json.loads(program.call("--json", "validate", text_job(program, text)).stdout)
    assert "error" in answer or "errors" in answer


SQL = {
    "a word that is none": ("SELEC 1", ["SELEC"]),
    "half a query": ("SELECT id,", ["transform[0]"]),
    "an unknown table": ("SELECT * FROM x", ["x", "`data`"]),
    "a table of a schema": ("SELECT * FROM shop.x", ["shop.x", "`data`"]),
    "an unknown column": ("SELECT nme FROM data", ["nme", "name"]),
    "a column in capitals": ("SELECT ID FROM data WHERE \"ID\" = 1", ["ID", "id"]),
    "an unknown function": ("SELECT nvl2x(id) FROM data", ["nvl2x"]),
    "too few arguments": ("SELECT substr() FROM data", ["substr"]),
    "types that do not go together": ("SELECT id + true AS n FROM data", ["transform[0]"]),
    "two queries": ("SELECT 1; SELECT 2", ["transform[0]"]),
    "a table that is dropped": ("DROP TABLE data", ["transform[0]"]),
    "nothing": ("", ["transform[0]"]),
    "a comment": ("-- nothing", ["transform[0]"]),
    "not grouped": ("SELECT id, count(*) FROM data", ["id", "GROUP BY"]),
    "a date that is none": ("SELECT DATE '2026-13-45' FROM data", ["2026-13-45"]),
    "no number": ("SELECT CAST(name AS BIGINT) AS n FROM data", ["one"]),
    "by nought": ("SELECT id / 0 AS n FROM data", ["zero"]),
    "a window of nothing": ("SELECT sum(id) OVER (ROWS BETWEEN 1 AND 2) FROM data", ["transform[0]"]),
    "a join of nothing": ("SELECT * FROM data JOIN other USING (id)", ["other", "`data`"]),
    "a list out of bounds": ("SELECT id[1] FROM data", ["transform[0]"]),
    "a parameter": ("SELECT * FROM data WHERE id = $1", ["$1"]),
}  # fmt: skip


@pytest.mark.parametrize("sql, parts", SQL.values(), ids=SQL)
def test_a_query_that_cannot_be_is_told_in_the_users_words(program, sql, parts):
    line, code = refused(only(program), "run", rows_job(program, transform=[{"sql": sql}]))
    assert code in (2, 4) and all(part in line for part in parts), line


CHECKED = {
    "broken SQL": (f"{BOTH}transform: [{{sql: SELEC 1}}]\n", ["transform[0]", "SELEC"]),
    "broken SQL of the job": (f"{BOTH}sql: SELECT FROM WHERE\n", ["sql"]),
    "SQL that is not closed": (f"{BOTH}transform: [{{sql: \"SELECT 'x\"}}]\n", ["transform[0]"]),
    "a mask that is none": (f"{BOTH}transform: [{{plugin: mask, columns: [name], mode: scramble}}]\n",
                            ["transform[0]", "scramble", "hash"]),
    "a mask without columns": (f"{BOTH}transform: [{{plugin: mask}}]\n", ["transform[0]", "columns"]),
    "a plugin that is none": (f"{BOTH}transform: [{{plugin: masc}}]\n", ["masc", "mask"]),
    "sslmode in the URL": ("source: {url: 'postgres://u@h/x?sslmode=bogus'}\ntables: [t]\n" + TARGET, ["sslmode", "bogus"]),
    "sslmode as a key": ("source: {url: 'postgres://u@h/x', sslmode: bogus}\ntables: [t]\n" + TARGET, ["sslmode", "bogus"]),
    "a port that is none": ("source: {url: 'postgres://u@h:99999/x'}\ntables: [t]\n" + TARGET, ["url", "port"]),
    "a URL without a host": ("source: {url: 'postgres:'}\ntables: [t]\n" + TARGET, ["url"]),
    "a number that is a text": ("source: {url: 'postgres://u@h/x', lock_timeout_secs: soon}\ntables: [t]\n" + TARGET,
                                ["lock_timeout_secs"]),
    "a numeric that is none": ("source: {url: 'postgres://u@h/x', numeric: 'decimal(99,1)'}\ntables: [t]\n" + TARGET,
                               ["numeric"]),
    "a sink's mistake": (f"{SOURCE}target: {{url: 'http://h/x', batch_rows: 0}}\n", ["batch_rows"]),
    "a sink's other mistake": (f"{SOURCE}target: {{url: 'http://h/x', formt: json}}\n", ["formt", "format"]),
}  # fmt: skip


@pytest.mark.parametrize("text, parts", CHECKED.values(), ids=CHECKED)
def test_validate_finds_all_that_can_be_known_without_a_connection(program, text, parts):
    line, code = said(only(program, "postgres", "mask", "http-sink"), "validate", text_job(program, text))
    assert code in (2, 4) and all(part in line for part in parts), line


NEEDLESS = {
    "a named secret": "source: {url: 'postgres://u@h/x', password: {secret: reader}}\ntables: [t]\n" + TARGET,
    "a variable": "source: {url: 'postgres://u@h/x', password: {env: NO_SUCH_VARIABLE}}\ntables: [t]\n"
    + TARGET,
    "a file": "source: {url: 'postgres://u@h/x', password: {file: /no/such/file}}\ntables: [t]\n" + TARGET,
    "a store's": SOURCE
    + "target: {url: 's3://b/x', s3: {access_key_id: {secret: id}, secret_access_key: {secret: key}}}\n",
    "a step's": BOTH + "transform: [{plugin: mask, columns: [name], mode: hash, salt: {secret: salt}}]\n",
    "a sink's": SOURCE + "target: {url: 'postgres://u@h/x', password: {secret: x}}\n",
    "no server": "source: {url: 'postgres://u@no.such.host.invalid/x'}\ntables: [t]\n" + TARGET,
}


@pytest.mark.parametrize("text", NEEDLESS.values(), ids=NEEDLESS)
def test_validate_needs_no_secret_and_no_server(program, text):
    job = text_job(only(program, "postgres", "mask", "postgres-sink"), text)
    assert "valid" in program.ok("validate", job, seconds=60)


def test_validate_needs_no_cache_no_state_and_only_the_plugins_at_hand(program):
    job = text_job(program, "source: {url: 'postgres://u@h/x'}\ntables: [t]\n" + TARGET)
    done = program.call("--cache", "/proc/cache", "--state", "/proc/state", "validate", job, seconds=120)
    assert done.returncode == 0 and "valid" in done.stdout, done.stderr
    done = program.call("--cache", program.folder / "cold", "validate", job, seconds=120)
    assert done.returncode == 0, done.stderr
    assert not re.search(r"compiling \S*(tpch|mask|odbc|impala|http-sink)", done.stderr), done.stderr


# Queries and where they end (37)

ENDS = {
    "a semicolon": "SELECT 1 AS a;",
    "a comment behind it": "SELECT 1 AS a; -- done",
    "a comment of C behind it": "SELECT 1 AS a; /* x */",
    "a comment in a comment": "SELECT 1 AS a /* x /* ; */ ; */ ;",
    "a comment and no line end": "SELECT 1 AS a -- note",
    "several": "SELECT 1 AS a ; ; -- x\n;",
    "a comment in front": "-- first; of all\nSELECT 1 AS a",
    "Windows' line ends": "SELECT\r\n1 AS a\r\n;\r\n-- done\r\n",
    "a semicolon in a text": "SELECT 1 AS a WHERE ';--' <> '/*';",
    "a quote in a text": "SELECT 1 AS a WHERE 'it''s;' <> ''; -- it's",
    "an escaped quote": "SELECT 1 AS a WHERE E'\\';' <> ''; -- x",
    "dollars": "SELECT 1 AS a WHERE $$;--'$$ <> $x$;$$;$x$; -- x",
    "a semicolon in a name": 'SELECT b AS a FROM (SELECT 1 AS ";b", 1 AS b) "x;--"; -- x',
    "an end of nothing": "SELECT 1 AS a /* not closed in SQL, but here */;",
    "WITH": "WITH x AS (SELECT 1 AS a) SELECT a FROM x; -- x",
    "VALUES": "SELECT a FROM (VALUES (1)) v(a);\n\n\n",
}


@pytest.mark.parametrize("query", ENDS.values(), ids=ENDS)
def test_a_query_ends_where_it_ends(program, server, query):
    only(program, "postgres")
    job = program.postgres(server, "q.yaml", query=query)
    assert program.report("run", job)["rows"] == 1
    (program.folder / "q.sql").write_bytes(
        b"\xef\xbb\xbf" + query.replace("\r", "").replace("\n", "\r\n").encode()
    )
    assert program.report("run", program.postgres(server, "f.yaml", query_file="q.sql"))["rows"] == 1


NO_ENDS = {
    "two queries": "SELECT 1 AS a; SELECT 2 AS a",
    "two after a comment": "SELECT 1 AS a; /* ; */ SELECT 2",
    "nothing": " ;",
    "a comment": "-- nothing",
    "not closed": "SELECT 'a",
    "a comment not closed": "SELECT 1 AS a /* x",
}


@pytest.mark.parametrize("query", NO_ENDS.values(), ids=NO_ENDS)
def test_what_is_not_one_query_is_told(program, server, query):
    only(program, "postgres")
    line, code = refused(program, "run", program.postgres(server, "q.yaml", query=query))
    assert code in (2, 4) and "q" in line and "next: " in line, line
    if "SELECT 2" in query:
        assert "at or near" not in line and re.search("one |multiple", line), line


#: SQLite has neither `E''`, nor `$$`, nor comments in comments.
SQLITE_ENDS = {
    name: sql
    for name, sql in ENDS.items()
    if name not in ("an escaped quote", "dollars", "a comment in a comment")
}


@pytest.mark.odbc
@pytest.mark.parametrize("query", SQLITE_ENDS.values(), ids=SQLITE_ENDS)
def test_a_query_over_odbc_ends_where_it_ends(program, query):
    sqlite3.connect(program.folder / "shop.db").close()
    only(program, "odbc")
    query = query.replace("v(a)", "").replace("SELECT a FROM (VALUES", "SELECT column1 AS a FROM (VALUES")
    assert (
        program.report(
            "run", program.job({"url": f"sqlite://{program.folder}/shop.db"}, "q.yaml", query=query)
        )["rows"]
        == 1
    )


@pytest.mark.parametrize(
    "sql", ["SELECT * FROM data; -- x", "SELECT * FROM data /* ; */ ;\r\n", "-- x\nSELECT * FROM data ; ;"]
)
def test_a_step_ends_where_it_ends(program, sql):
    assert program.report("run", rows_job(only(program), transform=[{"sql": sql}]))["rows"] == 3
    (program.folder / "s.sql").write_bytes(b"\xef\xbb\xbf" + sql.encode())
    assert program.report("run", rows_job(program, transform=[{"sql_file": "s.sql"}]))["rows"] == 3


# Parquet files of one folder (40)


def nested(value, kind):
    return pa.array([value], kind)


def lists(name):
    return pa.array([[1, 2]], pa.list_(pa.field(name, pa.int64())))


UTC, OFFSET = pa.timestamp("us", "UTC"), pa.timestamp("us", "+00:00")
A = pa.struct({"a": pa.int64()})
AB = pa.struct({"a": pa.int64(), "b": pa.string()})
BA = pa.struct({"b": pa.string(), "a": pa.int64()})

#: Two files' columns that mean the same, or of which one is wider.
ALIKE = {
    "element and item": (lists("element"), lists("item")),
    "UTC and +00:00": (pa.array([0], UTC), pa.array([0], OFFSET)),
    "UTC and Etc/UTC": (pa.array([0], UTC), pa.array([0], pa.timestamp("us", "Etc/UTC"))),
    "dictionary and text": (pa.array(["a"]).dictionary_encode(), pa.array(["a"])),
    "large and small text": (pa.array(["a"], pa.large_string()), pa.array(["a"])),
    "large and small bytes": (pa.array([b"a"], pa.large_binary()), pa.array([b"a"])),
    "large and small lists": (pa.array([[1]], pa.large_list(pa.int64())), pa.array([[1]], pa.list_(pa.int64()))),
    "views and texts": (pa.array(["a"], pa.string_view()), pa.array(["a"])),
    "a field more": (nested({"a": 1}, A), nested({"a": 1, "b": "x"}, AB)),
    "a field more in a list": (nested([{"a": 1}], pa.list_(A)), nested([{"a": 1, "b": "x"}], pa.list_(AB))),
    "fields in another order": (nested({"a": 1, "b": "x"}, AB), nested({"b": "x", "a": 1}, BA)),
    "a wider field": (nested({"a": 1}, pa.struct({"a": pa.int32()})), nested({"a": 1}, A)),
    "a wider element": (pa.array([[1]], pa.list_(pa.int32())), pa.array([[1]], pa.list_(pa.int64()))),
    "wider numbers": (pa.array([1], pa.int32()), pa.array([1], pa.int64())),
    "wider decimals": (
        pa.array([decimal.Decimal("1.50")], pa.decimal128(10, 2)), pa.array([decimal.Decimal("1.500")], pa.decimal128(20, 3))
    ),
    "milli and micro": (pa.array([0], pa.timestamp("ms", "UTC")), pa.array([0], UTC)),
    "nothing and text": (pa.nulls(1), pa.array(["a"])),
    "a map and a map": (
        pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), pa.array([[("k", 1)]], pa.map_(pa.large_string(), pa.int64()))
    ),
}  # fmt: skip


def meaning(value):
    """A value by what it means: however many digits, whichever zone, and without fields that only one file has."""
    if isinstance(value, list):
        return repr([meaning(inner) for inner in value])
    if isinstance(value, dict):
        return f"a: {meaning(value['a'])}"
    if isinstance(value, decimal.Decimal):
        return str(value.normalize())
    return str(value.timestamp()) if isinstance(value, datetime.datetime) else repr(value)


@pytest.mark.parametrize("one, other", ALIKE.values(), ids=ALIKE)
def test_files_that_mean_the_same_are_one_relation(program, one, other):
    data = program.folder / "data"
    data.mkdir()
    for name, column in [("a", one), ("b", other)]:
        pq.write_table(pa.table({"id": [1], "v": column}), data / f"{name}.parquet")
    for first in ["a", "b"]:
        os.rename(data / f"{first}.parquet", data / f"0{first}.parquet")
        job = program.job({"url": f"file://{data}"}, f"r{first}.yaml")
        assert program.report("run", job, seconds=60)["rows"] == 2
        found = [row["v"] for row in pq.read_table(program.lake / f"r{first}").to_pylist()]
        assert sorted(map(meaning, found)) == sorted(map(meaning, [*one.to_pylist(), *other.to_pylist()]))
        os.rename(data / f"0{first}.parquet", data / f"{first}.parquet")


UNLIKE = {
    "a number and a text": (pa.array([1]), pa.array(["a"])),
    "a list and a number": (pa.array([[1]]), pa.array([1])),
    "with and without a zone": (pa.array([0], pa.timestamp("us")), pa.array([0], UTC)),
    "zones": (pa.array([0], UTC), pa.array([0], pa.timestamp("us", "Europe/Berlin"))),
    "fields that do not go together": (
        nested({"a": 1}, A),
        nested({"a": "x"}, pa.struct({"a": pa.string()})),
    ),
}


@pytest.mark.parametrize("one, other", UNLIKE.values(), ids=UNLIKE)
def test_files_that_do_not_go_together_are_named(program, one, other):
    data = program.folder / "data"
    data.mkdir()
    for name, column in [("a", one), ("b", other)]:
        pq.write_table(pa.table({"id": [1], "v": column}), data / f"{name}.parquet")
    line, code = refused(only(program), "run", program.job({"url": f"file://{data}"}))
    kinds = re.search(r"`v` is (.+) in (\S*)a.parquet,? and (.+) in (\S*)b.parquet", line)
    assert code in (2, 4) and kinds and kinds[1] != kinds[3] and "Struct(" not in line, line


# http-sink (44)


VALUES = {
    "timestamptz": "timestamptz '2026-11-28 10:00:00.5+02'",
    "timestamp": "timestamp '2026-11-28 10:00:00.123456'",
    "date": "date '2026-11-28'",
    "time": "time '10:00:00.5'",
    "numeric": "12345678901234567890.123456789::numeric(38,9)",
    "bigint": "9223372036854775807",
    "double": "0.1::float8",
    "real": "0.1::float4",
    "bytea": "'\\xdeadbeef'::bytea",
    "uuid": "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid",
    "json": "'{\"a\": [1, null]}'::json",
    "interval": "interval '1 day 2 hours'",
    "array": "ARRAY[timestamptz '2026-11-28 10:00:00+00', NULL]",
    "decimals": "ARRAY[1.50::numeric(9,2)]",
    "NULL": "NULL::text",
    "text": "'a\"\\\u2603'::text",
    "boolean": "true",
    "an old date": "date '0044-03-15 BC'",
}


@pytest.mark.parametrize("format", ["json"])
def test_the_http_sink_writes_json_as_a_target_of_json_does(program, server, endpoint, format):
    only(program, "postgres", "http-sink")
    query = "SELECT " + ", ".join(f'{sql} AS "{name}"' for name, sql in VALUES.items())
    program.ok(
        "run",
        program.postgres(
            server, "q.yaml", query=query, target={"url": f"file://{program.lake}", "format": format}
        ),
    )
    program.ok("run", program.postgres(server, "q.yaml", query=query, target={"url": f"{endpoint.url}/rows"}))
    [part] = (program.lake / "q").iterdir()
    assert endpoint.rows("/rows") == [json.loads(line) for line in part.read_text().splitlines()]


@pytest.mark.parametrize("status", [501, 405, 404, 400])
def test_a_server_that_knows_no_head_is_written_to(program, endpoint, status):
    asked = []

    def do_head(handler):
        asked.append(handler.path)
        handler.answer(status, {}, b"")

    endpoint.server.RequestHandlerClass.do_HEAD = do_head
    job = rows_job(only(program, "http-sink"), target={"url": f"{endpoint.url}/rows/{{relation}}"})
    assert program.report("run", job)["rows"] == 3
    assert len(endpoint.rows("/rows/good")) == 3
    program.call("test-connection", job, seconds=60)
    assert not [path for path in asked if "%7B" in path or "{" in path], asked


# Secrets' files (45)

TOKENS = {
    "as it is": (b"t0ken", "t0ken"),
    "a line end": (b"t0ken\n", "t0ken"),
    "Windows' line end": (b"t0ken\r\n", "t0ken"),
    "blanks in it": (b"t0 ken\n", "t0 ken"),
}
BAD_TOKENS = {
    "nothing": b"",
    "a line end alone": b"\n",
    "two line ends": b"t0ken\n\n",
    "two lines": b"t0ken\nmore\n",
    "a byte order mark": b"\xef\xbb\xbft0ken\n",
    "UTF-16": "\ufefft0ken\n".encode("utf-16-le"),
    "NUL": b"t0ken\0",
    "a carriage return": b"t0ken\r",
    "not UTF-8": b"t\xf6ken\n",
}


def token_job(program, endpoint, form, data):
    only(program, "http-sink")
    secrets = program.folder / "secrets"
    secrets.mkdir()
    (secrets / "in_token").write_bytes(data)
    program.env["LONGSHORE_SECRETS"] = str(secrets)
    written = {
        "file": {"file": str(secrets / "in_token")},
        "secret": {"secret": "in_token"},
        "env": {"env": "IN_TOKEN"},
    }[form]
    return rows_job(program, target={"url": f"{endpoint.url}/rows", "token": written})


@pytest.mark.parametrize("form", ["file", "secret", "env"])
@pytest.mark.parametrize("data, token", TOKENS.values(), ids=TOKENS)
def test_one_line_end_is_no_part_of_a_secret(program, endpoint, form, data, token):
    program.ok("run", token_job(program, endpoint, form, data), env={"IN_TOKEN": data.decode()})
    [(_, headers, _)] = endpoint.taken.values()
    assert headers["authorization"] == f"Bearer {token}"


@pytest.mark.parametrize("form", ["file", "secret"])
@pytest.mark.parametrize("data", BAD_TOKENS.values(), ids=BAD_TOKENS)
def test_what_else_is_odd_about_a_secret_is_named(program, endpoint, form, data):
    line, code = refused(program, "run", token_job(program, endpoint, form, data))
    assert code == 2 and "token" in line and "next: " in line and "t0ken" not in line, line
    assert endpoint.taken == {}


PASSWORDS = {
    "blanks at its ends": "  pass word ",
    "braces": "{p}a;s}s{",
    "quotes": "p'a\"s`s",
    "a per cent": "100%41",
    "long": "x" * 300,
}


@pytest.mark.parametrize("how", ["postgres", pytest.param("odbc", marks=pytest.mark.odbc)])
@pytest.mark.parametrize("password", PASSWORDS.values(), ids=PASSWORDS)
def test_a_password_is_what_its_file_says(program, server, password, how):
    with server.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS padded")
        connection.execute(f"CREATE ROLE padded LOGIN PASSWORD '{password.replace(chr(39), chr(39) * 2)}'")
    (program.folder / "password").write_text(password + "\n")
    scheme = {"postgres": "postgres", "odbc": "odbc+postgresql"}[how]
    url = f"{scheme}://padded@127.0.0.1:{server.port}/postgres"
    only(program, how)
    job = program.job(
        {"url": url, "password": {"file": str(program.folder / "password")}}, "q.yaml", query="SELECT 1 AS a"
    )
    assert program.report("run", job)["rows"] == 1


# verify (46)


def test_verify_says_what_it_compared(program):
    job = rows_job(only(program))
    manifest = program.report("run", job)["manifest"]
    plain_words = plain(program.ok("verify", manifest))
    assert re.search(r"1 part\b", plain_words) and "3 rows" in plain_words and "source" not in plain_words, (
        plain_words
    )
    with_source = plain(program.ok("verify", manifest, "--job", job, "--source"))
    assert "source" in with_source and "rows" in with_source, with_source


@pytest.mark.parametrize("times", [1, 2])
def test_verify_of_what_was_replaced_names_the_later_run(program, times):
    job = rows_job(only(program), target={"url": f"file://{program.lake}", "mode": "replace"})
    manifest = program.report("run", job)["manifest"]
    later = [program.report("run", job)["run"] for _ in range(times)]
    done = program.call("verify", manifest)
    told = plain(done.stdout + done.stderr)
    assert (
        "superseded" in told and any(run in told for run in later) and "not what was written" not in told
    ), told
    answer = program.call("--json", "verify", manifest).stdout
    assert any(run in answer for run in later), answer


def test_verify_never_takes_damage_for_a_later_run(program):
    """A later run that only added rows took nothing's place."""
    job = rows_job(only(program), target={"url": f"file://{program.lake}", "mode": "append"})
    report = program.report("run", job)
    [part] = (program.lake / "good").glob("part-*")
    for _ in range(3):
        program.ok("run", job)
    part.write_bytes(b"touched")
    done = program.call("verify", report["manifest"])
    assert done.returncode == 4 and str(part) in done.stderr and "superseded" not in done.stderr, done.stderr


def test_verify_looks_where_the_manifest_says(program):
    """A job of another target lends its keys, not its place."""
    manifest = program.report("run", rows_job(only(program)))["manifest"]
    other = rows_job(program, "other.yaml", target={"url": f"file://{program.folder}/elsewhere"})
    assert "intact" in program.ok("verify", manifest, "--job", other)
    [part] = (program.lake / "good").glob("part-*")
    part.write_bytes(b"touched")
    text, code = said(program, "verify", manifest, "--job", other)
    assert code == 4 and str(part) in text, text


def test_verify_tells_a_relation_from_a_part(program):
    only(program)
    plain_folder = program.folder / "plain"
    plain_folder.mkdir()
    rows = plain_folder / "rows.csv"
    rows.write_text("id,name\n1,one\n2,two\n3,three\n")
    relations = [{"table": "rows.csv", "as": name} for name in "ab"]
    job = program.job({"url": f"file://{plain_folder}"}, "two.yaml", relations=relations)
    manifest = program.report("run", job)["manifest"]
    rows.write_text("id,name\n1,one\n2,two\n3,other\n")
    done = program.call("verify", manifest, "--job", job, "--source")
    assert (
        done.returncode == 4 and re.search(r"2 of 2 relations", done.stderr) and "part" not in done.stderr
    ), done.stderr
    rows.write_text("id,name\n1,one\n")
    done = program.call("verify", manifest, "--job", job, "--source")
    assert done.returncode == 4 and "1 row" in done.stderr and "3 were published" in done.stderr, done.stderr


def test_verify_knows_the_checksums_of_earlier_versions(program):
    """They were SHA-256, and did not name it."""
    manifest = program.report("run", rows_job(only(program)))["manifest"]
    [part] = (program.lake / "good").glob("part-*")
    earlier = hashlib.sha256(part.read_bytes()).hexdigest()
    change_part(manifest, lambda part: part.update(sha256=earlier) or part.pop("checksum"))
    assert "intact" in program.ok("verify", manifest)
    data = part.read_bytes()
    part.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    done = program.call("verify", manifest)
    assert done.returncode == 4 and str(part) in plain(done.stderr), done.stderr


def test_verify_never_passes_what_it_cannot_compare(program):
    manifest = program.report("run", rows_job(only(program)))["manifest"]
    change_part(manifest, lambda part: part.update(checksum="md17:00ff"))
    text, code = said(program, "verify", manifest)
    assert code == 2 and "`md17`" in text and "part-" in text and "newer" in text, text
    change_part(manifest, lambda part: part.pop("checksum"))
    text, code = said(program, "verify", manifest)
    assert code == 4 and "no checksum" in text and "intact" not in text, text


def change_part(manifest, change):
    """Changes what a manifest says of its only part."""
    path = Path(manifest)
    content = json.loads(path.read_text())
    [part] = content["relations"][0]["parts"]
    change(part)
    path.write_text(json.dumps(content))


def test_verify_counts_what_is_gone_and_what_is_another(program):
    manifest = program.report("run", rows_job(only(program)))["manifest"]
    [part] = (program.lake / "good").glob("part-*")
    part.unlink()
    done = program.call("verify", manifest)
    assert done.returncode == 4 and str(part) in plain(done.stderr) and "1 of 1 part" in done.stderr, (
        done.stderr
    )
    line, code = refused(program, "verify", program.folder / "nowhere.json")
    assert code in (2, 4) and "nowhere.json" in line, line
    line, code = refused(program, "verify", program.folder / "rows.csv")
    assert code in (2, 4) and "manifest" in line, line


# A class of its own (49)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_was_stopped_is_cancelled_and_nobody_must_act(program, gate, how):
    job = rows_job(only(program, "http-sink"), target={"url": f"{gate.url}/rows", "timeout_secs": 120})
    run = subprocess.Popen([LONGSHORE, "--json", "run", job], env=program.env, cwd=program.folder, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    wait_for(lambda: gate.requests or run.poll() is not None, PATIENCE)
    run.send_signal(how)
    out, err = run.communicate(timeout=PATIENCE)
    error = json.loads(out)["error"]
    assert error["class"] == "cancelled" and error["who_must_act"] not in (
        "the platform",
        "the plugin's author",
    ), error
    assert run.returncode == error["exit_code"] == 128 + how, error
    assert "cancel" in plain(err).lower(), err
    assert runs(program)[0]["state"] == "cancelled"


def test_a_run_of_the_daemons_that_was_cancelled_has_a_class_of_its_own(program, gate):
    daemon = Daemon(only(program, "http-sink"))
    try:
        held(daemon, gate)
        program.ok("runs", "cancel", runs(program)[0]["run"])
        [report] = settled(daemon)
        assert report["status"] == "cancelled" and report["error"]["class"] == "cancelled", report
        assert report["error"]["who_must_act"] not in ("the platform", "the plugin's author"), report
        assert "cancelled" in program.ok("runs", "show", report["run"])
    finally:
        gate.open.set()
        daemon.stop(signal.SIGKILL)


# test-connection (53)


MISSING = ["sqlite://HERE/shop.db", "sqlite://HERE/no/such/shop.db"]


@pytest.mark.odbc
@pytest.mark.parametrize("url", MISSING)
def test_a_database_file_that_is_not_there_is_refused_and_not_made(program, url):
    job = program.job({"url": url.replace("HERE", str(program.folder))}, tables=["t"])
    only(program, "odbc")
    for command in ["test-connection", "plan", "run"]:
        line, code = refused(program, command, job)
        assert code in (2, 3, 4) and "shop.db" in line, line
        assert not list(program.folder.rglob("shop.db"))


def test_a_target_of_files_is_tested_by_writing_and_leaves_nothing(program):
    program.lake.mkdir()
    told = plain(program.ok("test-connection", rows_job(only(program))))
    assert "target" in told and str(program.lake) in told, told
    assert list(program.lake.rglob("*")) == []
    assert "target" in program.report("test-connection", rows_job(program))


@pytest.mark.parametrize("place", ["rows.csv/", "rows.csv/lake"])
def test_a_target_that_cannot_be_written_fails_its_test(program, place):
    line, code = refused(
        only(program),
        "test-connection",
        rows_job(program, target={"url": f"file://{program.folder}/{place}"}),
    )
    assert code == 2 and f"{program.folder}/{place}".rstrip("/") in line, line


def test_a_target_that_is_not_there_is_not_made_by_its_test(program):
    program.ok("test-connection", rows_job(only(program)))
    assert not program.lake.exists()


def test_a_connection_without_an_answer_is_told_of_source_or_target(program):
    s3 = {"endpoint": "http://127.0.0.1:1", "access_key_id": "a", "secret_access_key": "b"}
    line, code = refused(
        only(program),
        "test-connection",
        rows_job(program, target={"url": "s3://lake/x", "s3": s3}),
        env=QUICK,
    )
    assert code == 3 and "127.0.0.1:1" in line and "s3://lake/x" in line, line


# Rows of hundreds of MiB (38)


LARGE = {
    "three of 100 MiB": (3, 100, "a value of 100 MiB, in a row of"),
    "one of 200 MiB": (1, 200, "a value of 200 MiB, in a row of 200 MiB"),
}


@pytest.mark.parametrize("columns, size, words", LARGE.values(), ids=LARGE)
def test_a_row_that_is_too_large_is_told_with_its_column_and_its_limit(server, program, columns, size, words):
    values = ", ".join(f"repeat('x', {size} << 20) AS c{number}" for number in range(columns))
    with server.connect() as connection:
        connection.execute(f"CREATE TABLE large_{columns} AS SELECT 1 AS id, {values}")
    job = program.postgres(server, tables=[f"large_{columns}"])
    line, code = refused(program, "--memory", "256MiB", "run", job, env=QUICK)
    assert code == 4 and "column `c0`: " in line and words in line and "`source.row_mib`" in line, line


def test_a_row_below_its_limit_is_moved(server, program):
    """And the next step that is named for a larger one works."""
    limits = program.folder / "longshore.toml"
    limits.write_text("[limits]\ncall_mib = 160\nmemory_mib = 1600\n")
    with server.connect() as connection:
        connection.execute(
            "CREATE TABLE large AS SELECT repeat('x', 60 << 20) AS a, repeat('y', 60 << 20) AS b"
        )
    refused(program, "run", program.postgres(server, tables=["large"]), env=QUICK)
    source = {"row_mib": 130}
    assert program.report("run", program.postgres(server, source=source, tables=["large"]))["rows"] == 1
    [file] = program.lake.rglob("*.parquet")
    sizes = pq.read_table(file)
    assert [len(sizes[name][0].as_py()) for name in ["a", "b"]] == [60 << 20, 60 << 20]


# Where one stands, plugins, logs, colours (54)


@pytest.mark.parametrize("spelling", ["shop.yaml", "./shop.yaml", "../here/shop.yaml"])
def test_a_run_is_retried_from_any_folder(program, spelling):
    here, there = program.folder / "here", program.folder / "there"
    here.mkdir()
    there.mkdir()
    rows_job(only(program), "here/shop.yaml", sql_file="q.sql")
    (here / "q.sql").write_text("SELECT broken FROM rows")
    program.refused("run", spelling, cwd=here)
    (here / "q.sql").write_text("SELECT id FROM shop")
    assert program.report("runs", "retry", runs(program)[0]["run"], cwd=there)["rows"] == 3


def test_a_job_that_is_gone_is_named_whole(program):
    job = rows_job(only(program), "shop.yaml", transform=[{"sql": "SELECT nothing FROM data"}])
    program.refused("run", "shop.yaml")
    job.unlink()
    line, code = refused(program, "runs", "retry", runs(program)[0]["run"], cwd="/")
    assert code == 2 and str(job) in line, line


def test_folders_of_plugins_are_added_to_those_at_hand(program):
    """Also two of them; of one version, that of the folder named first is used."""
    only(program, "tpch", "mask")
    mine, more = program.folder / "mine", program.folder / "more"
    for folder, name in [(mine, "postgres"), (mine, "tpch"), (more, "impala")]:
        folder.mkdir(exist_ok=True)
        shutil.copy(PLUGINS / f"{name}.wasm", folder)
    listed = json.loads(program.ok("--json", "--plugins", mine, "--plugins", more, "plugin", "list"))
    assert [plugin["name"] for plugin in listed] == ["postgres", "tpch", "impala", "mask", "tpch"]
    assert json.loads(program.ok("--json", "--plugins", mine, "plugin", "inspect", "tpch"))["path"] == str(
        mine / "tpch.wasm"
    )
    job = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"])
    assert program.report("--plugins", mine, "--plugins", more, "run", job)["rows"] == 25


def test_the_environment_names_folders_as_path_does(program):
    only(program, "tpch")
    more = program.folder / "more"
    more.mkdir()
    shutil.copy(PLUGINS / "mask.wasm", more)
    both = f"{program.env['LONGSHORE_PLUGINS']}:{more}"
    listed = json.loads(program.ok("--json", "plugin", "list", env={"LONGSHORE_PLUGINS": both}))
    assert [plugin["name"] for plugin in listed] == ["tpch", "mask"]


@pytest.mark.parametrize("filter", ["debug", "longshore=debug"])
def test_a_debug_log_tells_what_the_program_does(program, filter):
    done = program.call("--log", filter, "run", rows_job(only(program)))
    said = done.stderr
    assert done.returncode == 0
    for words in [
        "a relation is planned",
        "an attempt begins",
        "a chunk is written",
        "rows=3",
        "all relations are published",
    ]:
        assert words in said, said
    assert not re.search("hyper|rustls|datafusion|cranelift", said), said


def test_a_folder_of_plugins_that_is_not_there_is_told(program):
    line, code = refused(program, "--plugins", program.folder / "nowhere", "plugin", "list")
    assert code == 2 and "nowhere" in line, line


def on_a_terminal(program, *args, until, env=None):
    """What the program writes to a terminal, until it has written something."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(LONGSHORE), *map(str, args)], stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**program.env, "TERM": "xterm", **(env or {})}, cwd=program.folder)  # fmt: skip
    os.close(theirs)
    seen, deadline = b"", time.monotonic() + PATIENCE
    try:
        while until not in seen and time.monotonic() < deadline:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    seen += os.read(ours, 65_536)
                except OSError:
                    break
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    return seen.decode(errors="replace")


@pytest.mark.parametrize("value, coloured", [("1", False), ("yes", False), ("", True), (None, True)])
def test_no_color_is_obeyed(program, value, coloured):
    env = {} if value is None else {"NO_COLOR": value}
    for name in ["NO_COLOR", "CLICOLOR"]:
        program.env.pop(name, None)
    seen = on_a_terminal(
        only(program), "serve", "--inbox", program.folder / "inbox", until=b"taking jobs", env=env
    )
    assert "taking jobs" in seen and bool(re.search(r"\x1b\[[0-9;]*m", seen)) == coloured, seen


# Progress and last lines (55)


def test_every_line_of_a_daemons_log_has_its_time_and_level(program, gate):
    daemon = Daemon(only(program, "http-sink", "tpch"))
    try:
        drop(
            daemon,
            program.job(
                {"url": "tpch:", "scale": 0.5, "text_mib": 1},
                "big.yaml",
                tables=["lineitem"],
                chunk={"rows": 100_000},
            ),
        )
        settled(daemon)
        lines = log(program).splitlines()
        assert all(STAMP.match(line) for line in lines), [line for line in lines if not STAMP.match(line)][:5]
        run = runs(program)[0]["run"]
        for line in lines:
            assert "lineitem" not in line or run in line or "big" in line, line
        assert len(lines) < 60
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_daemon_says_nothing_where_nothing_moves(program, gate):
    daemon = Daemon(only(program, "http-sink"))
    try:
        held(daemon, gate)
        before = len(log(program).splitlines())
        time.sleep(3)
        assert len(log(program).splitlines()) - before <= 1, log(program)
    finally:
        gate.open.set()
        daemon.stop(signal.SIGKILL)


def test_the_last_line_of_a_run_names_it_and_its_manifest(program):
    out = program.ok("run", rows_job(only(program)))
    [manifest] = (program.lake / ".longshore/runs").iterdir()
    last = out.strip().splitlines()[-1]
    assert runs(program)[0]["run"] in last and str(manifest) in last, out


def test_a_progress_line_of_a_job_with_odd_names_is_one_line(program):
    (program.folder / "plain").mkdir()
    (program.folder / "plain/rows.csv").write_text("id\n" + "1\n" * 10)
    relations = [{"table": "rows.csv", "as": "a\u2028b%s{}"}]
    out = program.ok(
        "run", program.job({"url": f"file://{program.folder}/plain"}, "o.yaml", relations=relations)
    )
    assert len(out.strip().split("\n")) <= 3, out


# The server's own words (67)


@pytest.fixture(scope="module")
def foreign(server):
    with server.connect() as connection:
        for sql in [
            "CREATE EXTENSION IF NOT EXISTS postgres_fdw",
            "DROP SERVER IF EXISTS far CASCADE",
            f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{server.port}')",
            "CREATE USER MAPPING FOR postgres SERVER far OPTIONS (user 'postgres', password 'secret')",
            "CREATE FOREIGN TABLE far_gone (id int) SERVER far OPTIONS (table_name 'not_there')",
            "CREATE FOREIGN TABLE far_column (id int OPTIONS (column_name 'nope')) SERVER far OPTIONS (table_name 'far_real')",
            "DROP TABLE IF EXISTS far_real",
            "CREATE TABLE far_real AS SELECT 1 AS id",
            "CREATE SERVER IF NOT EXISTS closed FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1')",
            "CREATE USER MAPPING IF NOT EXISTS FOR postgres SERVER closed OPTIONS (user 'postgres', password 'secret')",
            "DROP FOREIGN TABLE IF EXISTS far_closed",
            "CREATE FOREIGN TABLE far_closed (id int) SERVER closed",
            "CREATE OR REPLACE FUNCTION raise(text) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', $1; END $$",
            "CREATE OR REPLACE VIEW raising AS SELECT raise('out of cheese') AS id",
        ]:
            connection.execute(sql)
    return server


OWN_WORDS = {
    "far_gone": 'relation "public.not_there" does not exist',
    "far_column": 'column "nope" does not exist',
    "far_closed": "could not connect to server",
    "raising": "out of cheese",
}


@pytest.mark.parametrize("table", OWN_WORDS)
def test_a_fault_of_the_servers_is_told_in_its_words(program, foreign, table):
    only(program, "postgres")
    line, code = refused(program, "run", program.postgres(foreign, tables=[table]), env=QUICK)
    assert OWN_WORDS[table] in line and code in (3, 4) and "rewritten" not in line, line
    assert runs(program)[0]["restarts"] == 0


# preview (69)

DATA = {
    "lines.json": '{"n": 1, "source": "web"}\n{"n": 2, "source": "app"}\n',
    "one.json": '{"n": 1}\n',
    "source.json": '{"source": {"url": "x"}, "n": 1}\n{"source": {"url": "y"}, "n": 2}\n',
    "lines.jsonl": '{"n": 1}\n{"n": 2}\n',
    "indented.json": ' {"n": 1}\n\n {"n": 2}\n',
}


@pytest.mark.parametrize("name", DATA)
def test_a_preview_of_json_shows_the_data(program, name):
    (program.folder / name).write_text(DATA[name])
    shown = plain(program.ok("preview", name, env={"LONGSHORE_PLUGINS": str(program.folder)}))
    assert "n" in shown and "1" in shown and "not a job" not in shown, shown


def test_a_preview_of_a_job_in_json_is_of_its_rows(program):
    job = rows_job(only(program), "job.json")
    assert "three" in program.ok("preview", job)
    job.write_text(json.dumps(json.loads(job.read_text()), indent=2))
    assert "three" in program.ok("preview", job)
    job.write_text(job.read_text().replace('"target"', '"taget"'))
    text, code = said(program, "preview", job)
    assert code == 2 and "`taget`" in text and "`target`" in text, text


def test_a_folder_with_a_dot_in_its_name_is_a_folder(program):
    folder = program.folder / "v1.2"
    folder.mkdir()
    (folder / "t.csv").write_text("a\n1\n")
    assert program.report("run", program.job({"url": f"file://{folder}/"}, tables=["t.csv"]))["rows"] == 1
    line, code = refused(program, "run", program.job({"url": f"file://{folder}"}, tables=["t.csv"]))
    assert code == 2 and "with a `/` at its end" in line, line


@pytest.mark.parametrize("text", ['{\n  "n": 1\n}\n', '[{"n": 1}, {"n": 2}]', '[\n  {"n": 1},\n  {"n": 2}\n]\n'],
                         ids=["pretty", "list", "pretty-list"])  # fmt: skip
def test_a_preview_of_json_that_is_not_lines_shows_the_data(program, text):
    (program.folder / "t.json").write_text(text)
    shown = plain(program.ok("preview", "t.json", env={"LONGSHORE_PLUGINS": str(program.folder)}))
    assert "n" in shown and "1" in shown, shown


# postgres-sink (72)

KINDS = {
    "a composite": "ROW(1, 'x')::told_pair",
    "composites": "ARRAY[ROW(1, 'x')::told_pair]",
    "a map of a document": "'{\"a\": 1}'::jsonb",
}


@pytest.mark.parametrize("sql", KINDS.values(), ids=KINDS)
def test_what_the_sink_says_of_a_type_that_it_has_not_works(program, server, sql):
    with server.connect() as connection:
        connection.execute("DROP TYPE IF EXISTS told_pair CASCADE")
        connection.execute("CREATE TYPE told_pair AS (n int, t text)")
    only(program, "postgres", "postgres-sink")
    target = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    keys = {"query": f"SELECT 1 AS id, {sql} AS c", "target": target}
    done = program.call("run", program.postgres(server, "sunk.yaml", **keys))
    if done.returncode == 0:
        return
    line = plain(done.stderr)
    hint = line.split("next: ")[1]
    assert "`c`" in line, line
    steps = [step.replace(", ..", "") for step in re.findall(r"SELECT .+? FROM data", hint)]
    steps += [code for code in re.findall(r"`([^`]+)`", hint) if re.search(r"CAST|\(|\[|::", code, re.I)]
    if not steps:
        steps = ["CAST(c AS VARCHAR)"] if re.search("cast", hint, re.I) else []
    assert steps, f"no step that can be followed: {hint}"
    followed = 0
    for step in steps:
        sql = step if step.upper().startswith("SELECT") else f"SELECT {step} AS c FROM data"
        again = program.call("run", program.postgres(server, "sunk.yaml", transform=[{"sql": sql}], **keys))
        followed += again.returncode == 0
    assert followed, f"{steps} do not work: {again.stderr}"


# What is offered and does not fit


@pytest.mark.parametrize("args, parts", [
    (["rn", "job.yaml"], ["run"]),
    (["run"], ["JOB"]),
    (["runs", "show", "x"], ["longshore runs"]),
    (["--memory", "lots", "runs"], ["memory", "lots", "MiB"]),
    (["--retries", "many", "runs"], ["--retries", "many"]),
    (["preview", "nowhere.csv"], ["nowhere.csv"]),
    (["preview", "s3://"], ["s3://"]),
    (["verify"], ["MANIFEST"]),
    (["serve"], ["--inbox"]),
    (["--state", "/proc/x", "runs"], ["/proc/x"]),
    (["--config", "nowhere.toml", "runs"], ["nowhere.toml"]),
    (["--policy", "nowhere.toml", "run", "job.yaml"], ["nowhere.toml"]),
], ids=lambda value: " ".join(value) if isinstance(value, list) and len(value) > 1 else None)  # fmt: skip
def test_a_call_that_cannot_be_is_told_in_the_users_words(program, args, parts):
    (program.folder / "rows.csv").write_text("a\n1\n")
    only(program).job({"url": f"file://{program.folder}/rows.csv"})
    text, code = said(program, *args)
    assert code in (2, 4, 5) and all(part in text for part in parts), text


@pytest.mark.parametrize("text, parts", [
    ("retris = 1\n", ["`retris`", "`retries`"]), ("retries = 'x'\n", ["retries"]), ("retries = -1\n", ["retries"]),
    ("memory = 5\n", ["memory"]), ("[limits]\nmemory_mib = 'x'\n", ["limits.memory_mib"]), ("plugins = 7\n", ["plugins"]),
    ("[[limits]]\n", ["limits"]), ("retries: 1\n", ["line 1"]),
])  # fmt: skip
def test_a_setting_that_cannot_be_is_told_in_the_users_words(program, text, parts):
    (program.folder / "longshore.toml").write_text(text)
    line, code = refused(only(program), "runs")
    assert code == 2 and "longshore.toml" in line and all(part in line for part in parts), line
