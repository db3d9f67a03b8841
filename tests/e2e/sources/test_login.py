"""Passwords of every kind, and TLS of every mode, against a server with its own authority."""

import pytest


@pytest.fixture(scope="module")
def users(server):
    with server.connect() as connection:
        for user in ["trusty", "clear", "scram", "nossl"]:
            connection.execute(f"CREATE ROLE {user} LOGIN PASSWORD 'p@ss w/rd'")
        connection.execute("SET password_encryption = 'md5'")
        connection.execute("CREATE ROLE old LOGIN PASSWORD 'p@ss w/rd'")
    return server


def source(server, user, **keys):
    return {"url": server.url(user=user), "password": "p@ss w/rd", **keys}


@pytest.mark.parametrize("user", ["trusty", "clear", "old", "scram"])
def test_every_kind_of_password_logs_in(users, program, user):
    job = program.job(source(users, user), tables=["t"])
    assert f"user {user}" in program.report("test-connection", job)["source"]


def test_a_password_in_the_url_is_taken_out_of_it(users, program):
    url = users.url(user="scram").replace("scram@", "scram:p%40ss%20w%2Frd@")
    job = program.job({"url": url}, tables=["t"])
    program.report("test-connection", job)
    done = program.call("--log", "trace", "plan", job)
    assert "p@ss" not in done.stderr + done.stdout and "p%40ss" not in done.stderr + done.stdout


@pytest.mark.parametrize("user", ["clear", "old", "scram"])
def test_a_wrong_password_is_told_once_and_not_shown(users, program, user):
    job = program.job(source(users, user, password="wr0ng-s3cret"), tables=["t"])
    line, code = program.refused("run", job)
    assert "password authentication failed" in line and "check the user and the password" in line
    assert code == 5 and "wr0ng-s3cret" not in line


def test_a_missing_password_is_asked_for(users, program):
    line, code = program.refused("run", program.job({"url": users.url(user="scram")}, tables=["t"]))
    assert "asks for a password" in line and "add `password:" in line and code == 2


CA = "ca"
MODES = [
    # sslmode, host, with the authority's certificate: whether it works, and over TLS
    ("disable", "127.0.0.1", None, "not encrypted"),
    ("prefer", "127.0.0.1", None, "over TLS"),
    ("require", "127.0.0.1", None, "over TLS"),
    ("require", "127.0.0.1", CA, "over TLS"),
    ("verify-ca", "127.0.0.1", CA, "over TLS"),
    ("verify-full", "localhost", CA, "over TLS"),
    ("verify-full", "127.0.0.1", CA, None),
    ("verify-ca", "127.0.0.1", None, None),
    ("verify-full", "localhost", None, None),
]


@pytest.mark.parametrize("mode, host, authority, expected", MODES)
def test_each_sslmode_means_what_libpq_means(users, program, mode, host, authority, expected):
    keys = {"root_cert": {"file": str(users.folder / "ca.pem")}} if authority else {}
    job = program.job(
        {"url": users.url(user="scram", host=host), "password": "p@ss w/rd", "sslmode": mode, **keys},
        tables=["t"],
    )
    if expected:
        assert expected in program.report("test-connection", job)["source"]
    else:
        line, code = program.refused("test-connection", job)
        assert "certificate" in line and code == 5


def test_a_server_without_tls_is_told_apart(users, program):
    job = program.job(source(users, "nossl", sslmode="disable"), tables=["t"])
    assert "not encrypted" in program.report("test-connection", job)["source"]


def test_an_authority_that_is_no_certificate_is_refused(users, program):
    job = program.job(source(users, "scram", sslmode="verify-ca", root_cert="/etc/ca.pem"), tables=["t"])
    line, code = program.refused("test-connection", job)
    assert "not PEM certificates" in line and code == 2
