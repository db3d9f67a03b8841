"""Components from an OCI registry: Debian's, into which an independent client pushes."""

import base64
import json
import shutil
import subprocess
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import oras.client
import pytest

from support.hostile import marked
from support.plugins import minisign, names
from support.ports import free_port
from support.wait import wait_for

pytestmark = pytest.mark.registry

USER, PASSWORD = "harbour", "h4rbour-secret"


class Registry:
    """One of the tests' own: open, or with a login as `config` says."""

    def __init__(self, scratch, name, config="", host="127.0.0.1", tls=""):
        self.port, self.host = free_port(), host
        self.at = f"{host}:{self.port}"
        self.folder = scratch / f"registry-{name}"
        self.folder.mkdir()
        settings = self.folder / "config.yml"
        settings.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.folder}/data}}}}\n{config}"
            f"http: {{addr: '{self.at}', secret: test{tls}}}\n"
        )
        log = (self.folder / "log").open("w")
        self.process = subprocess.Popen(["docker-registry", "serve", settings], stdout=log, stderr=log)

    def push(self, name, *files, login=None, scheme="http"):
        """Pushes files as `oras push` does; gives the manifest's digest."""
        client = oras.client.OrasClient(hostname=self.at, insecure=scheme == "http", tls_verify=False,
                                        auth_backend="basic" if login else "token")  # fmt: skip
        if login:
            client.auth.set_basic_auth(*login)
        target = f"{self.at}/{name}"
        answer = client.push(target=target, files=list(map(str, files)), disable_path_validation=True)
        assert answer.status_code == 201
        return answer.headers["docker-content-digest"]

    def blob(self, content):
        """The file in which the registry keeps these bytes."""
        files = [
            path for path in self.folder.rglob("data") if path.is_file() and path.read_bytes() == content
        ]
        assert len(files) == 1
        return files[0]

    def stop(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(scope="module")
def registry(scratch):
    registry = Registry(scratch, "open")
    wait_until_it_answers(registry)
    yield registry
    registry.stop()


def wait_until_it_answers(registry, scheme="http"):
    def answers():
        done = subprocess.run(["curl", "-ksf", "-o", "/dev/null", "-w", "%{http_code}", f"{scheme}://{registry.at}/v2/"],
                              capture_output=True, text=True)  # fmt: skip
        return done.stdout in ("200", "401")

    wait_for(answers)


@pytest.fixture
def component(program):
    path = program.folder / "hostile.wasm"
    path.write_bytes(marked("1.0.5000"))
    return path


@pytest.fixture(autouse=True)
def nobody(program):
    """No login of whoever runs the tests."""
    home = program.folder / "home"
    home.mkdir()
    program.env |= {"HOME": str(home), "DOCKER_CONFIG": str(home)}
    for variable in ("XDG_RUNTIME_DIR", "REGISTRY_AUTH_FILE"):
        program.env.pop(variable, None)


def log_in(program, registry, user=USER, password=PASSWORD):
    auth = base64.b64encode(f"{user}:{password}".encode()).decode()
    (Path(program.env["DOCKER_CONFIG"]) / "config.json").write_text(
        json.dumps({"auths": {registry.at: {"auth": auth}}})
    )


def test_a_component_is_installed_by_its_tag_and_by_its_digest(program, folder, registry, component):
    digest = registry.push("team/hostile:1.0", f"{component}:application/wasm")
    for name in ("team/hostile:1.0", f"team/hostile@{digest}"):
        [answer] = program.report("plugin", "install", f"oci://{registry.at}/{name}")
        assert (answer["name"], answer["version"]) == ("hostile", "1.0.5000")
        assert names(program) == ["hostile", "tpch"]
        (folder / "hostile.wasm").unlink()


def test_what_is_not_there_or_not_a_component_is_told(program, folder, registry, component):
    def says(name):
        line, code = program.refused("plugin", "install", f"oci://{registry.at}/{name}")
        assert names(program) == ["tpch"]
        return line, code

    registry.push(
        "team/two:1",
        f"{component}:application/wasm",
        f"{shutil.copy(component, program.folder / 'b.wasm')}:application/wasm",
    )
    registry.push("team/text:1", f"{component}:text/plain")
    (program.folder / "broken.wasm").write_bytes(b"\0asm")
    registry.push("team/broken:1", f"{program.folder / 'broken.wasm'}:application/wasm")
    line, code = says("team/nothing:1")
    assert "team/nothing:1: the registry does not have it" in line and code == 4
    assert "it has 2 layers of type application/wasm" in says("team/two:1")[0]
    assert "it has 0 layers of type application/wasm" in says("team/text:1")[0]
    assert "broken.wasm: not WebAssembly, or cut off" in says("team/broken:1")[0]
    for wrong in ("team", "..", "team/hostile:a b", ""):
        line, code = says(wrong) if wrong != "team" else says("team:no_such")
        assert code in (2, 4), line
    line, code = program.refused("plugin", "install", f"oci://127.0.0.1:{free_port()}/team/hostile")
    assert "cannot be reached" in line and code == 3


def test_a_blob_that_was_tampered_with_is_not_installed(program, folder, registry, component):
    content = marked("1.0.6000")
    component.write_bytes(content)
    registry.push("team/tampered:1", f"{component}:application/wasm")
    blob = registry.blob(content)
    blob.write_bytes(marked("1.0.6666"))
    line, code = program.refused("plugin", "install", f"oci://{registry.at}/team/tampered:1")
    assert "what the registry sent is not sha256:" in line and code == 4
    blob.write_bytes(content + bytes(1_000))
    line, code = program.refused("plugin", "install", f"oci://{registry.at}/team/tampered:1")
    assert "the registry sent more than" in line
    assert names(program) == ["tpch"]


def test_a_signature_comes_along(program, folder, registry, component):
    minisign(program, "-G", "-W", "-p", "trusted.pub", "-s", "trusted.key")
    key = (program.folder / "trusted.pub").read_text().splitlines()[1]
    policy = program.folder / "policy.toml"
    policy.write_text(f"signers = ['{key}']\n")
    program.env["LONGSHORE_POLICY"] = str(policy)
    registry.push("team/unsigned:1", f"{component}:application/wasm")
    line, code = program.refused("plugin", "install", f"oci://{registry.at}/team/unsigned:1")
    assert "its signature" in line and code == 2
    minisign(program, "-S", "-W", "-s", "trusted.key", "-m", component)
    registry.push("team/signed:1", f"{component}:application/wasm", f"{component}.minisig:text/plain")
    program.ok("plugin", "install", f"oci://{registry.at}/team/signed:1")
    assert "hostile" in names(program)


def test_a_login_that_was_written_down_is_used(program, folder, scratch, component):
    crypt = subprocess.run(["perl", "-e", 'print crypt($ARGV[0], "\\$2y\\$05\\$abcdefghijklmnopqrstuu")', PASSWORD],
                           capture_output=True, text=True, check=True).stdout  # fmt: skip
    (scratch / "htpasswd").write_text(f"{USER}:{crypt}\n")
    registry = Registry(scratch, "basic", f"auth: {{htpasswd: {{realm: r, path: {scratch}/htpasswd}}}}\n")
    wait_until_it_answers(registry)
    try:
        registry.push("team/hostile:1", f"{component}:application/wasm", login=(USER, PASSWORD))
        reference = f"oci://{registry.at}/team/hostile:1"
        line, code = program.refused("plugin", "install", reference)
        assert "the registry refuses it: 401" in line and "log in" in line and code == 5
        log_in(program, registry, password="wr0ng-s3cret")
        done = program.call("--log", "trace", "plugin", "install", reference)
        assert done.returncode == 5 and "wr0ng-s3cret" not in done.stderr
        log_in(program, registry)
        program.ok("plugin", "install", reference)
        (Path(program.env["DOCKER_CONFIG"]) / "config.json").write_text(
            json.dumps({"auths": {registry.at: {"auth": "%"}}})
        )
        line, code = program.refused("plugin", "install", reference)
        assert f"the login for {registry.at} is damaged" in line and code == 2
    finally:
        registry.stop()


class Tokens:
    """A server of tokens: for whoever logs in, for whatever is asked."""

    def __init__(self, folder):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "cert.pem",
                        "-days", "2", "-subj", "/CN=tokens"], cwd=folder, check=True, capture_output=True)  # fmt: skip
        der = subprocess.run(["openssl", "x509", "-in", "cert.pem", "-outform", "der"], cwd=folder, check=True,
                             capture_output=True).stdout  # fmt: skip
        tokens = self
        self.asked = []

        def encoded(value):
            return base64.urlsafe_b64encode(
                value if isinstance(value, bytes) else json.dumps(value).encode()
            ).rstrip(b"=")

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
                tokens.asked.append((query, self.headers.get("authorization")))
                good = f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"
                if self.headers.get("authorization") != good:
                    self.send_error(401)
                    return
                scopes = [scope.split(":", 2) for scope in query.get("scope", [])]
                now = int(time.time())
                head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(der).decode()]}
                claims = {"iss": "tokens", "aud": "registry", "exp": now + 300, "nbf": now - 10, "iat": now,
                          "access": [{"type": t, "name": n, "actions": a.split(",")} for t, n, a in scopes]}  # fmt: skip
                signed = encoded(head) + b"." + encoded(claims)
                signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", "key.pem"], cwd=folder, input=signed,
                                           capture_output=True, check=True).stdout  # fmt: skip
                body = json.dumps({"token": (signed + b"." + encoded(signature)).decode()}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/token"


def test_a_token_is_fetched_where_the_registry_says(program, folder, scratch, registry, component):
    tokens = Tokens(program.folder)
    guarded = Registry(scratch, "tokens", f"auth: {{token: {{realm: '{tokens.url}', service: registry, issuer: tokens, "
                       f"rootcertbundle: {program.folder}/cert.pem}}}}\n")  # fmt: skip
    # What the open one has.
    registry.push("team/guarded:1", f"{component}:application/wasm")
    shutil.copytree(registry.folder / "data", guarded.folder / "data")
    wait_until_it_answers(guarded)
    try:
        reference = f"oci://{guarded.at}/team/guarded:1"
        line, code = program.refused("plugin", "install", reference)
        assert "the registry refuses it: 401" in line and code == 5
        log_in(program, guarded)
        program.ok("plugin", "install", reference)
        query, _ = tokens.asked[-1]
        assert query == {"scope": ["repository:team/guarded:pull"], "service": ["registry"]}
    finally:
        guarded.stop()
        tokens.server.shutdown()


def test_all_but_this_machines_own_are_spoken_to_with_tls(program, folder, scratch, component):
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "k.pem",
            "-out",
            "c.pem",
            "-days",
            "2",
            "-subj",
            "/CN=r",
            "-addext",
            "subjectAltName=IP:127.0.0.2",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
        cwd=scratch,
        check=True,
        capture_output=True,
    )
    tls = f", tls: {{certificate: {scratch}/c.pem, key: {scratch}/k.pem}}"
    registry = Registry(scratch, "tls", host="127.0.0.2", tls=tls)
    wait_until_it_answers(registry, "https")
    try:
        registry.push("team/hostile:1", f"{component}:application/wasm", scheme="https")
        reference = f"oci://{registry.at}/team/hostile:1"
        line, code = program.refused("plugin", "install", reference)
        assert "certificate" in line and code == 3, line
        program.ok("plugin", "install", reference, env={"SSL_CERT_FILE": str(scratch / "c.pem")})
    finally:
        registry.stop()
