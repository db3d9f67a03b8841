"""Files as a source: every format and store, against DuckDB, which reads them independently."""

import datetime
import gzip
import json
import random
import re
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from support.postgres import flights_csv
from support.wait import wait_for


@pytest.fixture
def data(program):
    folder = program.folder / "data"
    folder.mkdir()
    return folder


def source(folder, **keys):
    return {"url": f"file://{folder}", **keys}


def rows(program, relation, sql="SELECT * FROM data"):
    with duckdb.connect() as database:
        database.execute("SET timezone = 'UTC'")
        database.execute(f"CREATE VIEW data AS SELECT * FROM '{program.lake}/{relation}/*.parquet'")
        return sorted(map(repr, database.execute(sql).fetchall()))


def theirs(sql):
    with duckdb.connect() as database:
        database.execute("SET timezone = 'UTC'")
        return sorted(map(repr, database.execute(sql).fetchall()))


def differences(program, relation, sql):
    """Rows that only one of both has."""
    with duckdb.connect() as database:
        own = f"SELECT * FROM '{program.lake}/{relation}/*.parquet'"
        both = f"(({own}) EXCEPT ALL ({sql})) UNION ALL (({sql}) EXCEPT ALL ({own}))"
        return database.execute(f"SELECT count(*) FROM ({both})").fetchone()[0]


def types(program, relation):
    schema = pq.read_schema(next((program.lake / relation).glob("*.parquet")))
    return {field.name: str(field.type) for field in schema}


PACKED = {"csv": None, "csv.gz": "gzip", "csv.zst": "zstd", "csv.bz2": "bzip2", "csv.xz": "xz"}


@pytest.mark.parametrize("ending", PACKED)
def test_csv_arrives_as_another_reader_reads_it(program, data, ending):
    (data / "weather.csv").write_text(flights_csv("weather"))
    if PACKED[ending]:
        subprocess.run(
            [PACKED[ending], "-q", *(["--rm"] if ending == "csv.zst" else []), data / "weather.csv"],
            check=True,
        )
    job = program.job(
        source(data, csv={"null": "NA"}), tables=[f"weather.{ending}"], chunk={"bytes": 300_000}
    )
    report = program.report("run", job)
    assert report["rows"] == 26_115
    # One chunk where it must be unpacked from its beginning.
    chunks = sum(len(scan["chunks"]) for scan in program.report("plan", job)["relations"][0]["scans"])
    assert chunks == (1 if PACKED[ending] else 8)
    (data / "plain.csv").write_text(flights_csv("weather"))
    read = f"read_csv('{data}/plain.csv', nullstr = 'NA', types = {{'time_hour': 'TIMESTAMPTZ'}})"
    assert differences(program, "weather", f"FROM {read}") == 0


def test_values_with_line_ends_quotes_and_delimiters_survive(program, data):
    wild = random.Random(7)
    values = ["", "plain", "a,b", 'say "hi"', "two\nlines", "a\r\nb", "naïve ☃", " padded ", '"', "\n"]
    with duckdb.connect() as database:
        database.execute("CREATE TABLE wild (n INT, a VARCHAR, b VARCHAR)")
        database.register("values_of", pa.table({
            "n": range(5_000),
            "a": [wild.choice(values) for _ in range(5_000)],
            "b": [wild.choice([*values, None]) for _ in range(5_000)],
        }))  # fmt: skip
        database.execute("INSERT INTO wild SELECT * FROM values_of")
        database.execute(f"COPY wild TO '{data}/wild.csv' (NULLSTR '\\N', FORCE_QUOTE (a))")
        expected = sorted(map(repr, database.execute("SELECT * FROM wild").fetchall()))
    csv = {"null": "\\N", "newlines": True}
    program.ok("run", program.job(source(data, csv=csv), tables=["wild.csv"], chunk={"bytes": 10_000}))
    assert rows(program, "wild") == expected
    # Cut where a value holds a line end, it would come apart: that is noticed.
    line, code = program.refused(
        "run", program.job(source(data, csv={"null": "\\N"}), tables=["wild.csv"], chunk={"bytes": 3_000})
    )
    assert "newlines: true" in line and code == 4


def test_a_limit_reads_files_from_their_beginning(program, data):
    """No chunk but the one before can tell that a file was cut within a value."""
    (data / "t.csv").write_text("n,t\n" + "".join(f'{n},"x\n7,y"\n' for n in range(3_000)))
    step = {"sql": "SELECT * FROM data WHERE n >= 0 LIMIT 2000"}
    job = program.job(source(data), tables=["t.csv"], transform=[step], chunk={"bytes": 999})
    program.ok("run", job)
    assert rows(program, "t", "SELECT count(*), count(DISTINCT n), min(t) FROM data") == [
        repr((2_000, 2_000, "x\n7,y"))
    ]


def test_types_are_told_only_where_values_come_back(program, data):
    (data / "t.csv").write_text(
        "\ufeffid,zip,big,price,day,at,zoned,flag,none,mixed\n"
        "1,01234,9223372036854775808,1.5,2026-11-20,2026-11-20 10:00:00.5,2026-11-20T10:00:00+02:00,true,,1\n"
        "2,99999,1,2,2026-11-21,2026-11-20 10:00:01,2026-11-20T10:00:00Z,false,,x\n",
        encoding="utf-8",
    )
    program.ok("run", program.job(source(data), tables=["t.csv"]))
    assert types(program, "t") == {
        "id": "int64", "zip": "string", "big": "string", "price": "double", "day": "date32[day]",
        "at": "timestamp[us]", "zoned": "timestamp[us, tz=UTC]", "flag": "bool", "none": "string", "mixed": "string",
    }  # fmt: skip
    assert rows(program, "t", "SELECT zip, zoned::VARCHAR FROM data WHERE id = 1") == [
        "('01234', '2026-11-20 08:00:00+00')"
    ]
    declared = {"price": "decimal(10,2)", "id": "string", "zip": {"type": "int", "lenient": True}}
    program.ok("run", program.job(source(data, columns=declared), tables=["t.csv"]))
    assert {name: types(program, "t_v2")[name] for name in declared} == {
        "price": "decimal128(10, 2)", "id": "string", "zip": "int32"
    }  # fmt: skip


def test_quotes_can_mean_nothing(program, data):
    (data / "t.tsv").write_text('a\tb\n5" pipe\t"x\ny\t\'z"\n')
    program.ok("run", program.job(source(data, csv={"quote": ""}), tables=["t.tsv"]))
    assert rows(program, "t") == [repr(('5" pipe', '"x')), repr(("y", "'z\""))]


def test_a_header_comes_behind_comments_however_the_file_is_cut(program, data):
    (data / "t.csv").write_text(
        "\ufeff# c\r\n\r\n#" + "x" * 50 + "\r\nname\r\nann\r\nbob\r\n", encoding="utf-8", newline=""
    )
    for size in (3, 8, 1_000):
        job = program.job(source(data, csv={"comment": "#"}), tables=["t.csv"], chunk={"bytes": size})
        program.ok("run", job)
    assert {tuple(rows(program, folder)) for folder in ("t", "t_v2", "t_v3")} == {("('ann',)", "('bob',)")}


def test_names_that_end_with_a_number_sign_and_digits_are_read(program, data):
    folder = data / "in"
    folder.mkdir()
    for name in ("a.csv", "b.csv#2"):
        (folder / name).write_text(f"name\n{name}\n")
    program.ok("run", program.job(source(data, format="csv"), tables=["in"]))
    assert rows(program, "in") == ["('a.csv',)", "('b.csv#2',)"]


def test_a_column_of_files_goes_before_their_folder_and_the_log_says_so(program, data):
    (data / "t/k=1").mkdir(parents=True)
    (data / "t/k=1/a.csv").write_text("k,v\n5,6\n")
    done = program.call("run", program.job(source(data), tables=["t"]))
    assert done.returncode == 0 and "`k` is a column of the files" in done.stderr
    assert rows(program, "t") == ["(5, 6)"]


def test_a_folder_that_stands_for_no_text_is_refused(program, data):
    (data / "t/k=%FF").mkdir(parents=True)
    (data / "t/k=%FF/a.csv").write_text("v\n6\n")
    line, code = program.refused("run", program.job(source(data), tables=["t"]))
    assert "k=%FF" in line and code == 4


def test_bad_rows_are_named_or_left_out(program, data):
    lines = ["a,b"] + [f"{n},{n}" for n in range(1_000)]
    lines[500], lines[700] = "x,1", "1,2,3"
    (data / "t.csv").write_text("\n".join(lines) + "\n")
    job = program.job(source(data, sample_rows=100), tables=["t.csv"])
    line, code = program.refused("run", job)
    assert "t: t.csv: at byte" in line and "'x'" in line and code == 4
    assert program.published() == []
    done = program.call("run", program.job(source(data, sample_rows=100, bad_rows="skip"), tables=["t.csv"]))
    assert "2 rows left out; the first is t.csv: at byte" in done.stderr
    assert rows(program, "t", "SELECT count(*), sum(a) FROM data") == [f"(998, {499_500 - 499 - 699})"]


@pytest.mark.parametrize("ending, delimiter", [("csv", ";"), ("csv", "\t"), ("csv", "|"), ("tsv", ",")])
def test_one_column_that_is_several_with_another_delimiter_has_a_warning(program, data, ending, delimiter):
    own = "," if ending == "csv" else "\t"
    (data / f"t.{ending}").write_text(delimiter.join("ab") + "\n" + delimiter.join("12") + "\n")
    one, two = {f"a{delimiter}b": [f"1{delimiter}2"]}, {"a": [1], "b": [2]}
    told = f"t.{ending}: it is read as one column, and with the delimiter {json.dumps(delimiter)} it has 2"
    for csv, expected in [({}, one), ({"delimiter": own}, one), ({"delimiter": delimiter}, two)]:
        done = program.call("--json", "run", program.job(source(data, csv=csv), tables=[f"t.{ending}"]))
        [relation] = json.loads(done.stdout)["relations"]
        assert pq.read_table(relation["folder"]).to_pydict() == expected
        assert (told in done.stderr) == (csv == {}), done.stderr
    assert told in program.call("plan", program.job(source(data), tables=[f"t.{ending}"])).stderr


def test_a_value_that_the_type_of_all_files_cannot_hold_is_named(program, data):
    (data / "t").mkdir()
    for name, unit, value in [("a", "s", 10**15), ("b", "ns", 1)]:
        column = pa.array([value], pa.timestamp(unit))
        feather.write_feather(pa.table({"at": column}), data / f"t/{name}.arrow", compression="uncompressed")
    line, code = program.refused("run", program.job(source(data), tables=["t"]))
    assert (
        "a.arrow: column `at`: a value of Timestamp(s) does not fit into Timestamp(ns)" in line and code == 4
    )
    assert "damaged" not in line


@pytest.mark.parametrize("sql", ["SELECT * FROM data", "SELECT count(*) AS n, sum(a) AS a FROM data"])
def test_the_report_and_the_manifest_count_the_rows_that_are_left_out(program, data, sql):
    (data / "t").mkdir()
    for file in range(4):
        lines = ["a"] + [f"{n}" for n in range(1_000)]
        if file in (1, 3):
            lines[500 + file] = "x"
        (data / f"t/{file}.csv").write_text("\n".join(lines) + "\n")
    files = source(data, sample_rows=100, bad_rows="skip")
    keys = {"tables": ["t"], "chunk": {"bytes": 1_000}, "transform": [{"sql": sql}]}
    report = program.report("run", program.job(files, **keys))
    [relation] = report["relations"]
    assert relation["left_out"]["rows"] == 2
    place = "t/1.csv: at byte 1892"
    assert relation["left_out"]["first"] == f"{place}: column `a`: 'x' is not exactly a bigint"
    [published] = json.loads(Path(report["manifest"]).read_text())["relations"]
    assert published["left_out"] == relation["left_out"]
    shown = program.ok("runs", "show", report["run"])
    assert f"2 rows left out; the first is {relation['left_out']['first']}" in shown
    counted = program.report(
        "run", program.job(files, **{**keys, "transform": [{"sql": "SELECT 1 AS n FROM data"}]})
    )
    assert counted["relations"][0]["left_out"] == relation["left_out"] and counted["rows"] == 3_998
    enough = program.report("run", program.job(source(data, sample_rows=100, bad_rows={"skip": 2}), **keys))
    assert enough["relations"][0]["left_out"] == relation["left_out"]
    before = program.published()
    line, code = program.refused(
        "run", program.job(source(data, sample_rows=100, bad_rows={"skip": 1}), **keys)
    )
    assert re.search(
        r"t: more than 1 row cannot be read: 2 rows left out; the first is t/\d.csv: at byte", line
    )
    assert "raise `source.bad_rows: { skip: 1 }`" in line and code == 4 and program.published() == before
    line, code = program.refused("plan", program.job(source(data, bad_rows={"skip": "x"}), **keys))
    assert "bad_rows" in line and code == 2
    whole = program.report("run", program.job(source(data, bad_rows="fail"), tables=["t/0.csv"]))
    assert "left_out" not in whole["relations"][0]


def test_json_lines_keep_their_shape(program, data):
    objects = [
        {"n": n, "name": None if n % 3 == 0 else f"é{n}", "tags": list(range(n % 4)), "at": {"x": n / 2}}
        for n in range(3_000)
    ]
    text = "".join(json.dumps(value) + "\n" for value in objects)
    (data / "events.jsonl").write_text(text)
    (data / "packed.json.gz").write_bytes(gzip.compress(text.encode()))
    job = program.job(source(data), tables=["events.jsonl"], chunk={"bytes": 20_000})
    assert len(program.report("plan", job)["relations"][0]["scans"][0]["chunks"]) > 5
    program.ok("run", job)
    program.ok("run", program.job(source(data), tables=["packed.json.gz"]))
    expected = theirs(f"SELECT * FROM read_json('{data}/events.jsonl')")
    assert rows(program, "events") == expected
    assert rows(program, "packed") == expected
    (data / "later.jsonl").write_text('{"a": 1}\n' * 200 + '{"a": 1, "b": 2}\n')
    line, _ = program.refused("run", program.job(source(data, sample_rows=10), tables=["later.jsonl"]))
    assert "'b'" in line


@pytest.mark.parametrize("layout", ["array", "pretty", "pretty-array", "concatenated"])
def test_json_in_other_layouts_than_lines_holds_the_rows_that_duckdb_reads(program, data, layout):
    objects = [
        {"n": n, "name": None if n % 3 == 0 else f"é{n}\n[{{", "tags": list(range(n % 4)), "at": {"x": n / 2}}
        for n in range(3_000)
    ]
    indent = 2 if layout.startswith("pretty") else None
    if layout.endswith("array"):
        text = json.dumps(objects, indent=indent)
    else:
        text = "".join(json.dumps(value, indent=indent) for value in objects)
    (data / "events.json").write_text(text)
    (data / "packed.json.gz").write_bytes(gzip.compress(text.encode()))
    job = program.job(source(data), tables=["events.json"], chunk={"bytes": 20_000})
    assert len(program.report("plan", job)["relations"][0]["scans"][0]["chunks"]) == 1
    program.ok("run", job)
    program.ok("run", program.job(source(data), tables=["packed.json.gz"]))
    expected = theirs(f"SELECT * FROM read_json('{data}/events.json')")
    assert len(expected) == 3_000
    assert rows(program, "events") == expected
    assert rows(program, "packed") == expected


def test_a_bad_object_of_an_array_is_named_by_its_number(program, data):
    objects = [f'{{"a": {n}}}' for n in range(1_000)]
    objects[700] = '{"a": "x"}'
    objects[800] = '{"a": 8x}'
    for layout in ("[\n  " + ",\n  ".join(objects) + "\n]", "\n{\n".join(["", *(o[1:] for o in objects)])):
        (data / "t.json").write_text(layout)
        early = source(data, sample_rows=10)
        line, _ = program.refused("run", program.job(early, tables=["t.json"]))
        assert "t.json: object 701: column `a`" in line
        done = program.call("run", program.job({**early, "bad_rows": "skip"}, tables=["t.json"]))
        told = "2 rows left out; the first is t.json: object 701: column `a`"
        assert told in done.stderr and told in done.stdout
        assert rows(program, "t", "SELECT count(*), sum(a) FROM data") == ["(998, 498000)"]
        objects[800] = '{"a": 800}'
        objects[700] = '{"a": 700}'
        (data / "t.json").write_text("[" + ",".join(objects))
        for options in ({}, {"bad_rows": "skip"}):
            line, _ = program.refused("run", program.job({**early, **options}, tables=["t.json"]))
            assert "t.json: line 1: the array does not end" in line and "is whole" in line
        objects[700], objects[800] = '{"a": "x"}', '{"a": 8x}'


def test_files_whose_rows_are_all_bad_are_left_out_where_such_rows_are(program, data):
    (data / "t").mkdir()
    (data / "t/1.json").write_text('{"g": 01}\n{"g": 02}\n')
    (data / "t/2.json").write_text('[null, {"g": 1}, {"g": 2}]')
    skips = source(data, bad_rows="skip")
    done = program.call("--json", "run", program.job(skips, tables=["t"]))
    [relation] = json.loads(done.stdout)["relations"]
    assert (relation["rows"], relation["left_out"]["rows"]) == (2, 3)
    told = "t/1.json: no row of it can be read: line 1: not valid JSON"
    assert told in done.stderr
    line, code = program.refused("run", program.job(skips, tables=["t/1.json"]))
    assert told in line and "source.columns" in line and code == 4
    named = source(data, bad_rows="skip", columns={"g": "bigint"})
    [relation] = program.report("run", program.job(named, tables=["t/1.json"]))["relations"]
    assert (relation["rows"], relation["left_out"]["rows"]) == (0, 2)


@pytest.mark.parametrize("depth", [55, 56, 57])
@pytest.mark.parametrize("around", [("[", "]"), ('{"k":', "}")])
def test_values_are_as_deep_as_a_single_file_can_be_or_refused_at_once(program, data, depth, around):
    value = around[0] * depth + "1" + around[1] * depth
    (data / "t.json").write_text(f'{{"a": {value}}}\n')
    job = program.job({"url": f"file://{data}/t.json"}, target={"url": f"file://{program.lake}/out.jsonl"})
    if depth <= 56:
        program.ok("run", job)
        assert json.loads((program.lake / "out.jsonl").read_text()) == json.loads(f'{{"a": {value}}}')
    else:
        line, code = program.refused("run", job)
        assert "more than 56 arrays and objects deep" in line and code == 4


def test_an_array_that_the_sample_did_not_show_is_told_from_lines(program, data):
    line = json.dumps({"a": 1, "pad": "x" * 1_000}) + "\n"
    folder = data / "many"
    folder.mkdir()
    for n in range(20):
        (folder / f"{n:02}.json").write_text(line * 4_000)
    objects = ",\n".join([line.strip()] * 4_000)
    (folder / "05.json").write_text(f"[{objects}]")
    job = program.job(source(data), tables=["many"], chunk={"bytes": 1 << 20})
    refused, _ = program.refused("run", job)
    assert "05.json: its rows are no lines, as those of the files of the sample are" in refused
    job = program.job(source(data), tables=["many"], chunk={"bytes": 64 << 20})
    assert program.report("run", job)["rows"] == 80_000


def test_parquet_and_arrow_arrive_with_their_types(program, data):
    table = pa.table({
        "n": pa.array(range(20_000), pa.int32()),
        "amount": pa.array([None if n % 7 == 0 else n for n in range(20_000)], pa.decimal128(12, 2)),
        "at": pa.array(range(20_000), pa.timestamp("us", "UTC")),
        "words": pa.array(["a", "b", None, "c"] * 5_000).dictionary_encode(),
        "list": pa.array([[n, n + 1] for n in range(20_000)]),
        "bytes": pa.array([b"\x00\xff"] * 20_000),
        "day": pa.array([datetime.date(9999, 12, 31)] * 20_000, pa.date32()),
        "clock": pa.array([datetime.time(23, 59, 59)] * 20_000, pa.time32("s")),
    })  # fmt: skip
    pq.write_table(table, data / "t.parquet", row_group_size=1_000)
    feather.write_feather(table, str(data / "u.arrow"), chunksize=1_000, compression="lz4")
    for name in ["t.parquet", "u.arrow"]:
        job = program.job(source(data), tables=[name], chunk={"bytes": 40_000})
        assert len(program.report("plan", job)["relations"][0]["scans"][0]["chunks"]) > 3
        program.ok("run", job)
        got = pq.read_table(program.lake / name[0]).sort_by("n")
        assert got.num_rows == 20_000
        for column in table.column_names:
            assert got[column].to_pylist() == table[column].to_pylist(), column
        # A look shows the first rows, wherever chunks would be cut.
        [looked] = program.report("preview", data / name, "--rows", 2).values()
        assert [row["n"] for row in looked] == ["0", "1"]


def test_a_look_at_files_needs_no_job(program, data):
    (data / "a.csv").write_text("x,y\n1,é\n")
    (data / "b.json").write_text('{"x": [1, 2]}\n')
    for what, cell in [
        (data / "a.csv", "| 1 | é |"),
        (f"file://{data}/*.csv", "| 1 | é |"),
        (f"file://{data}/b.json", "| [1, 2] |"),
    ]:
        assert cell in program.ok("preview", what)
    line, code = program.refused("preview", data / "none.csv")
    assert "none.csv: no files there" in line and code == 4


def test_folders_are_columns_and_choose_their_files(program, data):
    with duckdb.connect() as database:
        database.execute(
            f"COPY (SELECT n, date '2026-01-01' + (n % 5)::INT AS day, CASE WHEN n % 3 > 0 THEN 'a/b=' || n % 3 END AS kind "
            f"FROM range(1000) t(n)) TO '{data}/parts' (FORMAT parquet, PARTITION_BY (day, kind))"
        )
    (data / "parts/_SUCCESS").write_text("")
    job = program.job(source(data), tables=["parts"])
    program.ok("run", job)
    assert types(program, "parts") == {"n": "int64", "day": "date32[day]", "kind": "string"}
    read = f"SELECT n, day, kind FROM read_parquet('{data}/parts/*/*/*.parquet', hive_partitioning = true)"
    assert rows(program, "parts", "SELECT n, day, kind FROM data") == theirs(read)
    step = {
        "sql": "SELECT kind, count(*) AS c, sum(n) AS s FROM data WHERE day >= DATE '2026-01-04' AND n > 100 GROUP BY kind"
    }
    job = program.job(source(data), relations=[{"table": "parts", "as": "few"}], transform=[step])
    assert "6 of 15 files, by their folders" in program.ok("plan", job)
    program.ok("run", job)
    read = f"SELECT kind, count(*), sum(n)::BIGINT FROM ({read}) WHERE day >= '2026-01-04' AND n > 100 GROUP BY kind"
    assert rows(program, "few", "SELECT kind, c, s::BIGINT FROM data") == theirs(read)


def test_many_files_are_one_relation_whatever_order_their_columns_have(program, data):
    (data / "in").mkdir()
    (data / "in/a.csv").write_text("a,b\n1,x\n")
    (data / "in/b.csv").write_text("b,a\ny,2.5\n")
    (data / "in/c.csv").write_text("a,c\n3,2026-01-01\n")
    for number in range(300):
        (data / f"in/n{number:03}.csv").write_text(f"a\n{number}\n")
    job = program.job(source(data), tables=["in/*.csv"])
    assert len(program.report("plan", job)["relations"][0]["scans"][0]["chunks"]) == 1
    program.ok("run", job)
    assert types(program, "in") == {"a": "double", "b": "string", "c": "date32[day]"}
    assert rows(program, "in", "SELECT count(*), sum(a) FROM data") == [f"(303, {sum(range(300)) + 6.5})"]


def test_a_column_that_is_in_no_file_of_the_sample_is_not_lost(program, data):
    (data / "00.csv").write_text("a\n" + "1234567\n" * (9 << 20))
    for number in range(1, 12):
        # Of twelve files, two are not looked into, when they are large together.
        (data / f"{number:02}.csv").write_text("a,zzz\n3,1\n" if number == 5 else "a\n3\n")
    line, code = program.refused("run", program.job(source(data / "*.csv")))
    assert "05.csv: the column `zzz`" in line and code == 4
    program.ok("run", program.job(source(data / "*.csv", columns={"zzz": "int"}), name="with.yaml"))
    assert rows(program, "with", "SELECT count(*), sum(zzz) FROM data") == [f"({(9 << 20) + 11}, 1)"]


def test_relations_of_files_are_joined_by_the_jobs_sql(program, data):
    for table in ["weather", "planes"]:
        (data / f"{table}.csv").write_text(flights_csv(table))
    pq.write_table(
        pa.table({"manufacturer": ["BOEING", "AIRBUS"], "country": ["US", "EU"]}), data / "makers.parquet"
    )
    sql = "SELECT country, count(*) AS planes FROM planes JOIN makers ON planes.manufacturer = makers.manufacturer GROUP BY 1"
    program.ok(
        "run",
        program.job(
            source(data, csv={"null": "NA"}),
            tables=["planes.csv", "makers.parquet"],
            sql=sql,
            name="job.yaml",
        ),
    )
    assert rows(program, "job") == ["('EU', 336)", "('US', 1630)"]


@pytest.mark.parametrize("lake", ["s3", "azure", "hdfs"], indirect=True)
def test_files_of_every_store_are_read(program, data, lake):
    flights = flights_csv("flights")
    parquet = data / "flights.parquet"
    with duckdb.connect() as database:
        (data / "flights.csv").write_text(flights)
        read = f"read_csv('{data}/flights.csv', nullstr = 'NA', types = {{'time_hour': 'TIMESTAMP'}})"
        database.execute(f"COPY (FROM {read}) TO '{parquet}' (ROW_GROUP_SIZE 20000)")
    lake.put("raw/flights/1.csv", flights.encode())
    lake.put("raw/day=2026-11-20/flights.parquet", parquet.read_bytes())
    listed = program.report("test-connection", program.job(lake.target("raw"), tables=["flights"]))
    assert listed["relations"] == ["day=2026-11-20", "flights"]
    program.ok(
        "run",
        program.job(
            {**lake.target("raw"), "csv": {"null": "NA"}}, tables=["flights"], chunk={"bytes": 5 << 20}
        ),
    )
    assert (
        differences(
            program, "flights", f"SELECT * REPLACE (timezone('UTC', time_hour) AS time_hour) FROM '{parquet}'"
        )
        == 0
    )
    url = lake.target("raw/**/*.parquet")
    step = {"sql": "SELECT carrier, count(*) AS n FROM data WHERE month = 2 GROUP BY carrier"}
    program.ok("run", program.job(url, name="carriers.yaml", transform=[step], chunk={"bytes": 1 << 20}))
    assert rows(program, "carriers") == theirs(
        f"SELECT carrier, count(*) FROM '{parquet}' WHERE month = 2 GROUP BY carrier"
    )
    line, code = program.refused("plan", program.job(lake.target("raw"), tables=["nowhere"]))
    assert "nowhere: no files there" in line and code == 4


def test_a_file_that_changes_between_listing_and_reading_is_not_read(program, data):
    """The run restarts, with what is there now."""
    for number in range(60):
        (data / f"{number:02}.csv").write_text("n\n" + "1\n" * 500_000)
    job = program.job(
        source(data / "*.csv"), name="all.yaml", chunk={"bytes": 1_000_100}, parallel={"chunks": 1}
    )
    daemon = program.start("run", job)
    log = program.folder / "daemon.log"
    wait_for(lambda: any(run["tasks"]["done"] for run in json.loads(program.ok("--json", "runs"))))
    assert daemon.poll() is None, log.read_text()
    # Nobody knows which is read last.
    for number in range(30, 60):
        (data / f"{number}.csv").write_text("n\n" + "2\n" * 500_000)
    assert daemon.wait(120) == 0, log.read_text()
    assert rows(program, "all", "SELECT n, count(*) FROM data GROUP BY n") == [
        "(1, 15000000)",
        "(2, 15000000)",
    ]


@pytest.mark.parametrize("name", ["t.parquet", "t.arrow", "t.csv.gz", "t.csv.zst"])
def test_damaged_files_are_refused_or_read_and_never_worse(program, data, name):
    table = pa.table(
        {
            "n": range(500),
            "t": [str(n) * (n % 9) for n in range(500)],
            "l": [[n] * (n % 3) for n in range(500)],
        }
    )
    plain = "n,t\n" + "".join(f"{n},{n}\n" for n in range(500))
    match name:
        case "t.parquet":
            pq.write_table(table, data / name, row_group_size=100)
        case "t.arrow":
            feather.write_feather(table, str(data / name), chunksize=100)
        case "t.csv.gz":
            (data / name).write_bytes(gzip.compress(plain.encode()))
        case _:
            (data / name).write_bytes(pa.compress(plain.encode(), "zstd", asbytes=True))
    whole = (data / name).read_bytes()
    wild = random.Random(11)
    for attempt in range(40):
        damaged = bytearray(whole if attempt % 4 else whole[: wild.randrange(len(whole))])
        for _ in range(wild.randrange(4)):
            if damaged:
                damaged[wild.randrange(len(damaged))] = wild.randrange(256)
        (data / name).write_bytes(damaged)
        done = program.call("--json", "preview", data / name, "--rows", 1000, seconds=30)
        assert "thread '" not in done.stderr and done.returncode in (0, 4), (
            done.returncode,
            done.stderr[-500:],
        )


@pytest.mark.parametrize(
    "keys, relation, words",
    [
        ({}, {"query": "SELECT 1", "as": "x"}, "`relations[0].query`: files have no queries of their own"),
        ({}, {"table": "../x"}, "leads out of `source.url`"),
        ({}, {"table": "*.csv"}, "gives no name"),
        ({}, {"table": "t.csv", "chunk_by": "a"}, "files are not cut by a column"),
        ({"csv": {"delimter": ";"}}, {"table": "t.csv"}, "unknown key `source.csv.delimter`"),
        ({"columns": {"a": "strng"}}, {"table": "t.csv"}, "`source.columns.a`: `strng` is not a type"),
        ({"columns": {"z": "int"}}, {"table": "t.csv"}, "`source.columns.z`: the files have no such column"),
        ({"format": "xlsx"}, {"table": "t.csv"}, "`source.format`"),
        ({"s3": {}}, {"table": "t.csv"}, "`source.s3` is given, and `source.url` is `file:`"),
        ({}, {"table": "notes.txt"}, "its format is not told by its name"),
        ({}, {"table": "mixed"}, "are not of one format"),
        ({"format": "parquet"}, {"table": "t.csv"}, "t.csv: cannot be read as Parquet"),
        ({"format": "arrow"}, {"table": "t.csv"}, "t.csv: cannot be read as an Arrow IPC file"),
        ({"compression": "gzip"}, {"table": "t.csv"}, "cannot be unpacked"),
        ({}, {"table": "twice.csv"}, "two columns are called `a`"),
        ({}, {"table": "latin.csv"}, "is not UTF-8"),
        ({}, {"table": "open.csv"}, "the quotes of a value in the record at byte 8 are not closed"),
        ({}, {"table": "empty.csv"}, "no columns in it"),
        ({}, {"table": "twice.arrow"}, "twice.arrow: two columns are called `a`"),
        ({}, {"table": "twice.parquet"}, "twice.parquet: two columns are called `a`"),
        ({}, {"table": "uneven.csv"}, "line 3 has 3 values, and there are 2 columns"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(program, data, keys, relation, words):
    (data / "t.csv").write_text("a,b\n1,2\n")
    (data / "notes.txt").write_text("hello\n")
    (data / "mixed").mkdir()
    (data / "mixed/a.csv").write_text("a\n1\n")
    (data / "mixed/b.json").write_text('{"a": 1}\n')
    (data / "twice.csv").write_text("a,a\n1,2\n")
    (data / "latin.csv").write_bytes("a\nné\n".encode("latin-1"))
    (data / "open.csv").write_text('a,b\n1,2\n3,"4\n')
    (data / "empty.csv").write_text("")
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, data / "twice.parquet")
    with pa.OSFile(str(data / "twice.arrow"), "wb") as out, pa.ipc.new_file(out, twice.schema) as writer:
        writer.write_table(twice)
    (data / "uneven.csv").write_text("a,b\n1,2\n1,2,3\n")
    line, code = program.refused("plan", program.job(source(data, **keys), relations=[relation]))
    assert words in line, line
    assert code in (2, 4)


def test_a_look_at_files_is_not_steered_by_what_is_in_them(program):
    path = program.folder / "rows.json"
    rows = [{"a\u001b[2J": "\u001b[31mred\r\nline", "long": "x" * 5_000}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = program.ok("preview", f"file://{path}")
    assert "\x1b" not in shown and "\r" not in shown and "x" * 100 + "…" in shown and "x" * 101 not in shown
    [[row]] = program.report("preview", f"file://{path}").values()
    assert row["long"] == "x" * 5_000


def test_months_of_an_interval_in_parquet_are_not_lost(program):
    path = program.folder / "intervals.parquet"
    with duckdb.connect() as database:
        database.sql(
            f"COPY (SELECT 1 AS id, INTERVAL '3 days 2 seconds' AS v UNION ALL SELECT 2, INTERVAL '1 year 2 months')"
            f" TO '{path}' (FORMAT parquet)"
        )
    job = program.job({"url": f"file://{path}"}, target={"url": f"file://{program.lake}", "format": "csv"})
    said, code = program.refused("run", job)
    assert "row 2, column `v`: an interval of 14 months would lose them" in said and code == 4, said
    only = program.job({"url": f"file://{path}"}, transform=[{"sql": "SELECT id FROM data"}])
    assert program.report("run", only)["rows"] == 2
    few = [{"sql": "SELECT id, v FROM data WHERE id = 1"}]
    assert "14 months" in program.refused("run", program.job({"url": f"file://{path}"}, transform=few))[0]
