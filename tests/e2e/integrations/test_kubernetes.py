"""The manifests for Kubernetes and Argo: they are valid, and the program takes what their pods start."""

import copy
import json
import os
import re
import signal
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml
from hera.workflows import models

from support.cluster import CLUSTER
from support.longshore import PASSWORD, ROOT, only
from support.pods import Pod, mebibytes
from support.ports import free_port
from support.wait import wait_for

MANIFESTS = ROOT / "packaging/kubernetes"

VARIANTS = ["base", "cluster", "daemon", "jobs", "overlays/s3-tls"]

#: Objects of Argo, by its own models.
MODELS = {"WorkflowTemplate": models.WorkflowTemplate, "CronWorkflow": models.CronWorkflow}

#: The oldest and the newest version of Kubernetes whose schemas are looked at.
VERSIONS = ["1.31.0", "1.37.0"]

#: docs/how-to/workflow-schedulers.md tells why.
TRIED_AGAIN, FAILED = {3, 6, 137, 143}, {1, 2, 4, 5, 130}


def rendered(folder):
    """What kustomize makes of a folder: its objects, by kind and name."""
    env = {**os.environ, "PATH": f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"}
    command = ["kubectl", "kustomize", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout)}


@pytest.fixture(scope="module")
def objects():
    return {variant: rendered(MANIFESTS / variant) for variant in VARIANTS}


@pytest.fixture(scope="module")
def argo():
    return rendered(ROOT / "packaging/argo")


def pods_of(found):
    """The pods' templates, and what else their owners give them."""
    for (kind, _), each in found.items():
        spec = each.get("spec", {})
        if kind == "CronJob":
            spec = spec["jobTemplate"]["spec"]
        if kind in ["CronJob", "Deployment", "Job", "StatefulSet"]:
            yield spec["template"], spec


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_object_is_one_of_kubernetes(objects, variant, version):
    assert objects[variant]
    for each in objects[variant].values():
        kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_no_pod_has_a_right_that_it_does_not_need(objects, variant):
    found = list(pods_of(objects[variant]))
    assert found
    for template, _ in found:
        pod, [container] = template["spec"], template["spec"]["containers"]
        assert not pod["automountServiceAccountToken"] and not pod["enableServiceLinks"]
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"cpu", "memory", "ephemeral-storage"} <= container["resources"]["limits"].keys()


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_the_network_policy_holds_every_pod_and_lets_it_ask_for_names(objects, variant):
    policy = objects[variant]["NetworkPolicy", "longshore"]["spec"]
    for template, _ in pods_of(objects[variant]):
        assert policy["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert policy["policyTypes"] == ["Ingress", "Egress"] and "ingress" not in policy
    if variant == "cluster":
        between = objects[variant]["NetworkPolicy", "longshore-cluster"]["spec"]
        assert (
            between["podSelector"] == policy["podSelector"]
            and between["ingress"][0]["from"] == between["egress"][0]["to"]
        )
    [names] = policy["egress"][0]["to"]
    assert names["podSelector"] == {"matchLabels": {"k8s-app": "kube-dns"}}


def test_the_image_is_that_of_this_version(objects, argo, program):
    version = program.ok("--version").split()[1]
    templates = [template for variant in VARIANTS[1:] for template, _ in pods_of(objects[variant])]
    images = {template["spec"]["containers"][0]["image"] for template in templates}
    assert images == {f"longshore:{version}", f"longshore:{version}-cluster-kerberos-odbc"}
    assert len(templates) == 7
    [template] = argo["WorkflowTemplate", "longshore"]["spec"]["templates"]
    assert template["container"]["image"] == f"longshore:{version}"


def action(rules, code):
    """What a Job does when its container ends so: of the first rule that fits."""
    for rule in rules:
        codes = rule.get("onExitCodes")
        if codes and (code in codes["values"]) == (codes["operator"] == "In"):
            return rule["action"]
    return "Count"


def test_a_job_tries_again_only_what_may_succeed_later(objects):
    found = list(pods_of(objects["jobs"]))
    assert len(found) == 2
    for template, job in found:
        rules = job["podFailurePolicy"]["rules"]
        assert {action(rules, code) for code in TRIED_AGAIN} == {"Count"}
        assert {action(rules, code) for code in FAILED} == {"FailJob"}
        assert rules[0]["onPodConditions"][0]["type"] == "DisruptionTarget" and rules[0]["action"] == "Ignore"
        assert template["spec"]["restartPolicy"] == "Never" and job["backoffLimit"] >= 3


@pytest.fixture
def shop(server, program):
    """The database of the examples, and where it is here."""
    with server.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS pods")
        connection.execute("CREATE DATABASE pods")
    with server.connect(dbname="pods") as connection:
        connection.execute("CREATE TABLE orders (id int, day date)")
        connection.execute("INSERT INTO orders SELECT n, DATE '2026-11-20' FROM generate_series(1, 5) n")
    only(program, "postgres")
    here = f"127.0.0.1:{server.port}"
    return {
        "reader@db.internal:5432/shop": f"postgres@{here}/pods",
        "*.internal:5432": here,
        "REPLACE-ME": PASSWORD,
    }


def attempts_of(program, pod):
    """Two attempts of a pod: that of the second finds the run of the first."""
    reports = []
    for _ in range(2):
        pod.container["args"] = ["--json", *pod.container["args"]] if not reports else pod.container["args"]
        done = pod.run(program)
        assert done.returncode == 0, done.stderr
        reports.append(json.loads(done.stdout))
    return reports


@pytest.mark.postgres
@pytest.mark.parametrize("kind, name, rows", [("Job", "orders-2026-11-20", 5), ("CronJob", "orders", 0)])
def test_a_pod_runs_its_job_and_the_next_attempt_knows_its_run(objects, program, shop, kind, name, rows):
    found = copy.deepcopy(objects["jobs"])
    spec = found[kind, name]["spec"]
    spec = spec["jobTemplate"]["spec"] if kind == "CronJob" else spec
    labels = {"batch.kubernetes.io/job-name": name}
    pod = Pod(program.folder / "pod", spec["template"]["spec"], found, labels=labels, here=shop)
    first, second = attempts_of(program, pod)
    assert first["rows"] == rows and second["run"] == first["run"]
    assert list((program.folder / "pod/lake/shop").glob("day=*/orders/*.parquet"))


@pytest.mark.postgres
def test_a_pod_whose_database_is_away_is_tried_again(objects, program, shop):
    found = copy.deepcopy(objects["jobs"])
    spec = found["Job", "orders-2026-11-20"]["spec"]
    nowhere = {there: re.sub(r"127.0.0.1:\d+", "127.0.0.1:1", here) for there, here in shop.items()}
    labels = {"batch.kubernetes.io/job-name": "orders"}
    pod = Pod(program.folder / "pod", spec["template"]["spec"], found, labels=labels, here=nowhere)
    pod.container["env"].append({"name": "LONGSHORE_RETRIES", "value": "0"})
    done = pod.run(program)
    assert action(spec["podFailurePolicy"]["rules"], done.returncode) == "Count", done.stderr
    pod.container["args"][1] = "/etc/longshore-jobs/nothing.yaml"
    done = pod.run(program)
    assert action(spec["podFailurePolicy"]["rules"], done.returncode) == "FailJob", done.stderr


@pytest.fixture(scope="module")
def certificate(scratch):
    key, cert = scratch / "tls.key", scratch / "tls.crt"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    subject = ["-keyout", key, "-out", cert, "-days", "1", "-subj", "/CN=longshore"]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    return {"tls.crt": cert.read_text(), "tls.key": key.read_text()}


@pytest.mark.parametrize("variant", ["daemon", "overlays/s3-tls"])
def test_the_daemons_pod_is_ready_has_its_budget_and_ends_in_time(objects, program, certificate, variant):
    found = copy.deepcopy(objects[variant])
    spec = found["StatefulSet", "longshore"]["spec"]
    if variant != "daemon":
        found["Secret", "longshore-tls"]["stringData"] = certificate
    port = free_port()
    here = {"0.0.0.0:8460": f"127.0.0.1:{port}"}
    claims = spec["volumeClaimTemplates"]
    pod = Pod(only(program).folder / "pod", spec["template"]["spec"], found, claims, here=here)
    process = pod.start(program)
    log = pod.folder / "log"
    wait_for(lambda: "taking jobs" in log.read_text() or process.poll() is not None)
    assert process.poll() is None, log.read_text()
    for kind in ["startupProbe", "livenessProbe", "readinessProbe"]:
        assert pod.probe(kind, port) == 200
    [schedule] = json.loads(program.ok("--json", "schedule", "list", env=pod.variables()))
    assert schedule["name"] == "orders" and schedule.get("problem") is None, schedule
    variables = pod.variables()
    assert "longshore.shop.svc.cluster.local" in variables["LONGSHORE_ALLOWED_HOSTS"].split(",")
    budget = int(variables["LONGSHORE_MEMORY"].removesuffix("MiB"))
    assert 0 < budget <= mebibytes(pod.container["resources"]["limits"]["memory"]) / 2
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > int(variables["LONGSHORE_DRAIN_SECS"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, log.read_text()


@pytest.mark.skipif(not CLUSTER.exists(), reason="needs `make cluster`")
@pytest.mark.postgres
def test_the_pods_of_a_cluster_run_a_job_together(objects, program, shop):
    found = copy.deepcopy(objects["cluster"])
    tls = program.folder / "members"
    hosts = [f"longshore-{name}.shop.svc" for name in ["scheduler", "driver"]]
    certificate = ["cluster", "certificate", "--authority", program.folder / "authority", "--out", tls]
    hosts += ["*.longshore-executors.shop.svc", "localhost"]
    subprocess.run(
        [CLUSTER, *certificate, *hosts], check=True, env={**program.env, "HOME": str(program.folder)}
    )
    files = {path.name: path.read_text() for path in tls.iterdir()}
    found["Secret", "longshore-cluster-tls"]["stringData"] = files
    scheduler, driver, api = free_port(), free_port(), free_port()
    here = {
        **shop,
        "longshore-scheduler.shop.svc:50050": f"localhost:{scheduler}",
        "longshore-driver.shop.svc:50051": f"localhost:{driver}",
        "0.0.0.0:50050": f"127.0.0.1:{scheduler}",
        "0.0.0.0:8460": f"127.0.0.1:{api}",
    }
    pods, lake = {}, program.folder / "lake"
    for kind, name, pod in [
        ("Deployment", "longshore-scheduler", "scheduler"),
        ("StatefulSet", "longshore-executor", "longshore-executor-0"),
        ("StatefulSet", "longshore-executor", "longshore-executor-1"),
        ("StatefulSet", "longshore", "longshore-0"),
    ]:
        spec = found[kind, name]["spec"]
        claims = spec.get("volumeClaimTemplates", [])
        there = {**here, f"{pod}.longshore-executors.shop.svc:50052": f"localhost:{free_port()}"}
        folder = program.folder / pod
        options = {"here": there, "name": pod, "executable": CLUSTER}
        pods[pod] = Pod(folder, spec["template"]["spec"], found, claims, **options)
        # One volume of all of them.
        if (folder / "lake").exists():
            (folder / "lake").rmdir()
            lake.mkdir(exist_ok=True)
            (folder / "lake").symlink_to(lake)
        pods[pod].start(program)
    status = {**pods["longshore-0"].variables(), "LONGSHORE_STATE": str(program.folder / "state")}
    cluster = [str(CLUSTER), "--json", "cluster", "status"]

    def executors():
        done = subprocess.run(cluster, env={**program.env, **status}, capture_output=True, text=True)
        return done.returncode == 0 and [one["name"] for one in json.loads(done.stdout)["executors"]]

    wait_for(lambda: executors() == ["longshore-executor-0", "longshore-executor-1"])
    log = pods["longshore-0"].folder / "log"
    wait_for(lambda: "taking jobs" in log.read_text())
    own = pods["longshore-0"].variables()
    asked = [str(CLUSTER), "schedule", "run-now", "orders"]
    told = subprocess.run(asked, env={**program.env, **own}, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    wait_for(lambda: "published" in log.read_text() or "ERROR" in log.read_text())
    assert "2 executors with 4 slots" in log.read_text() and "ERROR" not in log.read_text(), log.read_text()


def test_the_daemons_jobs_are_valid(objects, program):
    for variant in ["daemon", "overlays/s3-tls"]:
        [job] = [
            each["data"]["orders.yaml"]
            for each in objects[variant].values()
            if "orders.yaml" in each.get("data", {})
        ]
        (program.folder / "orders.yaml").write_text(job)
        program.ok("validate", program.folder / "orders.yaml")


@pytest.mark.parametrize("kind", MODELS)
def test_every_object_is_one_of_argo(argo, kind):
    """Its models know every key: what they do not know is lost on the way through them."""
    [written] = [each for (its, _), each in argo.items() if its == kind]
    read = MODELS[kind].model_validate(written).model_dump(by_alias=True, exclude_none=True, mode="json")
    assert read == written


def test_argo_tries_again_only_what_may_succeed_later(argo):
    [template] = argo["WorkflowTemplate", "longshore"]["spec"]["templates"]
    strategy = template["retryStrategy"]
    codes = re.search(r"lastRetry\.exitCode in \[(.*?)\]", strategy["expression"])[1]
    assert {int(code.strip(" '")) for code in codes.split(",")} == TRIED_AGAIN
    assert strategy["retryPolicy"] == "Always" and strategy["limit"] == 3


@pytest.mark.postgres
def test_argos_pod_runs_its_job_and_the_next_attempt_knows_its_run(argo, program, shop):
    workflow = argo["WorkflowTemplate", "longshore"]["spec"]
    [template] = workflow["templates"]
    given = workflow["arguments"]["parameters"], template["inputs"]["parameters"]
    values = {"workflow.name": "orders-1764"}
    for scope, parameters in zip(["workflow", "inputs"], given, strict=True):
        values |= {f"{scope}.parameters.{each['name']}": filled(each["value"], values) for each in parameters}
    container = json.loads(filled(json.dumps(template["container"]), values))
    spec = {"containers": [container], "volumes": workflow["volumes"]}
    pod = Pod(program.folder / "pod", spec, argo, here=shop)
    first, second = attempts_of(program, pod)
    assert first["status"] == "succeeded" and second["run"] == first["run"]


def filled(text, values):
    """`{{NAME}}`, as Argo has it."""
    return re.sub(r"\{\{(.*?)\}\}", lambda match: values[match[1]], text)
