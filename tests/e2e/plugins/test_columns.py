"""Only the columns that a transform reads cross into it: the others come out as they went in."""

import datetime
import hashlib
import hmac
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.hostile import SECRET
from support.longshore import HOSTILE

ROWS = 3_000

EPOCH = datetime.date(1970, 1, 1)

COLUMNS = {
    "id": (pa.field("id", pa.int64(), nullable=False), lambda n: n),
    "short": (pa.field("short", pa.int16()), lambda n: n % 100 - 50),
    "text": (pa.field("text", pa.string()), lambda n: "naïve ☃ " * (n % 9)),
    "sure": (pa.field("sure", pa.string(), nullable=False), lambda n: f"n{n}"),
    "bytes": (pa.field("bytes", pa.binary()), lambda n: bytes([n % 256, 0])),
    "code": (pa.field("code", pa.binary(4)), lambda n: n.to_bytes(4, "big")),
    "day": (pa.field("day", pa.date32()), lambda n: EPOCH + datetime.timedelta(n - 1_000)),
    "price": (pa.field("price", pa.decimal128(12, 2)), lambda n: Decimal(n) / 4),
    "at": (pa.field("at", pa.timestamp("us")), lambda n: datetime.datetime(2026, 1, 1, 0, 0, n % 60, n)),
}


def table():
    """Every third value is null where it may be."""
    fields = [field for field, _ in COLUMNS.values()]
    columns = [
        [None if field.nullable and n % 3 == 0 else value(n) for n in range(ROWS)]
        for field, value in COLUMNS.values()
    ]
    return pa.table([pa.array(*column) for column in zip(columns, [field.type for field in fields], strict=True)],
                    schema=pa.schema(fields))  # fmt: skip


def hashed(value, key):
    """What `mask` makes of a value, worked out without it."""
    match value:
        case None:
            return None
        case bytes():
            text = value
        case datetime.datetime():
            text = str((value - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)).encode()
        case datetime.date():
            text = str((value - EPOCH).days).encode()
        case Decimal():
            text = str(int(value * 100)).encode()
        case _:
            text = str(value).encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()


@pytest.fixture
def changed(program):
    """What comes out of some steps."""
    before = table()
    folder = program.folder / "in"
    folder.mkdir()
    pq.write_table(before, folder / "rows.parquet", row_group_size=1_000)
    source = {"url": f"file://{folder}"}

    def run(*steps):
        relations = [{"table": "rows.parquet", "as": "rows"}]
        job = program.job(source, relations=relations, transform=list(steps))
        program.ok("run", job)
        return pq.read_table(program.lake / "rows").sort_by("id")

    return run


def mask(*columns, **config):
    return {"plugin": "mask", "columns": list(columns), **config}


@pytest.mark.parametrize("salt", [None, "pepper", "p" * 100])
def test_hashes_are_those_of_another_implementation(changed, salt):
    # All but `id`, which the rows are sorted by.
    names = [name for name in COLUMNS if name != "id"]
    after = changed(mask(*names, mode="hash", **({"salt": salt} if salt else {})))
    before = table()
    for name in names:
        expected = [hashed(value, (salt or "").encode()) for value in before[name].to_pylist()]
        assert after[name].to_pylist() == expected, name


@pytest.mark.parametrize("mode", ["replace", "hash", "null"])
def test_what_is_not_masked_comes_out_as_it_went_in(changed, mode):
    after, plain, before = changed(mask("text", "sure", mode=mode)), changed(), table()
    assert after.column_names == before.column_names
    for name in COLUMNS:
        if name not in ("text", "sure"):
            assert after.schema.field(name) == plain.schema.field(name)
            assert after[name].to_pylist() == before[name].to_pylist(), name
    made = after.select(["text", "sure"]).to_pylist()
    if mode == "replace":
        texts = before["text"].to_pylist()
        assert made == [{"text": text and "***" if text is None else "***", "sure": "***"} for text in texts]
        assert not after.schema.field("sure").nullable
    if mode == "null":
        assert made == [{"text": None, "sure": None}] * ROWS


def test_a_column_of_any_type_can_be_replaced(changed):
    after, before = changed(mask(*[name for name in COLUMNS if name != "id"], **{"with": "-"})), table()
    for name in COLUMNS:
        if name != "id":
            expected = [None if value is None else "-" for value in before[name].to_pylist()]
            assert after[name].to_pylist() == expected, name


def test_no_column_at_all_is_masked(changed):
    assert changed(mask()).to_pylist() == table().to_pylist()


def test_steps_follow_each_other_in_any_order(changed):
    steps = [
        {"sql": "SELECT sure, text, id, price FROM data WHERE id % 2 = 0"},
        mask("sure", mode="hash"),
        mask("price", mode="null"),
        {"sql": "SELECT id, upper(sure) AS sure, text, price FROM data WHERE id > 10"},
        mask("text", "sure"),
    ]
    after = changed(*steps)
    assert after["id"].to_pylist() == list(range(12, ROWS, 2))
    assert set(after["sure"].to_pylist()) == {"***"} and set(after["price"].to_pylist()) == {None}
    assert after["text"].to_pylist() == [None if n % 3 == 0 else "***" for n in range(12, ROWS, 2)]


def test_a_column_is_not_hashed_twice(program):
    line, code = program.refused(
        "run", program.job({"url": "tpch:", "scale": 0.01, "text_mib": 1}, tables=["nation"],
                           transform=[mask("n_name", "n_name", mode="hash")])
    )  # fmt: skip
    assert "`n_name` is named twice" in line and code == 2


def test_a_transform_that_gave_other_rows_does_so_again(program, plugins):
    (plugins / "hostile-transform.wasm").symlink_to(HOSTILE / "hostile-transform.wasm")
    step = {"plugin": "hostile-transform", "abuse": "columns-rows-fewer", "password": SECRET}
    job = program.job({"url": "hostile:"}, tables=["t"], transform=[step], record="on-failure")
    report = json.loads(program.call("--json", "run", job).stdout)
    tape = next(tape for tape in report["tapes"] if "hostile-transform" in tape)
    answer = json.loads(program.call("--json", "plugin", "replay", tape).stdout)
    assert answer["verdict"] == "same", answer
    assert "it passes `text` through, but gave 50 rows for 100" in answer["error"]["message"]
