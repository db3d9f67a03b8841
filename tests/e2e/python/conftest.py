"""The package, as it is installed from the wheel."""

import sys

import pytest

from support.wheel import SITE, installed


@pytest.fixture(scope="session")
def package():
    """The package `longshore`; it is not there before."""
    installed()
    sys.path.insert(0, str(SITE))
    import longshore

    assert longshore.__file__.startswith(str(SITE))
    yield longshore
    sys.path.remove(str(SITE))


@pytest.fixture
def longshore(package, program, monkeypatch):
    """The package, with folders of its own; it finds its plugins by itself."""
    for name in ("LONGSHORE_CACHE", "LONGSHORE_STATE"):
        monkeypatch.setenv(name, program.env[name])
    for name in ("LONGSHORE_PLUGINS", "LONGSHORE_SERVER", "LONGSHORE_TOKEN", "LONGSHORE_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(program.folder)
    return package
