"""The archive for machines without a network: installs, upgrades, and what it refuses."""

import json
import os
import shutil

import pytest

from support.box import Box
from support.packages import PACKAGING, run, small
from support.wait import wait_for

#: An own network with nothing in it.
OFFLINE = ["unshare", "--net"]

LAKE = "file:///srv/lake"

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture(scope="session")
def contents(airgap, work):
    run("tar", "-xf", airgap, "-C", work)
    return work / airgap.stem


@pytest.fixture
def unpacked(contents, place):
    """Links to what the archive holds: `replace` changes one of them."""
    run("cp", "--archive", "--link", contents, place)
    return place / contents.name


def replace(path, content):
    path.unlink()
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.fixture
def install(unpacked, keys, place):
    """Calls the installer, by default for the tarball and a folder of the test."""
    prefix = place / "prefix"

    def call(*args, key=keys["own"][0], before=(), check=True):
        args = args or ["--prefix", prefix]
        env = {"PATH": os.environ["PATH"], "HOME": str(place)}
        return run(*OFFLINE, *before, unpacked / "install.sh", "--key", key, *args, env=env, check=check)

    call.prefix, call.folder = prefix, unpacked
    return call


def refused(done, *words):
    assert done.returncode != 0
    [line] = [line for line in done.stderr.splitlines() if line.startswith("install.sh: ")]
    assert not [word for word in words if word not in line], line


pytestmark = pytest.mark.root


def test_the_archive_is_signed_as_a_whole(airgap, keys):
    run("minisign", "-Vm", airgap, "-p", keys["own"][0])


def test_the_tarball_installs_without_a_network_and_runs_a_job(install, place):
    install()
    assert (install.prefix / "bin/longshore").stat().st_mode & 0o777 == 0o755
    job = place / "job.json"
    lake = place / "lake"
    job.write_text(
        json.dumps({"source": {"url": "tpch:"}, "tables": ["nation"], "target": {"url": f"file://{lake}"}})
    )
    env = {"HOME": str(place), "PATH": f"{install.prefix}/bin"}
    run(shutil.which("unshare"), "--net", install.prefix / "bin/longshore", "run", job, env=env)
    assert list((lake / "nation").glob("*.parquet"))
    # Nothing of the installation is left beside it.
    assert not [path for path in install.prefix.rglob("*.new")]


def test_it_installs_for_a_user_without_root(install):
    install.prefix.mkdir()
    os.chown(install.prefix, 65534, 65534)
    install(before=NOBODY)
    assert (install.prefix / "bin/longshore").stat().st_uid == 65534


def test_again_it_replaces_what_runs_and_takes_away_what_is_no_longer_there(install):
    install()
    old = install.prefix / "lib/longshore/plugins/old.wasm"
    old.write_text("of the version before")
    mine = install.prefix / "lib/longshore/plugins/mine.wasm"
    mine.write_text("somebody's own")
    listed = install.prefix / "lib/longshore/installed.txt"
    listed.write_text(listed.read_text() + "lib/longshore/plugins/old.wasm\n")
    before = (install.prefix / "bin/longshore").stat().st_ino
    install()
    assert (install.prefix / "bin/longshore").stat().st_ino != before
    assert not old.exists() and mine.exists()


def test_removed_it_leaves_what_is_not_its_own(install):
    install()
    mine = install.prefix / "bin/mine"
    mine.write_text("somebody's own")
    run("tar", "-xzf", next(install.folder.glob("*-linux.tar.gz")), "-C", install.folder.parent)
    [script] = install.folder.parent.glob("longshore-*-linux/install.sh")
    run(script, "--remove", "--prefix", install.prefix)
    left = [path for path in install.prefix.rglob("*") if path.is_file()]
    assert left == [mine]


@pytest.mark.parametrize("checker", ["minisign", "openssl"])
@pytest.mark.parametrize("fault", ["file", "checksums", "signature", "key", "unsigned", "none"])
def test_what_was_changed_on_its_way_is_not_installed(install, keys, fault, checker, place):
    folder, key = install.folder, keys["own"][0]
    sums = folder / "SHA256SUMS"
    words = ["SHA256SUMS: not signed by this key"]
    match fault:
        case "file":
            [tarball] = folder.glob("*-linux.tar.gz")
            replace(tarball, tarball.read_bytes()[:-1] + b"x")
            words = [tarball.name, "not what was released"]
        case "checksums":
            replace(sums, sums.read_text().replace("0", "1", 1))
        case "signature":
            signature = folder / "SHA256SUMS.minisig"
            lines = signature.read_text().splitlines()
            lines[1] = lines[1][:40] + ("B" if lines[1][40] == "A" else "A") + lines[1][41:]
            replace(signature, "\n".join(lines) + "\n")
        case "key":
            key = keys["strange"][0]
        case "unsigned":
            (folder / "SHA256SUMS.minisig").unlink()
            words = ["no SHA256SUMS with its signature"]
    path = programs_without(place, "minisign" if checker == "openssl" else None)
    done = install(key=key, before=["env", f"PATH={path}"], check=False)
    if fault == "none":
        assert done.returncode == 0, done.stderr
        return
    refused(done, *words)
    assert not install.prefix.exists()


def programs_without(folder, name):
    """A PATH of all programs but one."""
    programs = folder / "programs"
    programs.mkdir()
    for place in ["/usr/bin", "/bin", "/usr/sbin", "/sbin"]:
        for program in os.listdir(place):
            link = programs / program
            if program != name and not link.is_symlink():
                link.symlink_to(f"{place}/{program}")
    return programs


def test_what_it_needs_is_said(install, place):
    done = run(install.folder / "install.sh", check=False)
    refused(done, "--key")
    refused(install(key="nowhere.pub", check=False), "--key: nowhere.pub", "no such file")
    assert install("--prefixx", check=False).returncode == 2


def test_paths_are_those_of_the_caller(install, keys, place):
    """As the documentation has it: from the folder that has the archive and the key."""
    shutil.copy(keys["own"][0], place / "longshore.pub")
    command = f"{install.folder.name}/install.sh --key longshore.pub --prefix here"
    run(
        *OFFLINE, "sh", "-c", f"cd {place} && {command}", env={"PATH": os.environ["PATH"], "HOME": str(place)}
    )
    assert (place / "here/bin/longshore").exists()
    assert not (install.folder / "here").exists()


def test_without_root_it_says_how_else(install):
    refused(install("--tarball", before=NOBODY, check=False), "you may not write there", "--prefix")
    # Where there is dpkg, and nothing else is asked for.
    refused(install("--service", before=NOBODY, check=False), "only root", "--prefix")


def test_a_full_disk_is_noticed_before_anything_changes(install):
    install.prefix.mkdir()
    mounted = f'mount -t tmpfs -o size=40m none {install.prefix} && "$@"; code=$?; ls -A {install.prefix}; exit $code'
    done = install(before=["unshare", "--mount", "sh", "-c", mounted, "sh"], check=False)
    refused(done, f"{install.prefix}: 40 MiB are free", "make room")
    assert done.stdout.strip().splitlines()[-1].startswith("longshore: signature"), done.stdout


def test_a_downgrade_is_refused_with_a_way_that_works(install):
    install()
    program = install.prefix / "bin/longshore"
    program.unlink()
    program.write_text("#!/bin/sh\necho longshore 9.0.0\n")
    program.chmod(0o755)
    refused(install(check=False), "longshore 9.0.0 is installed", "this is 0.6.0", "install.sh --remove")
    assert "9.0.0" in program.read_text()
    run("tar", "-xzf", next(install.folder.glob("*-linux.tar.gz")), "-C", install.folder.parent)
    [script] = install.folder.parent.glob("longshore-*-linux/install.sh")
    run(script, "--remove", "--prefix", install.prefix)
    install()


@pytest.fixture(scope="module")
def box(scratch, work, deb):
    """A machine with systemd and no network, where an older version runs."""
    if not shutil.which("systemd-nspawn"):
        pytest.skip("needs systemd-container")
    box = Box(scratch / "release-box", small(deb, work / "older.deb", "0.5.9-1"))
    yield box
    box.down()


@pytest.mark.systemd
def test_an_upgrade_in_the_middle_of_a_run_loses_and_repeats_nothing(box, airgap, keys):
    assert len(box.run("cat", "/proc/net/route").splitlines()) == 1, "the machine has a network"
    box.run("systemctl", "start", "longshore")
    box.allow(LAKE)
    run("tar", "-xf", airgap, "-C", box.root / "root")
    shutil.copy(keys["own"][0], box.root / "root/own.pub")
    # What keeps packages from starting services on the machine of the tests is none of the box's.
    allow = box.root / "usr/sbin/policy-rc.d"
    allow.write_text("#!/bin/sh\nexit 0\n")
    allow.chmod(0o755)
    installer = f"/root/{airgap.stem}/install.sh"
    job = {
        "source": {"url": "tpch:", "scale": 2, "text_mib": 20},
        "tables": ["orders"],
        "chunk": {"rows": 50_000},
    }
    box.drop("load.json", {**job, "target": {"url": LAKE}})
    wait_for(lambda: box.has_begun("load"))
    before = box.property("MainPID")
    # It must not be done before the installer has checked everything; systemd wakes what it stops.
    box.run("kill", "-STOP", before)
    box.run(installer, "--key", "/root/own.pub")
    assert box.run("dpkg-query", "-W", "-f", "${Version}", "longshore") == "0.6.0-1"
    assert box.property("ActiveState") == "active" and box.property("MainPID") != before
    wait_for(lambda: box.reports("done"), 300)
    [report] = box.reports("done")
    assert report["rows"] == 3_000_000 and any("are kept" in text for text in report["interruptions"])
    assert [run["state"] for run in box.runs()] == ["succeeded"]
    assert os.listdir(box.root / "srv/lake") and not (box.root / "srv/lake/orders_v2").exists()
    box.run("longshore", "verify", f"/srv/lake/.longshore/runs/{report['run']}.json")
    # The settings are those of before.
    assert LAKE in (box.root / "etc/longshore/policy.toml").read_text()


@pytest.mark.systemd
def test_an_older_version_is_refused_until_the_newer_is_removed(box, work, keys, airgap):
    folder = box.root / f"root/{airgap.stem}"
    for package in folder.glob("longshore_*.deb"):
        package.unlink()
    shutil.copy(work / "older.deb", folder / "longshore_0.5.9_amd64.deb")
    run(PACKAGING / "sign.sh", folder, keys["own"][1])
    installer = [f"/root/{airgap.stem}/install.sh", "--key", "/root/own.pub"]
    refused(box.call(*installer), "longshore 0.6.0-1 is installed", "this is 0.5.9-1", "dpkg -r longshore")
    assert box.property("ActiveState") == "active"
    box.run("dpkg", "-r", "longshore")
    box.run(*installer)
    assert box.run("dpkg-query", "-W", "-f", "${Version}", "longshore") == "0.5.9-1"
