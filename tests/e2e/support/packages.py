"""Packages, made of the .deb of `make deb` by the scripts that `make release` runs."""

import os
import re
import shutil
import subprocess

from support.longshore import ROOT

PACKAGING = ROOT / "packaging"

#: Debian's packages: downloaded once.
DEBS = ROOT / "target/debs"

#: Any moment; gzip's quickest level.
ENV = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "GZIP_LEVEL": "1", "DEBS": str(DEBS)}

#: Those that the tests run: each is compiled once more.
PLUGINS = ["tpch", "odbc"]


def run(*command, check=True, **options):
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=300,
        **{"env": ENV, **options},
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done


def small(deb, out, version="0.6.0-1", plugins=PLUGINS):
    """The same package with fewer plugins, not compressed, and perhaps of another version."""
    tree = out.with_suffix(".tree")
    run("dpkg-deb", "--raw-extract", deb, tree)
    for plugin in (tree / "usr/lib/longshore/plugins").iterdir():
        if plugin.stem not in plugins:
            plugin.unlink()
    # Checksums of files that are gone.
    (tree / "DEBIAN/md5sums").unlink(missing_ok=True)
    control = tree / "DEBIAN/control"
    control.write_text(re.sub(r"^Version: .*$", f"Version: {version}", control.read_text(), flags=re.M))
    run("dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, out)
    shutil.rmtree(tree)
    return out


def make_key(folder, name):
    """A key without a password: the public file, and the secret one."""
    public, secret = folder / f"{name}.pub", folder / f"{name}.key"
    run("minisign", "-G", "-W", "-p", public, "-s", secret, input="\n\n")
    return public, secret
