"""Logins by Kerberos at a real HiveServer2 (Spark's Thrift Server), with a realm of the tests' own."""

import os
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from support.hive import LOST, HiveServer
from support.kerberos import Kdc
from support.ports import free_port

pytestmark = [pytest.mark.hive, pytest.mark.flaky(reruns=2, only_rerun=LOST)]


@pytest.fixture(scope="module")
def realm(scratch):
    folder = scratch / "realm"
    folder.mkdir()
    kdc = Kdc(folder, ["hive/localhost", "loader", "other/localhost"])
    kdc.folder = folder
    yield kdc
    kdc.stop()


def served(scratch, realm, name, **settings):
    return HiveServer(
        scratch / name, kdc=realm,
        **{
            "hive.server2.authentication": "KERBEROS",
            "hive.server2.authentication.kerberos.principal": f"hive/localhost@{realm.REALM}",
            "hive.server2.authentication.kerberos.keytab": realm.folder / "hive_localhost.kt",
            **settings,
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def plain(scratch, realm):
    server = served(scratch, realm, "hive-kerberos")
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["auth", "auth-int", "auth-conf"])
def secure(request, scratch, realm):
    """Messages after the login are as they are, signed, encrypted."""
    if request.param == "auth":
        yield request.getfixturevalue("plain")
        return
    server = served(
        scratch, realm, f"hive-{request.param}", **{"hive.server2.thrift.sasl.qop": request.param}
    )
    yield server
    server.stop()


def source(server, realm, **keys):
    keys = {"principal": "loader", "keytab": str(realm.folder / "loader.kt"), **keys}
    return {
        "url": f"hive://localhost:{server.port}/",
        "kerberos": {name: value for name, value in keys.items() if value},
    }


QUERY = "SELECT id, concat('text ', id) AS t, current_user() AS who FROM range(30000)"


def test_rows_come_by_a_ticket_whatever_protects_them(program, realm, secure):
    program.env |= realm.env
    job = program.job(source(secure, realm), query=QUERY)
    assert "impala may log in by Kerberos as loader" in program.ok("plan", job)
    program.ok("run", job)
    table = pq.read_table(program.lake / "job")
    assert sorted(table["id"].to_pylist()) == list(range(30_000))
    # A long statement goes in several frames.
    long = f"SELECT '{'x' * 200_000}' AS x"
    program.ok("run", program.job(source(secure, realm), "long.yaml", query=long))
    assert pq.read_table(program.lake / "long")["x"].to_pylist() == ["x" * 200_000]


def test_the_environments_ticket_is_taken_where_no_key_is_given(program, realm, plain):
    cache = program.folder / "ticket"
    program.env |= {**realm.env, "KRB5CCNAME": f"FILE:{cache}"}
    env = {**os.environ, **program.env}
    job = program.job({"url": f"hive://localhost:{plain.port}/", "kerberos": True}, query="SELECT 1 AS n")
    line, code = program.refused("--retries", "0", "run", job)
    assert "Kerberos: " in line and "klist" in line and code == 5, line
    subprocess.run(["kinit", "-k", "-t", realm.folder / "loader.kt", "loader"], env=env, check=True)
    program.ok("run", job)
    # Whose ticket it must be, when the job says so.
    source = {"url": f"hive://localhost:{plain.port}/", "kerberos": {"principal": "loader"}}
    program.ok("run", program.job(source, query="SELECT 1 AS n"))
    source["kerberos"] = {"principal": "somebody"}
    line, code = program.refused("--retries", "0", "run", program.job(source, query="SELECT 1 AS n"))
    assert "somebody" in line and code == 5, line


REFUSALS = {
    "no such principal": ({"principal": "nobody"}, "Kerberos: ", 5),
    "no keytab": ({"keytab": "/nowhere.kt"}, "Kerberos: ", 5),
    "not by kerberos": ({"auth": "plain"}, "PLAIN", 5),
    "other service": ({"kerberos_service": "nothing"}, "Kerberos: Server", 5),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_login_that_is_refused_says_why(program, realm, plain, refusal):
    keys, words, code = REFUSALS[refusal]
    program.env |= realm.env
    own = {name: value for name, value in keys.items() if name in ("principal", "keytab")}
    rest = {name: value for name, value in keys.items() if name not in own}
    job = program.job({**source(plain, realm, **own), **rest}, query="SELECT 1 AS n")
    line, told = program.refused("--retries", "0", "run", job)
    assert words in line and told == code, line


KDCS = {
    "no server": ("", "Cannot find KDC"),
    "no address": ("kdc = kdc.invalid", "KDC"),
    "no answer": ("kdc = 127.0.0.1:{port}", "Cannot contact any KDC"),
}


@pytest.mark.parametrize("kdc", KDCS)
def test_a_realm_that_cannot_be_reached_is_a_lost_connection(program, realm, plain, kdc):
    server, words = KDCS[kdc]
    own = realm.env["KRB5_CONFIG"]
    text = Path(own).read_text()
    unreachable = program.folder / "krb5.conf"
    unreachable.write_text(text.replace(f"kdc = 127.0.0.1:{realm.port}", server.format(port=free_port())))
    program.env |= {"KRB5_CONFIG": str(unreachable)}
    job = program.job(source(plain, realm), query="SELECT 1 AS n")
    line, code = program.refused("--retries", "0", "run", job)
    assert words in line and "krb5.conf" in line and code == 3, line


def test_kerberos_is_for_who_logs_in_by_it(program, realm, server):
    line, code = program.refused("run", program.job({"url": server.url(), "kerberos": True}, tables=["t"]))
    assert "`kerberos`: postgres does not log in by Kerberos" in line and code == 2
    line, code = program.refused("run", program.job({"url": "file:///tmp", "kerberos": True}, tables=["t"]))
    assert "`source.kerberos`: stores have keys of their own" in line and code == 2


def test_http_negotiates(program, scratch, realm):
    server = served(scratch, realm, "hive-negotiate", **{"hive.server2.transport.mode": "http"})
    try:
        program.env |= realm.env
        over_http = {**source(server, realm), "transport": "http"}
        program.ok("run", program.job(over_http, query=QUERY))
        assert len(pq.read_table(program.lake / "job")) == 30_000
    finally:
        server.stop()
