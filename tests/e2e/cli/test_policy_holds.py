"""A policy goes before the job: whatever key names a place or a secret, what it forbids is refused and never opened."""

import copy
import ctypes
import json
import os
import signal

import pytest

from support.daemon import PATIENCE, Daemon, drop, endings, lives, log, settled
from support.longshore import QUICK, only, rows_job
from support.wait import wait_for

#: What stands in every file that nobody may read.
CANARY = "c4n4ry"

IN_ACCESS, IN_OPEN = 0x1, 0x20


class Watched:
    """Files that the kernel tells of when anybody opens them."""

    def __init__(self):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)

    def add(self, path):
        assert self.libc.inotify_add_watch(self.fd, os.fsencode(path), IN_ACCESS | IN_OPEN) >= 0, path

    def opened(self):
        try:
            return bool(os.read(self.fd, 65_536))
        except BlockingIOError:
            return False


class Vault:
    """A folder that is none of a job's business, beside those that are."""

    def __init__(self, program):
        self.folder = program.folder / "place"
        self.folder.mkdir()
        for name in ["vault", "vault/nested", "data", "data-evil", "out", "out-evil"]:
            (self.folder / name).mkdir()
        self.watched = Watched()
        text = f"id,name\n1,{CANARY}\n"
        for place in [
            "vault/canary.csv",
            "vault/nested/canary.csv",
            "data-evil/canary.csv",
            "vault/canary.sql",
            "vault/key",
        ]:
            self.put(place, f"SELECT '{CANARY}' AS canary" if place.endswith("sql") else text)
        (self.folder / "data/fine.csv").write_text("id\n1\n2\n")
        (self.folder / "data/link.csv").symlink_to("../vault/canary.csv")
        (self.folder / "data/links").symlink_to("../vault")
        (self.folder / "out/links").symlink_to("../vault")
        (self.folder / "link.sql").symlink_to("vault/canary.sql")
        self.before = self.written()

    def put(self, place, text):
        (self.folder / place).write_text(text)
        self.watched.add(self.folder / place)

    def written(self):
        places = ["vault", "out-evil"]
        return sorted(str(path) for place in places for path in (self.folder / place).rglob("*"))

    def is_untouched(self):
        return not self.watched.opened() and self.written() == self.before

    def fill(self, value):
        """A job's keys, with `HERE` for the folder."""
        return json.loads(json.dumps(value).replace("HERE", str(self.folder)))


@pytest.fixture
def vault(program):
    vault = Vault(program)
    yield vault
    os.close(vault.watched.fd)


def policy(program, *rules, plugin="*"):
    path = program.folder / "policy.toml"
    text = "".join(f"[[rule]]\nplugin = '{plugin}'\n{rule}\n" for rule in rules)
    path.write_text(text.replace("HERE", f"{program.folder}/place"))
    program.env["LONGSHORE_POLICY"] = str(path)


def forbidden(program, vault, *args, or_config=False, **options):
    """What a refusal says; nothing that is forbidden was opened, and nothing of it is told."""
    line, code = program.refused(*args, env={**QUICK, **options.pop("env", {})}, seconds=60)
    assert CANARY not in line, line
    assert vault.is_untouched(), line
    if not (or_config and code == 2):
        assert code == 5 and "the policy forbids it" in line and "policy.toml" in line, (code, line)
    return line


AZURE = {"account": "a", "endpoint": "http://127.0.0.1:1/a"}


# Keys that name places to read from

READ = {
    "a file": {"url": "file://HERE/vault/canary.csv"},
    "a folder": ({"url": "file://HERE/vault"}, {"tables": ["canary.csv"]}),
    "a folder's folder": ({"url": "file://HERE/"}, {"tables": ["vault/canary.csv"]}),
    "a pattern": {"url": "file://HERE/vault/*.csv"},
    "a pattern of folders": {"url": "file://HERE/*/canary.csv"},
    "a pattern of tables": ({"url": "file://HERE/"}, {"tables": ["v*/canary.csv"]}),
    "any folders": ({"url": "file://HERE/"}, {"relations": [{"table": "**/canary.csv", "as": "x"}]}),
    "a link": {"url": "file://HERE/data/link.csv"},
    "a link as a table": ({"url": "file://HERE/data"}, {"tables": ["link.csv"]}),
    "a link to a folder": {"url": "file://HERE/data/links/canary.csv"},
    "a link to a folder as a table": ({"url": "file://HERE/data"}, {"tables": ["links"]}),
    "a pattern that finds links": ({"url": "file://HERE/data"}, {"tables": ["*/canary.csv"]}),
    "dots": {"url": "file://HERE/data/../vault/canary.csv"},
    "dots in disguise": {"url": "file://HERE/data/%2e%2e/vault/canary.csv"},
    "two slashes": {"url": "file://HERE//vault/canary.csv"},
    "a name that begins alike": {"url": "file://HERE/data-evil/canary.csv"},
    "capitals": {"url": "FILE://HERE/vault/canary.csv"},
    "this machine by name": {"url": "file://localhostHERE/vault/canary.csv"},
    "the process's own folder": {"url": "file:///proc/self/cwd/place/vault/canary.csv"},
    "s3": {"url": "s3://vault/x.csv", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "s3a": {"url": "s3a://vault/x.csv", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "a bucket that begins alike": {"url": "s3://lake-evil/x.csv", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "a prefix that begins alike": {
        "url": "s3://lake/shop-evil/x.csv",
        "s3": {"endpoint": "http://127.0.0.1:1"},
    },
    "dots in a bucket": {"url": "s3://lake/shop/%2e%2e/x.csv", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "azure": {"url": "azure://vault/x.csv", "azure": AZURE},
    "abfss": {"url": "abfss://vault@account.dfs.core.windows.net/x.csv"},
    "hdfs": {"url": "hdfs://127.0.0.1:1/vault/x.csv"},
}


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_a_source_elsewhere_is_refused_and_not_opened(request, program, vault, case):
    policy(only(program), 'read = ["file://HERE/data", "s3://lake/shop"]')
    source, keys = case if isinstance(case, tuple) else (case, {})
    forbidden(
        program,
        vault,
        "run",
        program.job(vault.fill(source), **keys),
        or_config="dots" in request.node.callspec.id,
    )
    assert program.published() == []


FILES = {
    "sql_file": {"sql_file": "FILE"},
    "transform.sql_file": {"transform": [{"sql_file": "FILE"}]},
    "second transform.sql_file": {"transform": [{"sql": "SELECT * FROM data"}, {"sql_file": "FILE"}]},
    "query_file": {"query_file": "FILE"},
    "relations.query_file": {"relations": [{"query_file": "FILE", "as": "q"}]},
}
SPELLINGS = {
    "absolute": "HERE/vault/canary.sql",
    "relative": "place/vault/canary.sql",
    "dots": "place/data/../vault/canary.sql",
    "by a link": "place/link.sql",
    "by a linked folder": "place/data/links/canary.sql",
    "the process's own folder": "/proc/self/cwd/place/vault/canary.sql",
    "a device": "/dev/zero",
    "nothing there": "HERE/vault/nothing.sql",
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
@pytest.mark.parametrize("keys", FILES.values(), ids=FILES)
def test_a_query_file_elsewhere_is_refused_and_not_opened(program, vault, keys, spelling):
    policy(only(program), 'read = ["file://HERE/data"]')
    source = {
        "url": "postgres://nobody@127.0.0.1:1/x"
        if "query_file" in json.dumps(keys)
        else "file://HERE/data/fine.csv"
    }
    keys = vault.fill(json.loads(json.dumps(keys).replace("FILE", spelling)))
    line = forbidden(program, vault, "run", program.job(vault.fill(source), **keys))
    # Whether there is such a file is nobody's business either.
    assert "No such file" not in line


def test_beside_the_job_file_means_beside_it(program, vault):
    policy(only(program), 'read = ["inbox:", "file://HERE/data"]')
    jobs = program.folder / "jobs"
    jobs.mkdir()
    (jobs / "q.sql").write_text("SELECT id FROM data")
    (jobs / "link.sql").symlink_to("../place/vault/canary.sql")
    source = vault.fill({"url": "file://HERE/data/fine.csv"})
    assert (
        program.report("run", program.job(source, "jobs/a.yaml", transform=[{"sql_file": "q.sql"}]))["rows"]
        == 2
    )
    assert (
        program.report(
            "run", program.job(source, "jobs/b.yaml", transform=[{"sql_file": str(jobs / "q.sql")}])
        )["rows"]
        == 2
    )
    for file in [
        "link.sql",
        "../place/vault/canary.sql",
        "../place/link.sql",
        str(vault.folder / "vault/canary.sql"),
    ]:
        forbidden(program, vault, "run", program.job(source, "jobs/c.yaml", transform=[{"sql_file": file}]))
    policy(program, 'read = ["file://HERE/data"]')
    forbidden(program, vault, "run", program.job(source, "jobs/a.yaml", transform=[{"sql_file": "q.sql"}]))


@pytest.mark.parametrize("command", ["plan", "preview", "test-connection", "validate"])
@pytest.mark.parametrize("key", ["source", "sql_file"])
def test_every_command_is_held_to_it(program, vault, command, key):
    policy(only(program), 'read = ["file://HERE/data"]')
    if key == "source":
        job = program.job(vault.fill({"url": "file://HERE/vault/canary.csv"}))
    else:
        job = program.job(
            vault.fill({"url": "file://HERE/data/fine.csv"}), sql_file=vault.fill("HERE/vault/canary.sql")
        )
    forbidden(program, vault, command, job)


@pytest.mark.parametrize(
    "read",
    ["[]", '["file://HERE/other"]', '["s3://lake"]', '["inbox:"]'],
    ids=["none", "other", "s3", "inbox"],
)
def test_what_no_rule_names_is_not_read(program, vault, read):
    policy(only(program), f"read = {read}")
    (program.folder / "jobs").mkdir()
    forbidden(
        program, vault, "run", program.job(vault.fill({"url": "file://HERE/data/fine.csv"}), "jobs/job.yaml")
    )


ALLOWED = {
    "a folder": 'read = ["file://HERE/data"]',
    "a slash behind it": 'read = ["file://HERE/data/"]',
    "the folder above": 'read = ["file://HERE"]',
    "all of this machine": 'read = ["file:///"]',
    "one of several": 'read = ["s3://lake", "file://HERE/data"]',
    "absent": "secrets = []",
    "by way of a link": 'read = ["file://HERE/way"]',
}


@pytest.mark.parametrize("rule", ALLOWED.values(), ids=ALLOWED)
@pytest.mark.parametrize("pattern", ["fine.csv", "f*.csv"])
def test_what_a_policy_lets_read_is_read(program, vault, rule, pattern):
    (vault.folder / "way").symlink_to("data")
    policy(only(program), rule)
    assert program.report("run", program.job(vault.fill({"url": f"file://HERE/data/{pattern}"})))["rows"] == 2
    assert vault.is_untouched()


def test_all_rules_hold_together(program, vault):
    policy(only(program), 'read = ["file://HERE/data", "file://HERE/vault"]', 'read = ["file://HERE/data"]')
    assert program.report("run", program.job(vault.fill({"url": "file://HERE/data/fine.csv"})))["rows"] == 2
    forbidden(program, vault, "run", program.job(vault.fill({"url": "file://HERE/vault/canary.csv"})))


def test_a_database_file_elsewhere_is_refused_and_not_opened(program, vault):
    policy(only(program, "odbc"), 'read = ["file://HERE/data"]')
    forbidden(
        program,
        vault,
        "run",
        program.job(vault.fill({"url": "sqlite://HERE/vault/canary.csv"}), tables=["t"]),
    )


# Keys that name places to write to

WRITE = {
    "a folder": {"url": "file://HERE/vault"},
    "a new folder": {"url": "file://HERE/vault/new"},
    "the folder above": {"url": "file://HERE"},
    "a link": {"url": "file://HERE/out/links"},
    "beneath a link": {"url": "file://HERE/out/links/new"},
    "dots": {"url": "file://HERE/out/../vault"},
    "dots in disguise": {"url": "file://HERE/out/%2e%2e/vault"},
    "a name that begins alike": {"url": "file://HERE/out-evil"},
    "this machine by name": {"url": "file://localhostHERE/vault"},
    "the process's own folder": {"url": "file:///proc/self/cwd/place/vault"},
    "s3": {"url": "s3://vault/x", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "a prefix that begins alike": {"url": "s3://lake/shop-evil", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "a bucket's root": {"url": "s3://lake", "s3": {"endpoint": "http://127.0.0.1:1"}},
    "azure": {"url": "azure://vault/x", "azure": AZURE},
    "hdfs": {"url": "hdfs://127.0.0.1:1/vault"},
    "sftp": {"url": "sftp://loader@127.0.0.1:1/vault"},
}


@pytest.mark.parametrize("target", WRITE.values(), ids=WRITE)
def test_a_target_elsewhere_is_refused_and_not_touched(request, program, vault, target):
    policy(only(program), 'write = ["file://HERE/out", "s3://lake/shop"]')
    dots = "dots" in request.node.callspec.id
    for mode in ["version", "replace"]:
        forbidden(
            program,
            vault,
            "run",
            rows_job(program, target=vault.fill({**target, "mode": mode})),
            or_config=dots,
        )


@pytest.mark.parametrize(
    "rule", ['write = ["file://HERE/out"]', 'write = ["file:///"]', 'read = ["file:///"]']
)
def test_what_a_policy_lets_write_is_written(program, vault, rule):
    policy(only(program), rule)
    report = program.report("run", rows_job(program, target=vault.fill({"url": "file://HERE/out/new/lake"})))
    assert report["rows"] == 3 and vault.is_untouched()


def test_reading_is_not_writing(program, vault):
    policy(only(program), 'read = ["file://HERE"]\nwrite = []')
    forbidden(program, vault, "run", rows_job(program, target=vault.fill({"url": "file://HERE/out"})))
    policy(program, 'write = ["file://HERE"]\nread = []')
    forbidden(program, vault, "run", rows_job(program, target=vault.fill({"url": "file://HERE/out"})))


@pytest.mark.parametrize("target", WRITE.values(), ids=WRITE)
def test_a_connection_is_not_tested_where_nothing_may_be_written(request, program, vault, target):
    policy(only(program), 'write = ["file://HERE/out", "s3://lake/shop"]')
    dots = "dots" in request.node.callspec.id
    forbidden(program, vault, "test-connection", rows_job(program, target=vault.fill(target)), or_config=dots)


# Sinks: `write` holds for what they write to as well

#: A target, and what may be written instead: nothing, or what only looks like it. URL is an endpoint that listens.
SINKS = {
    "nothing may be": ("URL/rows", ""),
    "folders may be": ("URL/rows", '"file:///", "s3://rows"'),
    "a path that begins alike": ("URL/rows-evil", '"URL/rows"'),
    "the path above": ("URL/", '"URL/rows"'),
    "no path at all": ("URL", '"URL/rows"'),
    "dots": ("URL/rows/../evil", '"URL/rows"'),
    "dots that lead back": ("URL/evil/../rows", '"URL/rows"'),
    "dots in disguise": ("URL/rows/%2e%2e/evil", '"URL/rows"'),
    "another port": ("URL/rows", '"http://127.0.0.1:1/rows"'),
    "no port": ("URL/rows", '"http://127.0.0.1/rows"'),
    "another scheme": ("URL/rows", '"https://HOST/rows"'),
    "another host": ("URL/rows", '"http://localhost:PORT/rows"'),
    "a host in the place of the user": ("http://127.0.0.1:PORT@localhost:PORT/rows", '"URL/rows"'),
    "postgres": ("postgres://nobody@127.0.0.1:1/shop", ""),
    "a database that begins alike": (
        "postgres://nobody@127.0.0.1:1/shop-evil",
        '"postgres://127.0.0.1:1/shop"',
    ),
    "a database by the user's name": ("postgres://shop@127.0.0.1:1", '"postgres://127.0.0.1:1/shop"'),
    "postgres at another port": ("postgres://nobody@127.0.0.1:1/shop", '"postgres://127.0.0.1/shop"'),
    "postgres by another name": ("postgresql://nobody@127.0.0.1:1/shop", '"postgres://127.0.0.1:1/shop"'),
}


def placed(text, endpoint):
    host = endpoint.url.removeprefix("http://")
    return text.replace("URL", endpoint.url).replace("HOST", host).replace("PORT", host.rsplit(":", 1)[1])


@pytest.mark.parametrize("command", ["run", "test-connection"])
@pytest.mark.parametrize("url, areas", SINKS.values(), ids=SINKS)
def test_a_sink_elsewhere_is_refused_and_hears_nothing(program, vault, endpoint, command, url, areas):
    policy(only(program, "http-sink", "postgres-sink"), f"write = [{placed(areas, endpoint)}]")
    forbidden(
        program, vault, command, rows_job(program, target={"url": placed(url, endpoint), "mode": "replace"})
    )
    assert endpoint.requests == []


@pytest.mark.parametrize(
    "area, url", [
        ("URL/", "URL/rows"), ("URL", "URL/rows"), ("URL/rows", "URL/rows"), ("URL/rows/", "URL/rows/{relation}"),
        ("http://operator@HOST/rows", "URL/rows"), ("URL/rows", "URL/%72ows"),
    ],
)  # fmt: skip
def test_a_sink_that_a_policy_names_is_written_to(program, endpoint, area, url):
    policy(only(program, "http-sink"), f'write = ["{placed(area, endpoint)}"]')
    assert program.report("run", rows_job(program, target={"url": placed(url, endpoint)}))["rows"] == 3
    assert len(endpoint.taken) == 1


def test_a_rule_for_a_sink_alone_holds_too(program, vault, endpoint):
    policy(only(program, "http-sink"), "write = []", plugin="http-sink")
    forbidden(program, vault, "run", rows_job(program, target={"url": f"{endpoint.url}/rows"}))
    policy(program, "write = []", plugin="postgres-sink")
    assert program.report("run", rows_job(program, target={"url": f"{endpoint.url}/rows"}))["rows"] == 3


def test_every_server_that_a_sink_names_is_held(program, vault, endpoint):
    policy(only(program, "http-sink"), f'write = ["{endpoint.url}/rows"]')
    keys = {"url": f"{endpoint.url}/rows", "events_url": f"{endpoint.url}/events"}
    line = forbidden(program, vault, "run", rows_job(program, target=keys))
    assert "events_url" in line and endpoint.requests == []
    policy(program, f'write = ["{endpoint.url}/rows", "{endpoint.url}/events"]')
    assert program.report("run", rows_job(program, target=keys))["rows"] == 3


def test_a_user_and_a_password_do_not_matter_where_rows_go(program, vault):
    """The refusal comes of the server, and not of the policy."""
    policy(only(program, "postgres-sink"), 'write = ["postgres://operator@127.0.0.1:1/shop"]')
    for user in ["nobody", "operator", "nobody:secret"]:
        job = rows_job(program, target={"url": f"postgres://{user}@127.0.0.1:1/shop"})
        line, code = program.refused("run", job, env=QUICK, seconds=60)
        assert "the policy" not in line and code != 5, line


def test_a_daemon_and_a_retry_hold_sinks_to_the_policy(program, vault, endpoint):
    policy(only(program, "http-sink"), f'write = ["{endpoint.url}/rows"]')
    daemon = Daemon(program)
    try:
        drop(daemon, rows_job(program, "evil.yaml", target={"url": f"{endpoint.url}/rows-evil"}))
        [report] = settled(daemon)
        assert report["error"]["class"] == "auth" and "the policy forbids it" in report["error"]["message"]
        endpoint.refuse = lambda request, number: (400, {}, b"no")
        drop(daemon, rows_job(program, "held.yaml", target={"url": f"{endpoint.url}/rows"}))
        settled(daemon, 2)
    finally:
        daemon.stop(signal.SIGTERM)
    policy(program, "write = []")
    run = next(
        run["run"]
        for run in json.loads(program.ok("--json", "runs", "--state", program.folder / "state"))
        if run["job"] == "held"
    )
    asked = len(endpoint.requests)
    line, code = program.refused("runs", "retry", run, "--state", program.folder / "state")
    assert code == 5 and "the policy forbids it" in line and len(endpoint.requests) == asked, line


# Links within a target


def linked_target(vault, place):
    (vault.folder / "out" / place).parent.mkdir(parents=True, exist_ok=True)
    (vault.folder / "out" / place).symlink_to(vault.folder / "vault")


@pytest.mark.parametrize("mode", ["append", "replace", "version", "error"])
@pytest.mark.parametrize(
    "place", ["rows", ".longshore", ".longshore/staging", ".longshore/names", ".longshore/runs"]
)
def test_a_link_in_a_target_leads_no_further_than_the_policy(program, vault, place, mode):
    policy(only(program), 'write = ["file://HERE/out"]')
    linked_target(vault, place)
    target = vault.fill({"url": "file://HERE/out", "mode": mode})
    done = program.call("run", rows_job(program, "rows.yaml", target=target), env=QUICK, seconds=60)
    # Not every mode has to do with every folder.
    assert done.returncode in (0, 5) and vault.is_untouched(), done.stderr
    if done.returncode or place == "rows":
        assert (
            done.returncode == 5 and "the policy forbids it" in done.stderr and "policy.toml" in done.stderr
        )


def test_a_link_that_leads_to_nothing_is_followed_all_the_same(program, vault):
    policy(only(program), 'write = ["file://HERE/out"]')
    (vault.folder / "out/rows").symlink_to(vault.folder / "vault/new")
    target = vault.fill({"url": "file://HERE/out", "mode": "append"})
    forbidden(program, vault, "run", rows_job(program, "rows.yaml", target=target))


def test_a_link_of_a_partition_leads_no_further_than_the_policy(program, vault):
    policy(only(program), 'write = ["file://HERE/out"]')
    linked_target(vault, "rows/name=two")
    target = vault.fill({"url": "file://HERE/out", "mode": "append", "partition_by": ["name"]})
    forbidden(program, vault, "run", rows_job(program, "rows.yaml", target=target))


def test_a_link_within_what_may_be_written_is_followed(program, vault):
    policy(only(program), 'write = ["file://HERE/out"]')
    (vault.folder / "out/real").mkdir()
    (vault.folder / "out/rows").symlink_to("real")
    target = vault.fill({"url": "file://HERE/out", "mode": "append"})
    assert program.report("run", rows_job(program, "rows.yaml", target=target))["rows"] == 3
    assert list((vault.folder / "out/real").glob("*.parquet")) and vault.is_untouched()


# Keys that name secrets

S3 = {"endpoint": "http://127.0.0.1:1"}
PG = "postgres://nobody@127.0.0.1:1/x"
TABLE = {"tables": ["t"]}

#: Where the secret stands, with what else the job needs; and the plugins that it takes.
SECRETS = {
    "target.s3.access_key_id": ({"target": {"url": "s3://lake/x", "s3": {**S3, "access_key_id": "SECRET"}}}, []),
    "target.s3.secret_access_key": ({"target": {"url": "s3://lake/x", "s3": {**S3, "secret_access_key": "SECRET"}}}, []),
    "target.s3.session_token": ({"target": {"url": "s3://lake/x", "s3": {**S3, "session_token": "SECRET"}}}, []),
    "target.azure.access_key": ({"target": {"url": "azure://lake/x", "azure": {**AZURE, "access_key": "SECRET"}}}, []),
    "target.azure.sas": ({"target": {"url": "azure://lake/x", "azure": {**AZURE, "sas": "SECRET"}}}, []),
    "target.sftp.password": ({"target": {"url": "sftp://u@127.0.0.1:1/x", "sftp": {"password": "SECRET"}}}, []),
    "target.sftp.key_passphrase": (
        {"target": {"url": "sftp://u@127.0.0.1:1/x", "sftp": {"key_file": "/dev/null", "key_passphrase": "SECRET"}}}, []
    ),
    "source.s3.access_key_id": ({"source": {"url": "s3://lake/x.csv", "s3": {**S3, "access_key_id": "SECRET"}}}, []),
    "source.s3.secret_access_key": ({"source": {"url": "s3://lake/x.csv", "s3": {**S3, "secret_access_key": "SECRET"}}}, []),
    "source.s3.session_token": ({"source": {"url": "s3://lake/x.csv", "s3": {**S3, "session_token": "SECRET"}}}, []),
    "source.azure.access_key": (
        {"source": {"url": "azure://lake/x.csv", "azure": {**AZURE, "access_key": "SECRET"}}}, []
    ),
    "source.azure.sas": ({"source": {"url": "azure://lake/x.csv", "azure": {**AZURE, "sas": "SECRET"}}}, []),
    "source.password": ({"source": {"url": PG, "password": "SECRET"}, **TABLE}, ["postgres"]),
    "source.root_cert": ({"source": {"url": PG, "root_cert": "SECRET"}, **TABLE}, ["postgres"]),
    "transform.salt": ({"transform": [{"plugin": "mask", "columns": ["name"], "mode": "hash", "salt": "SECRET"}]}, ["mask"]),
    "target.token": ({"target": {"url": "http://127.0.0.1:1/x", "token": "SECRET"}}, ["http-sink"]),
    "target.root_cert": ({"target": {"url": "https://127.0.0.1:1/x", "root_cert": "SECRET"}}, ["http-sink"]),
    "target.password": ({"target": {"url": PG, "password": "SECRET"}}, ["postgres-sink"]),
    "register.password": ({"register": {"url": "impala://u@127.0.0.1:1/d", "password": "SECRET"}}, ["impala"]),
    "source.direct.s3.access_key_id": (
        {"source": {"url": "impala://u@127.0.0.1:1/d", "direct": {"files": "always", "s3": {**S3, "access_key_id": "SECRET"}}},
         **TABLE}, ["impala"],
    ),
    "source.direct.azure.access_key": (
        {"source": {"url": "impala://u@127.0.0.1:1/d",
                    "direct": {"files": "always", "azure": {**AZURE, "access_key": "SECRET"}}}, **TABLE}, ["impala"],
    ),
}  # fmt: skip

FORMS = {
    "a file": ({"file": "HERE/vault/key"}, 'secrets = ["secret", "env:FINE", "file:/etc/longshore/keys"]'),
    "a link to a file": ({"file": "HERE/data/key"}, 'secrets = ["file:HERE/data", "secret"]'),
    "a variable": ({"env": "CANARY"}, 'secrets = ["secret", "env:FINE", "file:HERE"]'),
    "a named one": ({"secret": "key"}, 'secrets = ["env:FINE"]'),
    "inline": (CANARY, 'secrets = ["secret", "env:FINE", "file:HERE"]'),
    "none may": ({"file": "HERE/vault/key"}, "secrets = []"),
}


def secret_job(program, vault, key, form):
    keys, plugins = SECRETS[key]
    keys = copy.deepcopy(keys)
    text = json.dumps(keys).replace('"SECRET"', json.dumps(form))
    keys = vault.fill(json.loads(text))
    only(program, *plugins)
    (vault.folder / "data/key").symlink_to("../vault/key")
    program.env["CANARY"] = CANARY
    return rows_job(program, **keys) if "source" not in keys else program.job(keys.pop("source"), **keys)


@pytest.mark.parametrize("form, rule", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("key", SECRETS)
def test_a_secret_from_elsewhere_is_refused_and_not_opened(program, vault, key, form, rule):
    job = secret_job(program, vault, key, form)
    policy(program, rule)
    (vault.folder / "secrets").mkdir()
    vault.put("secrets/key", CANARY)
    line = forbidden(program, vault, "--secrets", vault.folder / "secrets", "run", job)
    assert key.split(".")[-1] in line, line


@pytest.mark.parametrize("form, rule", [
    ({"file": "HERE/data/fine.csv"}, 'secrets = ["file:HERE/data"]'), ({"env": "FINE"}, 'secrets = ["env:FINE"]'),
    ("fine", 'secrets = ["inline"]'),
], ids=["file", "env", "inline"])  # fmt: skip
@pytest.mark.parametrize(
    "key", ["target.s3.access_key_id", "source.s3.session_token", "transform.salt", "target.sftp.password"]
)
def test_a_secret_from_where_it_may_come_is_taken(program, vault, key, form, rule):
    job = secret_job(program, vault, key, form)
    policy(program, rule.replace('"]', '", "inline"]'))
    done = program.call("run", job, env={**QUICK, "FINE": "fine"}, seconds=60)
    assert "the policy" not in done.stderr and done.returncode != 5, done.stderr


#: Files of keys, which stand under keys of their own.
KEYS = {
    "target.sftp.key_file": {"target": {"url": "sftp://u@127.0.0.1:1/x", "sftp": {"key_file": "HERE/vault/key"}}},
    "target.sftp.known_hosts": {"target": {"url": "sftp://u@127.0.0.1:1/x", "sftp": {"known_hosts": "HERE/vault/key"}}},
    "target.hdfs.keytab": {"target": {"url": "hdfs://127.0.0.1:1/x", "hdfs": {"principal": "u@R", "keytab": "HERE/vault/key"}}},
    "target.hdfs.conf_dir": {"target": {"url": "hdfs://127.0.0.1:1/x", "hdfs": {"conf_dir": "HERE/vault"}}},
    "source.hdfs.keytab": {
        "source": {"url": "hdfs://127.0.0.1:1/x.csv", "hdfs": {"principal": "u@R", "keytab": "HERE/vault/key"}}
    },
    "source.hdfs.conf_dir": {"source": {"url": "hdfs://127.0.0.1:1/x.csv", "hdfs": {"conf_dir": "HERE/vault"}}},
    "source.kerberos.keytab": {
        "source": {"url": "impala://u@127.0.0.1:1/d", "kerberos": {"principal": "u@R", "keytab": "HERE/vault/key"}}, **TABLE
    },
    "register.kerberos.keytab": {
        "register": {"url": "impala://u@127.0.0.1:1/d", "kerberos": {"principal": "u@R", "keytab": "HERE/vault/key"}}
    },
    "source.direct.hdfs.keytab": {
        "source": {"url": "impala://u@127.0.0.1:1/d",
                   "direct": {"files": "always", "hdfs": {"principal": "u@R", "keytab": "HERE/vault/key"}}}, **TABLE
    },
}  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_file_of_keys_elsewhere_is_refused_and_not_opened(program, vault, key):
    policy(only(program, "impala"), 'read = ["file://HERE/data", "hdfs://127.0.0.1:1"]\nsecrets = ["secret"]')
    vault.put("vault/core-site.xml", "<configuration/>")
    vault.before = vault.written()
    keys = vault.fill({"source": {"url": "file://HERE/data/fine.csv"}, **KEYS[key]})
    line = forbidden(program, vault, "run", program.job(keys.pop("source"), **keys))
    assert key.split(".")[-1] in line, line


#: A password in a URL is a secret that stands in the job.
URLS = {
    "source": ({"source": {"url": f"postgres://nobody:{CANARY}@127.0.0.1:1/x"}, **TABLE}, ["postgres"]),
    "sink": ({"target": {"url": f"postgres://nobody:{CANARY}@127.0.0.1:1/x"}}, ["postgres-sink"]),
    "sftp": ({"target": {"url": f"sftp://nobody:{CANARY}@127.0.0.1:1/x"}}, []),
    "register": ({"register": {"url": f"impala://nobody:{CANARY}@127.0.0.1:1/d"}}, ["impala"]),
}


@pytest.mark.parametrize("keys, plugins", URLS.values(), ids=URLS)
def test_a_password_in_a_url_is_a_secret_in_the_job(program, vault, keys, plugins):
    policy(only(program, *plugins), 'secrets = ["secret"]')
    keys = dict(keys)
    job = rows_job(program, **keys) if "source" not in keys else program.job(keys.pop("source"), **keys)
    line, code = program.refused("run", job, env=QUICK, seconds=60)
    # Some plugins take no password there at all.
    assert code in (2, 5) and CANARY not in line, line
    assert code == 2 or "the policy forbids it" in line, line


def test_a_profile_of_the_operators_is_a_secret_that_the_job_chooses(program, vault):
    policy(only(program), 'secrets = ["secret"]')
    (vault.folder / ".aws").mkdir()
    vault.put(
        ".aws/credentials", f"[other]\naws_access_key_id = {CANARY}\naws_secret_access_key = {CANARY}\n"
    )
    job = rows_job(
        program, target={"url": "s3://lake/x", "s3": {"endpoint": "http://127.0.0.1:1", "profile": "other"}}
    )
    forbidden(program, vault, "run", job, env={"HOME": str(vault.folder)})


# The daemon, and policies that are wrong


def test_a_daemon_refuses_says_nothing_of_what_it_did_not_read_and_goes_on(program, vault):
    policy(only(program), 'read = ["inbox:", "file://HERE/data"]\nsecrets = ["secret"]')
    daemon = Daemon(program)
    try:
        jobs = {
            "source": ({"url": "file://HERE/vault/canary.csv"}, {}),
            "sql": ({"url": "file://HERE/data/fine.csv"}, {"sql_file": "HERE/vault/canary.sql"}),
            "dots": ({"url": "file://HERE/data/fine.csv"}, {"sql_file": "../place/vault/canary.sql"}),
            "passwd": ({"url": "postgres://nobody@127.0.0.1:1/x"}, {"query_file": "/etc/passwd"}),
            "shadow": (
                {"url": "file://HERE/data/fine.csv"},
                {"target": {"url": "s3://lake/x", "s3": {**S3, "access_key_id": {"file": "/etc/shadow"}}}},
            ),
        }
        for name, (source, keys) in jobs.items():
            drop(daemon, program.job(vault.fill(source), f"{name}.yaml", **vault.fill(keys)))
        reports = settled(daemon, len(jobs))
        assert {(report["error"]["class"], report["error"]["exit_code"]) for report in reports} == {
            ("auth", 5)
        }, reports
        assert all("the policy forbids it" in report["error"]["message"] for report in reports)
        assert CANARY not in log(program) + json.dumps(reports) and "root" not in json.dumps(reports)
        assert vault.is_untouched()
        (daemon.inbox / "beside.sql").write_text("SELECT id FROM data")
        fine = vault.fill({"url": "file://HERE/data/fine.csv"})
        drop(daemon, program.job(fine, "beside.yaml", transform=[{"sql_file": "beside.sql"}]))
        drop(daemon, program.job(fine, "fine.yaml"))
        settled(daemon, len(jobs) + 2)
        assert len([report for report in endings(daemon).values() if report["status"] == "succeeded"]) == 2
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_link_in_the_inbox_is_held_to_what_may_be_read(program, vault):
    policy(only(program), 'read = ["inbox:"]')
    vault.put("vault/canary.yaml", f"{CANARY}: 1\n")
    daemon = Daemon(program)
    try:
        (daemon.inbox / "link.yaml").symlink_to("../place/vault/canary.yaml")
        wait_for(lambda: lives(daemon) and ("link.yaml" in log(program)), PATIENCE)
        wait_for(lambda: endings(daemon) or os.path.lexists(daemon.inbox / "link.yaml"), PATIENCE)
        assert CANARY not in log(program) + json.dumps(endings(daemon))
    finally:
        daemon.stop(signal.SIGKILL)


def test_a_policy_that_is_read_again_holds_for_the_next_job(program, vault):
    policy(only(program), 'read = ["file://HERE"]')
    daemon = Daemon(program)
    try:
        drop(daemon, program.job(vault.fill({"url": "file://HERE/vault/nested/canary.csv"}), "before.yaml"))
        assert settled(daemon)[0]["status"] == "succeeded"
        vault.watched.opened()
        policy(program, 'read = ["file://HERE/data"]')
        daemon.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "settings were read again" in log(program), PATIENCE)
        drop(daemon, program.job(vault.fill({"url": "file://HERE/vault/canary.csv"}), "later.yaml"))
        failed = next(report for report in settled(daemon, 2) if report["status"] == "failed")
        assert "the policy forbids it" in failed["error"]["message"] and not vault.watched.opened()
    finally:
        daemon.stop(signal.SIGKILL)


WRONG = {
    "no URL": ('read = ["data"]', ["`read`", "data", "file:///"]),
    "a relative one": ('write = ["file:data"]', ["`write`", "file:data"]),
    "an unknown scheme": ('read = ["ftp://x/y"]', ["`read`", "ftp"]),
    "a typing mistake": ("raed = []", ["raed", "did you mean `read`?"]),
    "a pattern": ('read = ["file:///data/*.csv"]', ["`read`", "*"]),
}


@pytest.mark.parametrize("rule, parts", WRONG.values(), ids=WRONG)
def test_what_is_wrong_in_a_policy_is_told_and_nothing_is_allowed(program, vault, rule, parts):
    policy(only(program), rule)
    line, code = program.refused("run", program.job(vault.fill({"url": "file://HERE/vault/canary.csv"})))
    assert code == 2 and "policy.toml" in line and all(part in line for part in parts), line
    assert vault.is_untouched() and program.published() == []
