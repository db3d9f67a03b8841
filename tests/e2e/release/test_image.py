"""The images, in a real container: no network, read-only, as user 10001."""

import json
import shutil
import tarfile

import pytest

from support.cluster import CLUSTER
from support.packages import DEBS, PACKAGING, run
from support.wait import wait_for

UID = 10001

#: Limits of the hosts that tests run on differ from those that Podman would like.
LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=512:512"]

LOADER = "/lib64/ld-linux-x86-64.so.2"

LIBRARIES = "/usr/lib/x86_64-linux-gnu"


#: How it is asked whether it is well: Docker finds this in the image, Podman takes it as a flag.
HEALTH = ["/usr/bin/longshore", "--server", "unix:/var/lib/longshore/api.sock", "runs", "--limit", "1"]


class Podman:
    """With images and containers of its own."""

    def __init__(self, folder):
        self.command = ["podman", "--root", folder / "images", "--runroot", folder / "run"]
        self.command += ["--cgroup-manager=cgroupfs", "--runtime=runc"]

    def __call__(self, *args, check=True):
        return run(*self.command, *args, check=check)

    def load(self, archive):
        """Gives the image's name."""
        return self("load", "--quiet", "--input", archive).stdout.split()[-1]

    def run(self, *args, check=True):
        limits = ["--network", "none", "--read-only", "--read-only-tmpfs=false", *LIMITS]
        return self("run", *limits, *args, check=check)

    def end(self):
        self("rm", "--all", "--force", "--time", "0")
        self("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def podman(scratch):
    if not shutil.which("podman"):
        pytest.skip("no podman")
    folder = scratch / "podman"
    folder.mkdir()
    podman = Podman(folder)
    yield podman
    podman.end()


@pytest.fixture(scope="module")
def archives(work, deb):
    run(PACKAGING / "image/build.py", "--debs", DEBS, deb, work / "images")
    return sorted((work / "images").iterdir(), key=lambda path: len(path.name))


def test_an_image_may_have_the_program_of_clusters(podman, work, deb):
    if not CLUSTER.exists():
        pytest.skip("needs `make cluster`")
    out = work / "cluster images"
    options = ["--debs", DEBS, "--cluster", CLUSTER, "--parts", ""]
    run(PACKAGING / "image/build.py", *options, deb, out)
    [archive] = out.iterdir()
    assert archive.name == "longshore-0.6.0-image-cluster.tar"
    image = podman.load(archive)
    assert image == "localhost/longshore:0.6.0-cluster"
    for entrypoint in ["longshore", "longshore-cluster"]:
        command = ["--rm", "--entrypoint", entrypoint, image, "cluster", "status"]
        done = podman.run(*command, check=False)
        assert "no cluster is named" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def images(podman, archives):
    """By what they have: nothing but Longshore, or all."""
    small, whole = archives
    return {"small": podman.load(small), "whole": podman.load(whole)}


def folder_of_user(path):
    path.mkdir()
    shutil.chown(path, UID, UID)
    return path


def inspect(podman, image):
    return json.loads(podman("image", "inspect", image).stdout)[0]


def test_it_is_somebody_with_a_version_and_folders_to_keep(podman, images):
    found = inspect(podman, images["small"])
    config = found["Config"]
    assert config["User"] == f"{UID}:{UID}"
    assert images == {
        "small": "localhost/longshore:0.6.0",
        "whole": "localhost/longshore:0.6.0-kerberos-odbc",
    }
    assert config["Labels"]["org.opencontainers.image.version"] == "0.6.0"
    assert set(config["Volumes"]) == {"/tmp", "/var/cache/longshore", "/var/lib/longshore"}
    assert podman.run("--rm", images["small"], "--version").stdout.startswith("longshore 0.6.0")


def test_nothing_in_it_can_be_written_by_the_user_but_its_folders(archives):
    for archive in archives:
        with tarfile.open(archive) as layout:
            index = json.load(layout.extractfile("index.json"))
            blob = lambda one, layout=layout: layout.extractfile(f"blobs/{one['digest'].replace(':', '/')}")
            manifest = json.load(blob(index["manifests"][0]))
            for layer in manifest["layers"]:
                with tarfile.open(fileobj=blob(layer), mode="r:gz") as tar:
                    entries = {entry.name: entry for entry in tar}
                own = {path for path, entry in entries.items() if entry.uid == UID}
                assert own in (set(), {"var/lib/longshore", "var/lib/longshore/inbox", "var/cache/longshore"})
                others = [path for path, e in entries.items() if e.mode & 0o022 and not e.issym()]
                assert others in ([], ["tmp"])
                assert not [path for path, entry in entries.items() if entry.mode & 0o6000]


@pytest.mark.parametrize(
    "image, files",
    [
        ("small", ["/usr/bin/longshore"]),
        (
            "whole",
            [
                "/usr/bin/longshore",
                "/usr/lib/longshore/longshore-odbc",
                f"{LIBRARIES}/libgssapi_krb5.so.2",
                f"{LIBRARIES}/libodbc.so.2",
            ],
        ),
    ],
)
def test_all_libraries_that_it_needs_are_in_it(podman, images, image, files):
    for file in files:
        listed = podman.run("--rm", "--entrypoint", LOADER, images[image], "--list", file).stdout
        assert "libc.so.6 => /" in listed and "not found" not in listed, file


@pytest.mark.parametrize("image", ["small", "whole"])
def test_it_takes_a_job_and_publishes_it(podman, images, image, tmp_path):
    state, lake, cache = (folder_of_user(tmp_path / name) for name in ["state", "lake", "cache"])
    folder_of_user(state / "inbox")
    # As Kubernetes has it.
    shutil.chown(cache, 0, 0)
    cache.chmod(0o777)
    volumes = [("state", "/var/lib/longshore"), ("cache", "/var/cache/longshore"), ("lake", "/lake")]
    mounts = [f"--volume={tmp_path / name}:{place}" for name, place in volumes]
    health = ["--health-cmd", json.dumps(HEALTH), "--health-interval", "disable"]
    container = podman.run("--detach", "--tmpfs", "/tmp", *health, *mounts, images[image]).stdout.strip()
    wait_for(lambda: podman("healthcheck", "run", container, check=False).returncode == 0, 60)
    job = {
        "source": {"url": "tpch:", "scale": 0.1, "text_mib": 1},
        "tables": ["orders"],
        "target": {"url": "file:///lake"},
    }
    (tmp_path / "lake/job").write_text(json.dumps(job))
    shutil.chown(tmp_path / "lake/job", UID, UID)
    (tmp_path / "lake/job").rename(state / "inbox/demo.json")
    try:
        wait_for(lambda: list((state / "inbox/done").glob("*.report.json")), 60)
    finally:
        log = podman("logs", container)
    assert json.loads(next((state / "inbox/done").glob("*.report.json")).read_text())["rows"] == 150_000
    assert list((lake / "orders").glob("*.parquet"))
    # The machine code came along.
    assert "compiling" not in log.stdout + log.stderr
    assert (cache / "compiled").exists() and not list(cache.rglob("*.cwasm"))
    podman("stop", "--time", "60", container)
    assert podman("inspect", "--format", "{{.State.ExitCode}}", container).stdout.strip() == "0"


def test_drivers_are_found_where_their_manager_is_and_missed_elsewhere(podman, images):
    asked = ["odbc", "drivers"]
    assert podman.run("--rm", "--tmpfs", "/tmp", images["whole"], *asked).returncode == 0
    missed = podman.run("--rm", "--tmpfs", "/tmp", images["small"], *asked, check=False)
    assert missed.returncode != 0 and "ODBC is not there" in missed.stderr and "`odbc`" in missed.stderr
