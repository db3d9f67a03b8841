"""What the documents say is true."""

import json
import os
import re
import subprocess
import sys

import pytest

from support.longshore import LONGSHORE, PASSWORD, ROOT


def blocks(path, language):
    text = (ROOT / path).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(path):
    for block in blocks(path, "console"):
        for line in block.splitlines():
            if line.startswith("$ ") and not line.startswith("$ make "):
                yield line[2:]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/quickstart.md",
        "docs/how-to/parameters.md",
        "docs/how-to/checks.md",
        "docs/how-to/incremental.md",
        "docs/how-to/schema-drift.md",
    ],
)
def test_every_command_works(flights, program, page):
    """In their order, in one folder, with the page's own job files in it."""
    with flights.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS orders")
        connection.execute("CREATE TABLE orders AS SELECT DATE '2026-11-20' AS day, 'US' AS region, 1 AS id")

    def here(text):
        text = text.replace("db.internal:5432/shop", f"127.0.0.1:{flights.port}/postgres").replace(
            "reader@", "postgres@"
        )
        return text.replace("/tmp/lake", str(program.lake)).replace("/lake/shop", str(program.lake))

    for name, text in re.findall(
        r"^`([a-z.]+)`:\n\n```yaml\n(.*?)^```", (ROOT / page).read_text(), re.M | re.S
    ):
        (program.folder / name).write_text(here(text))
    secrets = program.folder / "secrets"
    secrets.mkdir()
    (secrets / "shop_reader").write_text(PASSWORD)
    env = {
        **program.env,
        "PATH": f"{LONGSHORE.parent}:{os.environ['PATH']}",
        "LONGSHORE_SECRETS": str(secrets),
    }
    ran = 0
    for command in commands(page):
        command = here(command).replace("RUN.json", "*.json")
        if " serve " in command:
            # Runs until it is stopped.
            command = f"timeout --preserve-status -s TERM 2 {command.removesuffix(' &')}"
        done = subprocess.run(
            command, shell=True, env=env, cwd=program.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        ran += 1
    assert ran >= 5


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/quickstart.md"])
def test_the_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    for block in blocks(page, "console"):
        for target in re.findall(r"^\$ make (\S+)", block, re.M):
            assert re.search(rf"^{target}:", makefile, re.M), target


PAGES = sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any("\ntarget:" in job for job in blocks(page, "yaml"))]
)
def test_the_jobs_are_valid(program, page):
    """Those that are whole, and need no plugin that is yet to be written."""
    for text in blocks(page, "yaml"):
        if text.startswith(("source:", "name:")) and "\ntarget:" in text and "my-source:" not in text:
            (program.folder / "shown.yaml").write_text(text)
            program.ok("validate", program.folder / "shown.yaml")


@pytest.mark.parametrize(
    "page, flag", [("docs/how-to/policy.md", "--policy"), ("docs/reference/settings.md", "--config")]
)
def test_the_operators_files_are_valid(program, page, flag):
    [text] = blocks(page, "toml")
    (program.folder / "shown.toml").write_text(text)
    line = "source: { url: 's3://raw/shop' }\ntables: [a.csv]\ntarget: { url: 'file:///lake/shop' }\n"
    (program.folder / "job.yaml").write_text(line)
    program.ok(flag, program.folder / "shown.toml", "validate", program.folder / "job.yaml")


def test_the_published_job_schema_is_the_programs_own():
    answer = subprocess.run([LONGSHORE, "schema"], capture_output=True, text=True, check=True).stdout
    assert json.loads(answer) == json.loads((ROOT / "docs/job.schema.json").read_text())


def test_the_generated_reference_is_up_to_date():
    command = [sys.executable, "tools/reference.py", "--check", LONGSHORE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "section, text, sections",
    [
        ("", "zzz = 1", ["limits", "lineage", "notify"]),
        ("`[limits]`", "[limits]\nzzz = 1", []),
        ("`[lineage]`", "[lineage]\nzzz = 1", []),
        ("`[[notify]]`", '[[notify]]\nurl = "http://hooks.internal/"\nzzz = 1', []),
    ],
)
def test_every_setting_is_documented(program, section, text, sections):
    """What the program names as its keys, where it refuses another."""
    settings = program.folder / "zzz.toml"
    settings.write_text(text)
    line, _ = program.refused(
        "--config", settings, "validate", program.job({"url": "tpch:"}, tables=["nation"])
    )
    keys = line.split("the keys here are ")[1].split(", ")
    first, *others = (ROOT / "docs/reference/settings.md").read_text().split("\n## ")
    parts = {"": first, **dict(part.split("\n", 1) for part in others)}
    documented = re.findall(r"^\| `(\w+)` \|", parts[section], re.M)
    assert sorted(documented + sections) == sorted(keys)


def test_exit_codes_are_as_documented(program, flights):
    page = (ROOT / "docs/reference/exit-codes.md").read_text()
    code_of = {
        name: int(code)
        for code, names in re.findall(r"^\| (\d+) \| .* \| (.*) \|$", page, re.M)
        for name in re.findall(r"`([\w-]+)`", names)
    }
    classes = re.findall(r"^\| `([\w-]+)` \| .*? \| (.*?) \| .*? \|$", page, re.M)
    assert sorted(code_of) == sorted(name for name, _ in classes)
    nowhere = {"url": "postgres://postgres@127.0.0.1:1/postgres"}
    failing = {
        "config": program.job({"url": "tpch:", "zzz": 1}, tables=["nation"], name="config.yaml"),
        "connection": program.job(nowhere, tables=["flights"], name="connection.yaml"),
        "not-found": program.postgres(flights, tables=["no_such_table"], name="not-found.yaml"),
        "data": program.postgres(flights, query="SELECT 1/0 AS a", name="data.yaml"),
        "auth": program.postgres(
            flights, source={"password": {"env": "WRONG"}}, tables=["flights"], name="auth.yaml"
        ),
    }
    for name, job in failing.items():
        done = program.call("--json", "--retries", "0", "run", job, env={"WRONG": "wrong"})
        error = json.loads(done.stdout)["error"]
        assert (error["class"], error["exit_code"], done.returncode) == (
            name,
            code_of[name],
            code_of[name],
        ), error
        assert error["who_must_act"] == dict(classes)[name]


DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "plugins").rglob("*.md")]


def anchors(path):
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", sorted(str(path.relative_to(ROOT)) for path in DOCUMENTS))
def test_links_lead_somewhere(path):
    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]+))?\)", (ROOT / path).read_text()):
        target = (ROOT / path).parent.joinpath(link) if link else ROOT / path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


def test_the_map_names_what_exists():
    """Paths of ARCHITECTURE.md from the root, and the modules of its table of crates, each below its crate's folder."""
    page = (ROOT / "ARCHITECTURE.md").read_text()
    spans = re.findall(r"`([^`\s]+)`", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S))
    paths = [span.split("#")[0] for span in spans if re.match(r"(host|sdk|plugins|wit|tests|docs)/", span)]
    assert len(paths) > 50
    assert [path for path in paths if not list(ROOT.glob(path.rstrip("/")))] == []
    crates = re.findall(r"^\| `longshore[\w-]*` \| `(\S+)` \| (.*) \|$", page, re.M)
    manifests = ROOT.glob("host/*/Cargo.toml")
    assert sorted(folder for folder, _ in crates) == sorted(
        str(path.parent.relative_to(ROOT)) for path in manifests
    )
    for folder, modules in crates:
        there = {path.stem for path in (ROOT / folder / "src").rglob("*")}
        assert set(re.findall(r"`(\w+)`", modules)) <= there, folder


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
