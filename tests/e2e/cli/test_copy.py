"""`longshore copy`: a job in one command, and what it says when something is wrong."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import termios

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml

from support.longshore import LONGSHORE, NOBODY, PASSWORD, ROOT, only
from support.wait import wait_for

TPCH = ["tpch:", "--option", "scale=0.01", "--option", "text_mib=1", "--table", "nation"]


@pytest.fixture
def here(program):
    """The program without plugins, in a folder of its own with a file in it."""
    only(program)
    program.work = program.folder / "work"
    program.work.mkdir()
    (program.work / "people.csv").write_text("name,age\nAda,36\nBob,20\nCyd,70\n")
    return program


def copy(program, *args, **options):
    return program.report("copy", *args, cwd=program.work, **options)


def refused(program, *args, **options):
    return program.refused("copy", *args, cwd=program.work, **options)


def names(folder):
    return sorted(os.listdir(folder))


def test_a_file_becomes_another_and_nothing_is_left_beside_it(here):
    report = copy(here, "people.csv", "people.parquet")
    assert report["rows"] == 3
    assert names(here.work) == ["people.csv", "people.parquet"]
    table = pq.read_table(here.work / "people.parquet")
    assert table.to_pydict() == {"name": ["Ada", "Bob", "Cyd"], "age": [36, 20, 70]}
    assert "intact" in here.ok("verify", report["manifest"])
    assert names(here.folder / "state/jobs") == []


def test_sql_sees_the_rows_as_data(here):
    copy(here, "people.csv", "old.jsonl", "--sql", "SELECT name FROM data WHERE age > 25")
    rows = [json.loads(line) for line in (here.work / "old.jsonl").read_text().splitlines()]
    assert rows == [{"name": "Ada"}, {"name": "Cyd"}]


def test_a_folder_becomes_a_folder(here):
    (here.work / "data").mkdir()
    (here.work / "people.csv").rename(here.work / "data/people.csv")
    copy(here, "data/", "lake", "--format", "csv")
    [part] = (here.work / "lake/data").iterdir()
    assert pyarrow.csv.read_csv(part).num_rows == 3
    home = {"HOME": str(here.work)}
    copy(here, "~/data/people.csv", "~/lake/", "--as", "folk", env=home)
    assert len(list((here.work / "lake/folk").iterdir())) == 1


@pytest.mark.parametrize(
    "name",
    [
        "a b.csv",
        "50%41.csv",
        "a#1.csv",
        "what?.csv",
        "s3:",
        "a:b.csv",
        "[x].csv",
        "~x.csv",
        "-.csv",
        "é\\.csv",
    ],
)
def test_odd_names_name_files(here, name):
    (here.work / "people.csv").rename(here.work / name)
    copy(here, f"./{name}", f"./out {name}.parquet", "--option", "format=csv")
    assert pq.read_table(here.work / f"out {name}.parquet").num_rows == 3
    assert "Ada" in here.ok("preview", f"./out {name}.parquet", cwd=here.work)


def test_a_name_that_is_not_utf_8_is_told(here):
    done = subprocess.run(
        [LONGSHORE, "copy", b"\xff.csv", "out.parquet"], env=here.env, cwd=here.work, capture_output=True
    )
    assert done.returncode == 2 and b"SOURCE" in done.stderr and b"is not UTF-8" in done.stderr


def test_paths_of_a_job_lie_beside_its_file(here):
    (here.work / "job.yaml").write_text("source: { url: people.csv }\ntarget: { url: sub/../out.parquet }\n")
    here.ok("run", here.work / "job.yaml", cwd=here.folder)
    assert pq.read_table(here.work / "out.parquet").num_rows == 3


def test_a_second_copy_is_refused_until_it_may_replace(here):
    copy(here, "people.csv", "out.parquet")
    before = (here.work / "out.parquet").read_bytes()
    line, code = refused(here, "people.csv", "out.parquet", "--sql", "SELECT 1 AS a FROM data")
    assert code == 2 and "is already there" in line and "--mode replace" in line
    assert (here.work / "out.parquet").read_bytes() == before
    copy(here, "people.csv", "out.parquet", "--sql", "SELECT 1 AS a FROM data", "--mode", "replace")
    assert pq.read_table(here.work / "out.parquet").column_names == ["a"]
    assert names(here.work) == ["out.parquet", "people.csv"]


@pytest.mark.parametrize(
    "args, words",
    [
        (["nope.csv", "out.parquet"], ["nope.csv"]),
        (["people.csv", "ftp://x/y"], ["ftp"]),
        (["nosuch://x/y", "out.parquet", "--table", "a"], ["nosuch"]),
        (["people.csv", "out.parquet", "--format", "csv"], ["--format is csv", "out.parquet"]),
        (["people.csv", "out.csv.bz2"], ["TARGET", "bz2"]),
        (["people.csv", "out.parquet", "--mode", "append"], ["--mode is append", "TARGET"]),
        (["people.csv", "out.parquet", "--query", "SELECT 1"], ["--query", "--sql"]),
        (["people.csv", "out.parquet", "--chunk-by", "age"], ["--chunk-by age", "--table"]),
        (["people.csv", "out.parquet", "--sql", "FROM data"], ["--sql", "SELECT *"]),
        (["people.csv", "out.parquet", "--sql", "SELECT * FROM data TABLESAMPLE (1)"], ["TABLESAMPLE", "random()"]),
        (["people.csv", "out.parquet", "--option", "zzz=1"], ["zzz"]),
        (["people.csv", "out.parquet", "--option", "zzz"], ["--option", "gives no value"]),
        (["people.csv", "out.parquet", "--target-option", "zzz=1"], ["zzz"]),
        (["people.csv", "out.parquet", "--sql", "SELECT nope FROM data"], ["nope"]),
        (["", "out.parquet"], ["SOURCE"]),
        (["people.csv", ""], ["TARGET"]),
        (["postgres://me:pw@h/db", "out.parquet", "--table", "a"], ["SOURCE holds a password", "--password-env"]),
        (["postgres://h/db?table=a", "out.parquet", "--option", "password=me:pw"], ["--option password", "--password-env"]),
        (["postgres://h/db?table=a", "out.parquet", "--query", "SELECT 1"], ["keep one of them"]),
        ([".", "out.parquet", "--table", "a.csv", "--table", "b.csv"], ["TARGET names one file", "2 relations"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_the_words_of_the_command(here, args, words):
    line, _ = refused(here, *args)
    for word in words:
        assert word in line, line
    for key in ["`source", "`target", "line 1", ".yaml", "me:pw"]:
        assert key not in line, line
    assert names(here.work) == ["people.csv"]


#: Where people type secrets, and the next step that is told.
SECRETS = [
    (["postgres://h/db?table=a&password=s3cr3t"], [], "--password-env"),
    (["odbc:DSN=x;UID=u;PWD=s3cr3t"], ["--table", "a"], "--password-env"),
    (["people.csv", "impala://h/db?pwd=s3cr3t"], [], "--target-password-env"),
    (["people.csv", "https://h/hook?token=s3cr3t"], [], "--target-option 'token="),
    (["people.csv"], ["--target-option", "s3.secret_access_key=s3cr3t"], "'s3.secret_access_key="),
    (["people.csv", "azure://c/x?sig=s3cr3t"], [], "--target-option 'azure.sas="),
    (["people.csv"], ["--target-option", 'headers={"authorization":"s3cr3t"}'], "'token="),
    (["people.csv"], ["--option", "s3.session_token=s3cr3t"], "--option 's3.session_token="),
]


@pytest.mark.parametrize("urls, flags, words", SECRETS)
def test_no_secret_is_written_down(here, urls, flags, words):
    line, code = refused(here, *urls, *["out.parquet"][len(urls) - 1 :], *flags, "--save", "saved.yaml")
    assert code == 2 and "list of processes" in line and words in line, line
    for file in here.folder.rglob("*"):
        assert not file.is_file() or b"s3cr3t" not in file.read_bytes(), file


def test_a_job_is_saved_as_yaml_only(here):
    for command in [
        ["copy", "people.csv", "o.csv", "--save", "a.toml"],
        ["init", "a.toml", "--example", "tpch"],
    ]:
        line, code = here.refused(*command, cwd=here.work)
        assert code == 2 and "name it a.yaml" in line
    assert names(here.work) == ["people.csv"]


def test_a_name_that_cannot_be_read_spoils_only_what_it_is_in(here):
    folder = here.work / "in"
    folder.mkdir()
    (folder / "x.csv").write_text("a\n1\n")
    (folder / os.fsdecode(b"bad\xff.csv")).write_text("a\n1\n")
    (folder / "b\n.csv").write_text("a\n1\n")
    line, code = refused(here, "in", "o.csv")
    assert code == 2 and "UTF-8" in line and "with a pattern" in line, line
    assert copy(here, "in/x*.csv", "o.csv")["rows"] == 1


def test_a_file_that_is_replaced_keeps_its_permissions(here):
    copy(here, "people.csv", "out.csv")
    for mode in [0o600, 0o664]:
        (here.work / "out.csv").chmod(mode)
        copy(here, "people.csv", "out.csv", "--mode", "replace")
        assert (here.work / "out.csv").stat().st_mode & 0o777 == mode


def test_a_file_that_may_not_be_read_is_not_told_as_missing(here):
    if os.getuid() != 0:
        pytest.skip("needs root, to be somebody else")
    # A checkout may lie where nobody may look.
    binary = shutil.copy(LONGSHORE, here.folder / "longshore")
    own = {name: here.folder / name for name in ["own_state", "own_cache"]}
    for folder in own.values():
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
    env = {**here.env, "LONGSHORE_STATE": str(own["own_state"]), "LONGSHORE_CACHE": str(own["own_cache"])}
    os.chown(here.work, NOBODY, NOBODY)
    (here.work / "people.csv").chmod(0o600)
    for source in ["people.csv", "."]:
        done = subprocess.run(
            [binary, "copy", source, "out.parquet"],
            env=env, cwd=here.work, user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 5 and "people.csv" in done.stderr, done.stderr


def test_a_tab_can_be_written_as_people_write_it(here):
    (here.work / "tabs.csv").write_text("a\tb\n1\t2\n")
    copy(here, "tabs.csv", "out.jsonl", "--option", "csv.delimiter=\\t")
    assert json.loads((here.work / "out.jsonl").read_text()) == {"a": 1, "b": 2}


def test_a_link_that_leads_nowhere_takes_the_name(here):
    (here.work / "out.parquet").symlink_to("nowhere.parquet")
    line, code = refused(here, "people.csv", "out.parquet")
    assert code == 2 and "is already there" in line
    line, code = refused(here, "people.csv", "out.parquet", "--mode", "replace")
    assert code == 2 and "no regular file" in line
    assert names(here.work) == ["out.parquet", "people.csv"]


def test_next_steps_can_be_typed(here):
    (here.work / "v.jsonl").write_text('{"f4":"NaN"}\n{"f4":1.5}\n')
    line, _ = refused(here, "v.jsonl", "o.jsonl")
    assert "`--option columns.f4=string`" in line
    copy(here, "v.jsonl", "o.jsonl", "--option", "columns.f4=string")
    line, _ = refused(here, ".", "lake", "--table", "people.csv", "--table", "[xy].csv")
    assert "--table `[xy].csv` gives no name" in line and "--as NAME" in line
    line, _ = refused(here, "people.csv", "x.csv", "--as", "a/b")
    assert "give another one with --as" in line


def test_tables_and_queries_exclude_each_other(here):
    done = here.call("copy", "postgres://h/db", "out.parquet", "--table", "a", "--query", "SELECT 1")
    assert done.returncode == 2 and "cannot be used with" in done.stderr


def test_nothing_to_move_is_told(program):
    line, code = program.refused("copy", "tpch:", "out.parquet")
    assert code == 2 and "SOURCE names nothing to move" in line and "--table" in line


def test_a_dry_run_writes_nothing_and_a_saved_job_does_the_same(program):
    program.work = program.folder / "work"
    program.work.mkdir()
    args = [*TPCH, "nations.parquet", "--sql", "SELECT n_name\nFROM data", "--save", "job.yaml"]
    plan = program.ok("copy", *args, "--dry-run", cwd=program.work)
    assert "n_name" in plan and names(program.work) == ["job.yaml"]
    line, _ = program.refused("copy", *args, cwd=program.work)
    assert "job.yaml is already there" in line and "--force" in line
    program.ok("copy", *args, "--force", cwd=program.work)
    copied = pq.read_table(program.work / "nations.parquet")
    (program.work / "nations.parquet").unlink()
    program.ok("run", program.work / "job.yaml", cwd=program.folder)
    assert pq.read_table(program.work / "nations.parquet").equals(copied)
    assert (program.work / "job.yaml").read_text().startswith("# ")


def test_options_and_tables_can_stand_in_the_source(program):
    program.ok("copy", "tpch:?scale=0.01&text_mib=1&table=nation&table=region", "lake", cwd=program.folder)
    assert names(program.lake) == [".longshore", "nation", "region"]


def test_the_same_command_goes_on_with_what_was_killed(program):
    program.work = program.folder / "work"
    program.work.mkdir()
    # One chunk at a time, of many.
    args = [
        "copy",
        "tpch:?scale=0.2&text_mib=1&table=orders",
        "out.parquet",
        "--chunk-rows",
        "3000",
        "--parallel",
        "1",
    ]
    with (program.folder / "killed.log").open("w") as log:
        killed = subprocess.Popen(
            [LONGSHORE, *args], cwd=program.work, env=program.env, stdout=log, stderr=log
        )
        program.started.append(killed)

        def has_read():
            runs = json.loads(program.ok("--json", "runs"))
            return runs and runs[0]["tasks"]["done"] >= 3

        wait_for(has_read)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert not (program.work / "out.parquet").exists(), "half a file"
    done = program.call("--json", *args, cwd=program.work)
    assert done.returncode == 0, done.stderr
    assert "going on with run" in done.stderr
    report = json.loads(done.stdout)
    assert report["rows"] == 300_000 and any("chunks are kept" in text for text in report["interruptions"])
    assert names(program.work) == ["out.parquet"]
    assert pq.read_table(program.work / "out.parquet").num_rows == 300_000


def test_a_failed_copy_can_be_retried(here):
    line, _ = refused(here, "later.csv", "out.parquet")
    assert "later.csv" in line
    [run] = json.loads(here.ok("--json", "runs"))
    kept = here.folder / "state/jobs" / run["run"] / "copy.yaml"
    assert kept.stat().st_mode & 0o777 == 0o600
    (here.work / "people.csv").rename(here.work / "later.csv")
    here.ok("runs", "retry", run["run"], cwd=here.folder)
    assert pq.read_table(here.work / "out.parquet").num_rows == 3


def test_a_run_key_runs_nothing_twice(here):
    first = copy(here, "people.csv", "out.parquet", "--run-key", "k")
    assert copy(here, "people.csv", "out.parquet", "--run-key", "k") == first


def test_a_query_of_a_database_takes_parameters(flights, program):
    url = flights.url()
    query = "SELECT carrier, name FROM airlines WHERE carrier = {{ carrier }}"
    args = ["copy", url, "out.csv", "--password-env", "PGPASSWORD", "--query", query, "--param", "carrier=HA"]
    report = program.report(*args, cwd=program.folder)
    assert report["rows"] == 1 and (program.folder / "out.csv").read_text().count("\n") == 2
    program.ok(
        "copy", f"{url}?table=airlines", "lake", "--password-file", password_file(program), cwd=program.folder
    )
    assert (program.lake / "airlines").is_dir()
    line, code = program.refused(
        "copy", url, "x.csv", "--table", "no_such", "--password-env", "PGPASSWORD", cwd=program.folder
    )
    assert "no_such" in line and code == 4


def password_file(program):
    file = program.folder / "password"
    file.write_text(PASSWORD)
    return file


def test_a_password_is_asked_for_on_a_terminal_and_kept_nowhere(flights, program):
    # Unlike the tests' own, no word of anything else.
    password = "kept-n0where"
    with flights.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS asked")
        connection.execute(f"CREATE ROLE asked SUPERUSER LOGIN PASSWORD '{password}'")
    master, slave = pty.openpty()
    env = {**program.env, "LONGSHORE_RETRIES": "0"}
    env.pop("PGPASSWORD")
    asking = subprocess.Popen(
        [LONGSHORE, "copy", flights.url(user="asked"), "out.parquet", "--table", "airlines"],
        stdin=slave, stdout=slave, stderr=slave, env=env, cwd=program.folder, start_new_session=True,
    )  # fmt: skip
    program.started.append(asking)
    os.close(slave)
    said = b""
    while b"password for" not in said:
        said += os.read(master, 4096)
    # It listens without an echo.
    wait_for(lambda: not termios.tcgetattr(master)[3] & termios.ECHO)
    os.write(master, password.encode() + b"\n")
    try:
        while more := os.read(master, 4096):
            said += more
    except OSError:
        pass
    assert asking.wait(60) == 0, said
    assert pq.read_table(program.folder / "out.parquet").num_rows == 16
    assert password.encode() not in said
    for file in (program.folder / "state").rglob("*"):
        assert not file.is_file() or password.encode() not in file.read_bytes(), file


def test_validate_shows_the_job_without_secrets(program):
    source = {"url": "postgres://me@h/db", "password": "s3cret"}
    job = program.job(
        source, tables=["public.orders"], parameters={"day": {"type": "date", "default": "2026-01-01"}}
    )
    said = program.ok("validate", job, "--show")
    assert "s3cret" not in said and "(hidden)" in said
    shown = yaml.safe_load(said.split("\n\n", 1)[1])
    assert shown["relations"] == [{"as": "orders", "table": "public.orders"}]
    assert shown["target"]["mode"] == "version" and shown["chunk"]["rows"] == "automatic"
    assert program.report("validate", job, "--show")["understood"]["source"]["password"] == "(hidden)"


@pytest.mark.parametrize("example", ["files", "hive", "impala", "odbc", "postgres", "tpch"])
def test_every_example_is_a_valid_job(program, example):
    program.ok("init", "job.yaml", "--example", example, cwd=program.folder)
    program.ok("validate", program.folder / "job.yaml")
    line, code = program.refused("init", "job.yaml", "--example", example, cwd=program.folder)
    assert code == 2 and "--force" in line
    program.ok("init", "job.yaml", "--example", example, "--force", cwd=program.folder)
    assert "source:" in program.ok("init", "-", "--example", example, cwd=program.folder)


def answered(program, answers):
    """Has `init` ask on a terminal; what it says there."""
    master, slave = pty.openpty()
    asking = subprocess.Popen(
        [LONGSHORE, "init", "new.yaml"], stdin=slave, stdout=slave, stderr=slave, env=program.env,
        cwd=program.folder, start_new_session=True,
    )  # fmt: skip
    program.started.append(asking)
    os.close(slave)
    os.write(master, answers)
    assert asking.wait(60) == 0
    return os.read(master, 65536).decode()


def test_init_asks_on_a_terminal_only(program):
    line, code = program.refused("init", "new.yaml", cwd=program.folder)
    assert code == 2 and "--example" in line
    answered(program, b"tpch\n\nnation\nout.parquet\n")
    job = yaml.safe_load((program.folder / "new.yaml").read_text())
    assert job["tables"] == ["nation"] and job["target"]["url"] == "out.parquet"
    program.ok("run", program.folder / "new.yaml")
    assert pq.read_table(program.folder / "out.parquet").num_rows == 25


def test_answers_that_make_no_job_are_asked_for_again(here):
    said = answered(here, b"files\nraw/*.csv\n*.csv\nlake2\n" + b"\n-\n\n")
    assert "the tables: the address names files already" in said and "give `-` for all of them" in said
    job = yaml.safe_load((here.folder / "new.yaml").read_text())
    assert (job["source"]["url"], job["target"]["url"]) == ("raw/*.csv", "lake2") and "tables" not in job


def test_an_address_with_a_secret_is_asked_for_again(here):
    said = answered(
        here, b"postgres\npostgres://u:s3cr3t@h/d\nPW\norders\nlake\n" + b"postgres://u@h/d\n\n\n\n"
    )
    assert "the address holds a secret" in said
    text = (here.folder / "new.yaml").read_text()
    assert "s3cr3t" not in text and yaml.safe_load(text)["source"]["password"] == {"env": "PW"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "elvish", "powershell"])
def test_every_shell_has_completions(program, shell):
    said = program.ok("completions", shell)
    assert "longshore" in said and "copy" in said
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=said, text=True, check=True)


def test_the_commands_of_the_guide_work(program):
    (program.folder / "data").mkdir()
    for name in ["people.csv", "data/people.csv"]:
        (program.folder / name).write_text("name,age\nAda,36\nBob,20\n")
    env = {**program.env, "PATH": f"{LONGSHORE.parent}:{os.environ['PATH']}"}
    page = (ROOT / "docs/how-to/copy.md").read_text()
    commands = re.findall(r"^\$ (.*)$", page, re.M)
    for command in commands:
        done = subprocess.run(
            command, shell=True, env=env, cwd=program.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
    assert len(commands) >= 5
