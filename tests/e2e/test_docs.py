"""What the documents say is true."""

import json
import os
import re
import subprocess

import pytest

from conftest import LONGSHORE, PASSWORD, ROOT


def blocks(path, language):
    text = (ROOT / path).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands():
    for block in blocks("README.md", "console"):
        for line in block.splitlines():
            if line.startswith("$ ") and not line.startswith("$ make "):
                yield line[2:]


def test_every_command_of_the_readme_works(flights, program):
    """In their order, in one folder, with the README's own job file in it."""
    for name, text in re.findall(r"^`([a-z.]+)`:\n\n```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S):
        text = text.replace("db.internal:5432/shop", f"127.0.0.1:{flights.port}/postgres")
        text = text.replace("reader@", "postgres@").replace("file:///lake/shop", f"file://{program.lake}")
        (program.folder / name).write_text(text)
    secrets = program.folder / "secrets"
    secrets.mkdir()
    (secrets / "shop_reader").write_text(PASSWORD)
    env = {
        **program.env,
        "PATH": f"{LONGSHORE.parent}:{os.environ['PATH']}",
        "LONGSHORE_SECRETS": str(secrets),
    }
    ran = 0
    for command in commands():
        command = command.replace("/lake/shop", str(program.lake)).replace("RUN.json", "*.json")
        if " serve " in command:
            # Runs until it is stopped.
            command = f"timeout --preserve-status -s TERM 2 {command.removesuffix(' &')}"
        done = subprocess.run(command, shell=True, env=env, cwd=program.folder, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        ran += 1
    assert ran >= 5


def test_the_readmes_make_targets_exist():
    makefile = (ROOT / "Makefile").read_text()
    for block in blocks("README.md", "console"):
        for target in re.findall(r"^\$ make (\S+)", block, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_published_job_schema_is_the_programs_own():
    answer = subprocess.run([LONGSHORE, "schema"], capture_output=True, text=True, check=True).stdout
    assert json.loads(answer) == json.loads((ROOT / "docs/job.schema.json").read_text())


DOCUMENTS = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]


@pytest.mark.parametrize("path", sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS))
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / path).read_text()):
        assert (ROOT / path).parent.joinpath(link).exists(), link


def test_the_contract_changes_only_with_its_version():
    """A change of wit/ is a change of the contract: bump its version, then `tests/wit.lock`."""
    import hashlib

    digest = hashlib.sha256()
    for path in sorted((ROOT / "wit").glob("*.wit")):
        # What matters is what tools see: not comments, not white space.
        text = re.sub(r"//.*", "", path.read_text())
        digest.update(" ".join(text.split()).encode())
    version = re.search(r"package longshore:plugin@(\S+);", (ROOT / "wit/types.wit").read_text()).group(1)
    assert (ROOT / "tests/wit.lock").read_text().split() == [version, digest.hexdigest()]
