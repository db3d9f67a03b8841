"""A parameter's value goes through a literal of each database, and comes back as it was."""

import datetime
import json
import random
import tempfile
from decimal import Decimal
from pathlib import Path

import pyarrow.dataset as dataset
import pytest
import yaml

from support.hive import LOST
from support.odbc import postgres as odbc_postgres
from support.sources import SOURCES

MARKS = {
    "hive": [pytest.mark.hive, pytest.mark.flaky(reruns=2, only_rerun=LOST)],
    "mariadb": [pytest.mark.mariadb, pytest.mark.odbc],
    "odbc": [pytest.mark.postgres, pytest.mark.odbc],
    "postgres": [pytest.mark.postgres],
    "sqlite": [pytest.mark.odbc],
}

#: What texts are made of: all that means something to some SQL, and what does not.
PIECES = [
    "'", "''", '"', "\\", "\\'", "`", "$", "$$", "${env:HOME}", "{{ t }}", "{", "}", ";", "--", "/*", "*/", "#", "%", "_", "?",
    ":a", "@", "&", "E'", "N'", "q'[", "]'", "\n", "\r\n", "\t", "\x01", "\x7f", " ", "a", "ß", "☃", "😀", "\u0301",
    " OR 1=1", "'); DROP TABLE goods; --", "\\0", "\\u0041", "\\047", "null",
]  # fmt: skip

COUNT = 48


class Odbc(SOURCES["postgres"]):
    """PostgreSQL by its URL for ODBC."""

    def keys(self):
        return odbc_postgres(self.server)


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=MARKS.get(name, []))
        for name in ["postgres", "odbc", "mariadb", "sqlite", "hive"]
    ],
)
def source(request, scratch):
    source = {**SOURCES, "odbc": Odbc}[request.param]()
    source.name = request.param
    source.start(Path(tempfile.mkdtemp(prefix=f"{request.param}-", dir=scratch)), request.getfixturevalue)
    yield source
    source.stop()


def texts(seed):
    dice = random.Random(seed)
    drawn = ["".join(dice.choices(PIECES, k=dice.randint(1, 8))) for _ in range(COUNT - len(PIECES) - 2)]
    return ["", "x" * 8_192, *PIECES, *drawn]


def row(program):
    [found] = dataset.dataset(program.lake / "values", format="parquet").to_table().to_pylist()
    return found


def run(program, source, declared, values, select):
    """Runs a query that gives the values, which come by flags, as one row."""
    job = program.job(
        source,
        parameters=declared,
        relations=[{"query": f"SELECT {select}", "as": "values"}],
        target={"url": f"file://{program.lake}", "mode": "replace"},
    )
    return program.report("run", job, *[f"--param={name}={value}" for name, value in values.items()])


def test_a_text_stays_one_literal(program, source):
    values = {f"t{n}": text for n, text in enumerate(texts(7))}
    declared = {name: "text" for name in values}
    select = ", ".join(f"{{{{ {name} }}}} AS {name}" for name in values)
    report = run(program, source.keys(), declared, values, select)
    assert row(program) == values
    assert report["parameters"] == values


def test_numbers_dates_and_booleans_keep_their_values(program, source):
    values = {
        "n": "-9223372036854775807", "big": "9223372036854775807", "price": "-12.50", "whole": "7", "day": "2026-02-28",
        "first": "0001-01-01", "at": "2026-11-20T06:07:08.25", "yes": "true", "no": "false",
    }  # fmt: skip
    kinds = {
        "n": "integer", "big": "integer", "price": "decimal", "whole": "decimal", "day": "date", "first": "date",
        "at": "timestamp", "yes": "boolean", "no": "boolean",
    }  # fmt: skip
    if source.name == "mariadb":
        # It has no year 1, for its driver.
        values["first"] = "1000-01-01"
    select = ", ".join(f"{{{{ {name} }}}} AS {name}" for name in values)
    run(program, source.keys(), kinds, values, f"{select}, 3 -{{{{ n }}}} * 0 AS minus")
    found = row(program)

    def plain(value):
        return value.replace(tzinfo=None) if isinstance(value, datetime.datetime) else value

    texts_of = {name: str(plain(value)) for name, value in found.items()}
    if source.name == "sqlite":
        # It has no types for these.
        assert (found["price"], found["yes"], found["no"]) == ("-12.5", "1", "0"), found
        assert (texts_of["day"], texts_of["at"]) == ("2026-02-28", "2026-11-20 06:07:08.250")
        return
    assert (texts_of["n"], texts_of["big"]) == (values["n"], values["big"])
    assert (found["price"], found["whole"]) == (Decimal("-12.50"), Decimal(7))
    assert (texts_of["day"], texts_of["first"]) == (values["day"], values["first"])
    assert plain(found["at"]) == datetime.datetime(2026, 11, 20, 6, 7, 8, 250_000)
    assert (int(found["yes"]), int(found["no"])) == (1, 0)


def test_values_are_conditions(program, source):
    job = program.job(
        source.keys(),
        parameters={"least": "integer", "name": "text"},
        relations=[
            {
                "query": f"SELECT id FROM {source.goods} WHERE id >= {{{{ least }}}} OR name = {{{{ name }}}}",
                "as": "goods",
            }
        ],
    )
    report = program.report("run", job, "--param=least=3990", "--param=name=good 1")
    assert report["rows"] == 11
    hostile = "x' OR '1'='1\\' OR 1=1 --"
    program.lake.rename(program.folder / "before")
    assert program.report("run", job, "--param=least=3990", f"--param=name={hostile}")["rows"] == 10


@pytest.mark.parametrize("seed", [1, 2])
def test_sql_steps_take_every_text(program, seed):
    """A NUL character, too, which no flag can hold."""
    (program.folder / "one.csv").write_text("id\n1\n")
    values = {f"t{n}": text for n, text in enumerate([*texts(seed), "a\0b", "\0"])}
    select = ", ".join(f"{{{{ {name} }}}} AS {name}" for name in values)
    # As defaults: a job file can hold all of them.
    job = {
        "parameters": {name: {"type": "text", "default": text} for name, text in values.items()},
        "source": {"url": f"file://{program.folder}/"},
        "relations": [{"table": "one.csv", "as": "values"}],
        "transform": [{"sql": f"SELECT {select} FROM data"}],
        "target": {"url": f"file://{program.lake}"},
    }
    path = program.folder / "values.json"
    path.write_text(json.dumps(job))
    report = program.report("run", path)
    assert row(program) == values
    assert report["parameters"] == values


def test_sql_steps_keep_the_types_of_values(program):
    (program.folder / "one.csv").write_text("id\n1\n")
    kinds = {
        "n": ("integer", "-9223372036854775808", "int64"), "price": ("decimal", "-12.50", "decimal128(4, 2)"),
        "long": ("decimal", "0." + "1" * 37, "decimal128(37, 37)"), "day": ("date", "9999-12-31", "date32[day]"),
        "at": ("timestamp", "0001-01-01T00:00:00.000001", "timestamp[us]"), "yes": ("boolean", "true", "bool"),
    }  # fmt: skip
    select = ", ".join(f"{{{{ {name} }}}} AS {name}" for name in kinds)
    job = program.folder / "job.yaml"
    text = {
        "parameters": {name: kind for name, (kind, _, _) in kinds.items()},
        "source": {"url": f"file://{program.folder}/"},
        "relations": [{"table": "one.csv", "as": "values"}],
        "transform": [{"sql": f"SELECT {select} FROM data WHERE id < {{{{ price }}}} + 14"}],
        "target": {"url": f"file://{program.lake}"},
    }
    job.write_text(yaml.safe_dump(text))
    program.ok("run", job, *[f"--param={name}={value}" for name, (_, value, _) in kinds.items()])
    table = dataset.dataset(program.lake / "values", format="parquet").to_table()
    assert {field.name: str(field.type) for field in table.schema} == {
        name: type_name for name, (_, _, type_name) in kinds.items()
    }
    [found] = table.to_pylist()
    assert (found["n"], found["price"], found["yes"]) == (-(2**63), Decimal("-12.50"), True)
    assert (str(found["day"]), found["long"]) == ("9999-12-31", Decimal("0." + "1" * 37))
    assert found["at"] == datetime.datetime(1, 1, 1, 0, 0, 0, 1)
