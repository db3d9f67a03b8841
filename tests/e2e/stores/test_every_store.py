"""The same promises on every kind of store, each a real server."""

import io
import json
import threading
import time
from urllib.parse import quote, unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.blake3 import blake3
from support.longshore import runs
from support.stores import Hdfs, Sftp, job, rows, visible
from support.wait import wait_for


def test_a_run_is_published_with_its_manifest_and_nothing_else(program, lake, folder):
    report = program.report(
        "run",
        job(
            program,
            lake,
            folder,
            tables=["orders", "nation"],
            chunk={"rows": 4000},
            target={"compression": "zstd"},
        ),
    )
    files = lake.files(folder)
    if isinstance(lake, Hdfs):
        assert files == lake.files_by_hadoop(folder)
    assert rows(files, "orders") == 15_000 and rows(files, "nation") == 25
    hidden = set(files) - set(visible(files))
    assert hidden == {f".longshore/runs/{report['run']}.json"}, "a leftover"
    manifest = json.loads(files[f".longshore/runs/{report['run']}.json"])
    for relation in manifest["relations"]:
        for part in relation["parts"]:
            data = files[f"{relation['published_as']}/{part['file']}"]
            assert (len(data), f"blake3:{blake3(data)}") == (part["bytes"], part["checksum"])
            assert set(part) == {"chunk", "file", "rows", "bytes", "checksum"}
    assert len(manifest["relations"][0]["parts"]) > 1
    if hasattr(lake, "open_uploads"):
        assert lake.open_uploads(f"{folder}/") == []


def test_verify_tells_whether_it_is_still_what_was_written(program, lake, folder):
    file = job(program, lake, folder, tables=["nation"])
    report = program.report("run", file)
    manifest = report["manifest"]
    assert "intact" in program.ok("verify", manifest, "--job", file)
    path = next(path for path in visible(lake.files(folder)))
    lake.put(f"{folder}/{path}", b"something else")
    done = program.call("verify", manifest, "--job", file)
    assert done.returncode == 4 and "14 bytes" in done.stderr, done.stderr
    answer = json.loads(program.call("--json", "verify", manifest, "--job", file).stdout)
    assert answer["intact"] is False and len(answer["faults"]) == 1


def test_what_is_new_is_added_and_a_lost_watermark_is_found(program, lake, folder):
    data = program.folder / "data"
    data.mkdir()
    source, orders = {"url": f"file://{data}/"}, {"table": "*.csv", "as": "orders"}
    relations = [{**orders, "incremental": {"by": "modified"}}]
    file = job(program, lake, folder, source=source, relations=relations, target={"mode": "append"})
    (data / "a.csv").write_text("id\n1\n2\n")
    assert program.report("run", file)["rows"] == 2
    before = visible(lake.files(folder))
    assert program.report("run", file)["rows"] == 0
    assert visible(lake.files(folder)) == before, "nothing is added"
    (data / "b.csv").write_text("id\n3\n")
    for ledger in (program.folder / "state").glob("ledger.sqlite*"):
        ledger.unlink()
    assert program.report("run", file)["rows"] == 1
    assert rows(lake.files(folder), "orders") == 3


def test_what_is_there_is_kept_and_the_new_one_gets_a_version(program, lake, folder):
    lake.put(f"{folder}/nation/mine.txt", b"mine")
    file = job(program, lake, folder, tables=["nation"])
    for name in ["nation_v2", "nation_v3"]:
        assert program.report("run", file)["relations"][0]["published_as"] == name
    files = lake.files(folder)
    assert files["nation/mine.txt"] == b"mine"
    assert rows(files, "nation_v2") == rows(files, "nation_v3") == 25


def test_two_runs_at_once_get_two_versions(program, lake, folder):
    file = job(program, lake, folder, tables=["region"])
    running = [program.start("--json", "run", file) for _ in range(3)]
    assert [run.wait(120) for run in running] == [0, 0, 0]
    files = visible(lake.files(folder))
    assert {path.rpartition("/")[0] for path in files} == {"region", "region_v2", "region_v3"}
    assert all(rows(files, name) == 5 for name in ["region", "region_v2", "region_v3"])


def test_append_adds_and_replace_replaces(program, lake, folder):
    names = {}
    for mode, count in [("append", 5), ("append", 10), ("replace", 5), ("append", 10), ("replace", 5)]:
        program.ok("run", job(program, lake, folder, tables=["region"], target={"mode": mode}))
        files = visible(lake.files(folder))
        assert rows(files, "region") == count, mode
        assert {path.rpartition("/")[0] for path in files} == {"region"}
        if mode == "replace":
            assert not set(names) & set(files), "parts of the old one"
        names = files
    left = [path for path in lake.files(folder) if path.startswith(".longshore/") and "/runs/" not in path]
    assert all(path.startswith(".longshore/replaced/") for path in left), left


def test_columns_that_change_are_aligned_or_become_a_version(program, lake, folder):
    schema = {"on_added": "evolve", "on_removed": "keep", "on_narrowed": "version"}

    def run(sql):
        target = {"mode": "append"}
        file = job(
            program, lake, folder, tables=["region"], schema=schema, target=target, transform=[{"sql": sql}]
        )
        return program.report("run", file)["relations"][0]

    run("SELECT r_regionkey AS k, r_name AS n FROM data")
    drift = run("SELECT r_comment AS c, r_regionkey AS k FROM data")["drift"]
    assert [(own["kind"], own["column"]) for own in drift] == [("removed", "n"), ("added", "c")]
    for count in [5, 10]:
        assert run("SELECT CAST(r_regionkey AS text) AS k FROM data")["published_as"] == "region_v2"
        assert rows(visible(lake.files(folder)), "region_v2") == count
    files = visible(lake.files(folder))
    columns = [
        pq.read_schema(io.BytesIO(data)).names for path, data in files.items() if path.startswith("region/")
    ]
    assert sorted(columns) == [["k", "n"], ["k", "n", "c"]]


def test_mode_error_refuses_before_anything_is_read(program, lake, folder):
    lake.put(f"{folder}/nation/x", b"x")
    file = job(program, lake, folder, tables=["nation"], target={"mode": "error"})
    line, code = program.refused("run", file)
    assert code == 2 and "already there" in line and "mode: version" in line
    assert visible(lake.files(folder)) == {"nation/x": b"x"}


def test_a_run_that_fails_leaves_nothing(program, lake, folder, flights):
    query = "SELECT n, 1 / (n - 40000) AS x FROM generate_series(1, 50000) AS n"
    relations = [{"query": query, "as": "broken"}, {"table": "airlines"}]
    source = {"url": flights.url(), "password": {"env": "PGPASSWORD"}}
    _, code = program.refused("run", job(program, lake, folder, source=source, relations=relations))
    assert code == 4
    assert lake.files(folder) == {}
    if hasattr(lake, "open_uploads"):
        assert lake.open_uploads(f"{folder}/") == []


def test_large_parts_arrive_whole(program, lake, folder, server):
    # Beyond several pieces of an upload, and not to be compressed.
    query = "SELECT n, md5(n::text) || md5((n * 7)::text) || md5((n * 11)::text) AS noise FROM generate_series(1, 300000) n"
    source = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    report = program.report(
        "run",
        job(
            program,
            lake,
            folder,
            source=source,
            query=query,
            name="large.yaml",
            target={"compression": "none"},
        ),
    )
    assert report["bytes"] > 25_000_000
    files = lake.files(folder)
    table = pq.read_table(io.BytesIO(next(data for path, data in files.items() if path.startswith("large/"))))
    assert table.num_rows == 300_000
    assert sorted(table["n"].to_pylist()) == list(range(1, 300_001))


@pytest.mark.parametrize("format", ["csv", "json", "arrow"])
def test_other_formats_go_there_too(program, lake, folder, format):
    program.ok("run", job(program, lake, folder, tables=["region"], target={"format": format}))
    files = visible(lake.files(folder))
    [(path, data)] = files.items()
    assert path.endswith({"csv": ".csv", "json": ".jsonl", "arrow": ".arrow"}[format])
    assert b"AMERICA" in data


def test_a_listing_never_shows_half_a_relation(program, lake, folder):
    """A watcher lists all the while; what it sees of a relation is nothing or everything."""
    if not lake.renames:
        pytest.skip("object stores complete part after part: a single part is the unit there")
    if isinstance(lake, Hdfs):
        pytest.skip("seen in faults/test_crash.py")
    seen, over = [], threading.Event()
    root = getattr(lake, "root", lake.folder) / folder

    def watch():
        while not over.is_set():
            seen.append(lake.listing(root))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        program.ok("run", job(program, lake, folder, tables=["orders"], chunk={"rows": 500}))
        time.sleep(0.2)
    finally:
        over.set()
        watcher.join()
    sizes = {len(files) for files in seen}
    assert len(sizes - {0}) == 1 and len(seen) > 3, sizes


def test_a_single_part_is_not_seen_before_the_commit(program, lake, folder):
    """A run that is killed after its parts are written shows nothing, and its retry cleans up."""
    file = job(
        program,
        lake,
        folder,
        tables=["orders"],
        source={"url": "tpch:", "scale": 5, "text_mib": 1},
        chunk={"rows": 100_000},
    )
    run = program.start("run", file)
    wait_for(lambda: any(run["tasks"]["done"] for run in runs(program)))
    run.kill()
    run.wait()
    assert visible(lake.files(folder)) == {}
    [left] = runs(program)
    assert left["state"] == "interrupted"


def test_unicode_and_blanks_in_names(program, lake, folder, server):
    with server.connect() as connection:
        connection.execute('CREATE TABLE IF NOT EXISTS "Ünïcode und Leer %20" AS SELECT 1 AS a')
    source = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    file = job(program, lake, folder, source=source, tables=['"Ünïcode und Leer %20"'])
    report = program.report("run", file)
    assert len(visible(lake.files(folder))) == 1
    assert "intact" in program.ok("verify", report["manifest"], "--job", file)


#: What a folder's name cannot hold as it is, and what it tells nothing of.
KINDS = ["plain", "a/b=c:d", "50%", "größe ☃", "it's #1?", "", None]

APART = (
    "SELECT n, n % 3 AS part, (ARRAY['plain','a/b=c:d','50%','größe ☃','it''s #1?','',NULL])[n % 7 + 1] AS kind "
    "FROM generate_series({}, {}) n"
)


def apart(files, relation):
    """The rows of a relation's files, with what their folders say."""
    found = []
    for path, data in files.items():
        name, *folders, _ = path.split("/")
        if name != relation:
            continue
        told = {key: unquote(value) for key, _, value in (folder.partition("=") for folder in folders)}
        assert list(told) == ["part", "kind"], path
        table = pq.read_table(io.BytesIO(data))
        assert table.column_names == ["n"]
        kind = None if told["kind"] == "__HIVE_DEFAULT_PARTITION__" else told["kind"]
        found += [(n, int(told["part"]), kind) for n in table["n"].to_pylist()]
    return sorted(found, key=lambda row: row[0])


def expected(first, last):
    return [(n, n % 3, KINDS[n % 7] or None) for n in range(first, last + 1)]


def test_rows_lie_in_the_folders_of_their_values(program, lake, folder, server):
    source = {"url": server.url(), "password": {"env": "PGPASSWORD"}}
    by = {"partition_by": ["part", "kind"]}

    def run(first, last, mode, name="orders"):
        table = f"apart_{first}_{last}"
        with server.connect() as connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} AS {APART.format(first, last)}")
            connection.execute(f"ANALYZE {table}")
        relations = [{"table": table, "as": name, "chunk_by": "n"}]
        file = job(
            program,
            lake,
            folder,
            source=source,
            relations=relations,
            chunk={"rows": 100},
            target={**by, "mode": mode},
        )
        return file, program.report("run", file)

    file, report = run(1, 400, "version")
    assert report["relations"][0]["parts"] > 21
    assert apart(visible(lake.files(folder)), "orders") == expected(1, 400)
    assert "intact" in program.ok("verify", report["manifest"], "--job", file)
    assert "intact" in program.ok("verify", report["manifest"], "--job", file, "--source")
    run(401, 500, "append")
    assert apart(visible(lake.files(folder)), "orders") == expected(1, 500)
    assert run(1, 10, "version")[1]["relations"][0]["published_as"] == "orders_v2"
    # Folders whose values are no more are gone.
    run(7, 9, "replace")
    files = visible(lake.files(folder))
    assert (
        apart(files, "orders") == expected(7, 9)
        and len([path for path in files if path.startswith("orders/")]) == 3
    )
    assert apart(files, "orders_v2") == expected(1, 10)
    _, code = program.refused(
        "run",
        job(
            program, lake, folder, source=source, relations=[{"query": "SELECT 1 AS n", "as": "o"}], target=by
        ),
    )
    assert code == 2
    empty = [{"query": APART.format(2, 1), "as": "none"}]
    program.ok("run", job(program, lake, folder, source=source, relations=empty, target=by))
    assert not [path for path in visible(lake.files(folder)) if path.startswith("none/")]
    if not isinstance(lake, Sftp):
        back = {**lake.target(f"{folder}/orders_v2"), "format": "parquet"}
        program.ok("run", program.job(back, "back.yaml"))
        own = pq.read_table(program.lake / "back").to_pylist()
        assert sorted(
            ((row["n"], row["part"], row["kind"]) for row in own), key=lambda row: row[0]
        ) == expected(1, 10)


#: Names that mean something somewhere: in a URL, a pattern, a shell, XML, a store's own paths.
HOSTILE = [
    " a b ", "50%", "%25", "..%2f", ".hidden", "x#1", "q?", "*", "[ab]", "{a,b}", "it's \"`$x`\"", "a=b", "1+1", "a&amp;b;<c>|d",
    "a:b", "~me@x", "^!--", "a\\b", "\u00e9", "e\u0301", "🦀\u202e\ufeff\u00a0", "x.parquet", "Case", "case", "last.", "n" * 200,
]  # fmt: skip


def place_of(lake, path):
    """The target of a path of names, each of which is encoded as a whole."""
    return lake.target("/".join(quote(name, safe="") for name in path))


def test_a_name_is_the_same_wherever_it_is_written_verified_previewed_and_read(program, lake, folder):
    """Of the place's folders, of the relation, and of a partition's value."""
    path = [folder, *(name for name in HOSTILE if not lake.CANNOT_HOLD.search(name))]
    names = [name for name in path[1:] if not name.startswith(".")]
    data = program.folder / "data"
    data.mkdir()
    written = {}
    for number, name in enumerate(names):
        written[name] = [(str(n), kind) for n, kind in enumerate(HOSTILE)][number :: len(names)]
        pq.write_table(
            pa.table(dict(zip(["n", "kind"], zip(*written[name], strict=True), strict=True))),
            data / f"{number}.parquet",
        )
    job = program.job(
        {"url": f"file://{data}/"},
        target={**place_of(lake, path), "partition_by": ["kind"]},
        relations=[{"table": f"{number}.parquet", "as": name} for number, name in enumerate(names)],
    )
    report = program.report("run", job)
    root = "/".join(path[1:]) + "/"
    files = [file.removeprefix(root).split("/") for file in lake.files(folder)]
    found = sorted((name, unquote(inner)) for name, inner, _ in files)
    assert found == sorted(
        [(name, f"kind={kind}") for name in names for _, kind in written[name]] + [(".longshore", "runs")]
    )
    assert "intact" in program.ok("verify", report["manifest"], "--job", job)
    place, hidden, file = report["manifest"].partition(".longshore/")
    # The same place, with all encoded that can be.
    assert "intact" in program.ok("verify", place_of(lake, path)["url"] + "/" + hidden + file, "--job", job)
    if isinstance(lake, Sftp):
        line, code = program.refused("preview", place)
        assert "files cannot be read over sftp" in line and "s3://" in line and code == 2, line
        return
    source = place_of(lake, path)
    again = [{"table": name, "as": f"t{number}"} for number, name in enumerate(names)]
    job = program.job({**source, "url": source["url"] + "/"}, "again.yaml", relations=again)
    seen = {
        name: sorted((row["n"], row["kind"]) for row in rows)
        for name, rows in program.report("preview", job).items()
    }
    assert seen == {f"t{number}": sorted(written[name]) for number, name in enumerate(names)}
    program.ok("run", program.job({**source, "url": source["url"] + "/"}, "again.yaml", relations=again[::5]))
    for number, name in list(enumerate(names))[::5]:
        rows = pq.read_table(program.lake / f"t{number}", partitioning=None).to_pylist()
        assert sorted((row["n"], row["kind"]) for row in rows) == sorted(written[name]), name


def test_a_name_that_a_store_cannot_hold_is_refused_before_anything_is_written(program, lake, folder):
    unfit = [name for name in HOSTILE if lake.CANNOT_HOLD.search(name)]
    wrong = (
        [([folder, name], "t") for name in unfit]
        + [([folder], name) for name in unfit]
        + [([folder, "n" * 1000], "t")]
    )
    (program.folder / "t.csv").write_text("n\n1\n")
    for path, relation in wrong:
        relations = [{"table": "t.csv", "as": relation}]
        job = program.job(
            {"url": f"file://{program.folder}/"}, target=place_of(lake, path), relations=relations
        )
        line, code = program.refused(
            "run", job, env={"LONGSHORE_RETRIES": "0", "LONGSHORE_RELATION_RETRIES": "0"}
        )
        # An SFTP server does not say what it cannot do.
        assert code == (6 if isinstance(lake, Sftp) else 2) and "next: " in line, line
        assert (relation if relation in unfit else path[-1][:200]) in line, line
    assert lake.files(folder) == {}


def test_rows_in_quarantine_become_visible_with_the_run_or_not_at_all(program, lake, folder):
    few = {"severity": "quarantine", "range": {"column": "n_regionkey", "min": 1}}
    checks = [few, {"name": "none", "severity": "warn", "rows": {"max": 1}}]
    report = program.report("run", job(program, lake, folder, tables=["nation"], checks=checks))
    files = lake.files(folder)
    beside = f".longshore/quarantine/nation/{report['run']}"
    assert (rows(files, "nation"), rows(files, beside)) == (20, 5)
    assert {path.rpartition("/")[0] for path in files} == {"nation", beside, ".longshore/runs"}
    program.refused("run", job(program, lake, folder, tables=["nation"], checks=[{**few, "allow": 4}]))
    assert set(lake.files(folder)) == set(files), "a leftover"
    if hasattr(lake, "open_uploads"):
        assert lake.open_uploads(f"{folder}/") == []
