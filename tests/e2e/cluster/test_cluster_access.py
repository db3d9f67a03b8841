"""Who has no certificate of a cluster gets nothing of it."""

import socket
import ssl

import yaml

from support.longshore import Program, rows_job
from support.ports import free_port
from support.wait import wait_for


def answer(port, folder=None):
    """What a server says to a request over TLS; None if it wants no more to do with it."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    if folder:
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as raw, context.wrap_socket(raw) as tls:
            # The client's preface of HTTP/2, and empty settings.
            tls.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04" + bytes(5))
            return tls.recv(100) or None
    except (ssl.SSLError, ConnectionError):
        return None


def test_no_port_answers_without_a_certificate_of_the_cluster(program, cluster):
    cluster.grow(1)
    own = free_port()
    program.env["LONGSHORE_CLUSTER_ADDRESS"] = f"127.0.0.1:{own}"
    job = program.job(
        {"url": "tpch:", "scale": 0.5, "text_mib": 1}, tables=["lineitem"], chunk={"rows": 5_000}
    )
    run = program.start("run", job)
    wait_for(lambda: "taken up" in cluster.executors[0].said())
    line = next(text for text in cluster.executors[0].said().splitlines() if "serves https" in text)
    executor = int(line.rsplit(":", 1)[1])
    strangers = [None, cluster.certificate("stranger", "127.0.0.1", authority="another authority")]
    for port in [cluster.port, own, executor]:
        assert answer(port, cluster.tls), port
        for stranger in strangers:
            assert answer(port, stranger) is None, (port, stranger)
    run.kill()
    run.wait()


def test_a_driver_of_another_cluster_is_told_what_to_do(program, cluster):
    cluster.grow(1)
    job = rows_job(program)
    stranger = cluster.certificate("stranger", "127.0.0.1", authority="another authority")
    said, code = program.refused("--cluster-tls", stranger, "run", job)
    assert "certificate" in said and cluster.url in said and code == 3, said
    said, code = program.refused("--cluster-tls", program.folder, "run", job)
    assert "ca.pem" in said
    del program.env["LONGSHORE_CLUSTER_TLS"]
    said, code = program.refused("run", job)
    assert "--cluster-tls" in said and code == 2


def test_an_executor_of_another_cluster_ends_and_says_why(program, cluster):
    stranger = cluster.certificate("stranger", "127.0.0.1", authority="another authority")
    said, code = program.refused("--cluster-tls", stranger, "cluster", "executor", "--scheduler", cluster.url)
    assert "certificate" in said and cluster.url in said and code == 3, said


def test_a_cluster_is_named_by_https(program, cluster):
    for url, text in {"http://127.0.0.1:1": "https://HOST:PORT", "https://a/b": "a host and a port"}.items():
        said, code = program.refused("--cluster", url, "run", rows_job(program))
        assert text in said and code == 2


def test_a_job_may_name_its_cluster(program, cluster):
    cluster.grow(1)
    job = rows_job(program, cluster=cluster.url)
    assert program.report("run", job, env={"LONGSHORE_CLUSTER": ""})["rows"] == 3
    assert "taken up" in cluster.executors[0].said()


def test_the_program_without_clusters_says_which_has_them(program, cluster):
    plain = Program(program.folder, program.env["LONGSHORE_CACHE"])
    job = rows_job(program, cluster=cluster.url)
    said, code = plain.refused("run", job)
    assert "longshore-cluster" in said and code == 2
    said, code = plain.refused("cluster", "scheduler")
    assert "longshore-cluster" in said and code == 2


def test_an_executor_holds_plugins_against_its_own_policy(program, cluster):
    policy = program.folder / "policy.yaml"
    policy.write_text(
        yaml.safe_dump({"signers": ["RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"]})
    )
    cluster.grow(1, env={"LONGSHORE_POLICY": str(policy)})
    job = program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"])
    said, code = program.refused("run", job)
    assert "sign" in said, said
