"""What holds for the tests themselves."""

import ast
import re
import tomllib

import pytest

from support.longshore import ROOT

TESTS = sorted(
    path.relative_to(ROOT / "tests/e2e").as_posix() for path in (ROOT / "tests/e2e").rglob("test_*.py")
)


@pytest.mark.parametrize("path", TESTS)
def test_no_test_imports_another(path):
    tree = ast.parse((ROOT / "tests/e2e" / path).read_text())
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    assert not [name for name in modules if re.search(r"(^|\.)(test_\w+|conftest)(\.|$)", name)]


def test_names_of_files_are_unique():
    names = [path.rpartition("/")[2] for path in TESTS]
    assert len(names) == len(set(names))


def test_every_marker_is_explained():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    explained = (ROOT / "tests/README.md").read_text()
    for marker in settings["markers"]:
        assert f"`{marker.partition(':')[0]}`" in explained, marker
