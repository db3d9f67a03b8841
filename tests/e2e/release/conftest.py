import shutil
import tempfile
from pathlib import Path

import pytest

from support.box import DEB
from support.packages import PACKAGING, make_key, run, small


@pytest.fixture(scope="session")
def work(scratch):
    folder = scratch / "release"
    folder.mkdir()
    return folder


@pytest.fixture
def place(work):
    """A folder that every user may enter."""
    folder = Path(tempfile.mkdtemp(dir=work))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def deb(work):
    """The package of this build, with few plugins."""
    if not DEB.exists():
        pytest.skip("no package: make deb")
    return small(DEB, work / "longshore.deb")


@pytest.fixture(scope="session")
def keys(work):
    """The releaser's key, and a stranger's."""
    return {name: make_key(work, name) for name in ["own", "strange"]}


@pytest.fixture(scope="session")
def packages(work, deb, keys):
    """All that `make release` makes."""
    folder = work / "packages"
    run(PACKAGING / "release.sh", deb, folder, keys["own"][1])
    return folder


@pytest.fixture(scope="session")
def airgap(work, deb, keys):
    """What `make airgap` makes; without the images, which nobody installs."""
    packages = work / "installable"
    run(PACKAGING / "tarball/build.sh", deb, packages)
    shutil.copy(deb, packages / "longshore_0.6.0_amd64.deb")
    run(PACKAGING / "airgap/build.sh", packages, work / "airgap", keys["own"][1])
    [archive] = (work / "airgap").glob("*.tar")
    return archive
