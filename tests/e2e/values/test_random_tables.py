"""Random tables of random types and values: what is published is what the source holds."""

import random

import pytest

from support.compare import read, same_rows

TABLES = 12
ROWS_MOST = 3_000


def text(rng):
    return "".join(
        rng.choice("aZ0 '\"\\,{}\n\tß☃𝄞") for _ in range(rng.choice([0, 1, 5, 15, 16, 17, 40, 200, 2_000]))
    )


def integer(bits):
    return lambda rng: rng.choice(
        [0, 1, -1, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), rng.getrandbits(bits - 1)]
    )


def digits(precision, scale):
    def value(rng):
        unscaled = rng.randint(0, 10 ** rng.randint(1, precision) - 1) * rng.choice([1, -1])
        return f"{unscaled}e-{scale}"

    return value


def array(of):
    def value(rng):
        elements = [
            "NULL" if rng.random() < 0.2 else quote_element(of(rng)) for _ in range(rng.choice([0, 1, 3, 20]))
        ]
        return "{" + ",".join(elements) + "}"

    return value


def quote_element(value):
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


# By type: random values, as texts that the server takes, and how the source is asked for them.
TYPES = {
    "bool": (lambda rng: rng.choice(["t", "f"]), "{}"),
    "int2": (integer(16), "{}"),
    "int4": (integer(32), "{}"),
    "int8": (integer(64), "{}"),
    "oid": (lambda rng: rng.getrandbits(32), "{}"),
    "float4": (lambda rng: rng.choice(["0.5", "-0", "1e38", str(rng.randint(0, 1 << 20))]), "{}::float8"),
    "float8": (lambda rng: repr(rng.uniform(-1e9, 1e9) * 10 ** rng.randint(-300, 290)), "{}"),
    "numeric(9,2)": (digits(9, 2), "{}"),
    "numeric(18,6)": (digits(18, 6), "{}"),
    "numeric(38,12)": (digits(38, 12), "{}"),
    "numeric(70,30)": (digits(70, 30), "{}"),
    "numeric": (lambda rng: digits(rng.randint(1, 300), rng.randint(0, 200))(rng), "{}::text"),
    "text": (text, "{}"),
    "varchar(2000)": (text, "{}"),
    "char(20)": (lambda rng: text(rng)[:20], "{}"),
    "bytea": (lambda rng: "\\x" + rng.randbytes(rng.choice([0, 1, 16, 17, 500])).hex(), "{}"),
    "date": (lambda rng: f"{rng.randint(1, 9999):04}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}", "{}"),
    "time": (lambda rng: f"{rng.randint(0, 23)}:{rng.randint(0, 59)}:{rng.uniform(0, 59):.6f}", "{}"),
    "timestamp": (
        lambda rng: f"{rng.randint(1, 9999):04}-02-28 {rng.randint(0, 23)}:00:{rng.uniform(0, 59):.6f}",
        "{}",
    ),
    "timestamptz": (
        lambda rng: f"{rng.randint(2, 9998):04}-02-28 {rng.randint(0, 23)}:00:{rng.uniform(0, 59):.6f}+03",
        "{}",
    ),
    "interval": (
        lambda rng: (
            f"{rng.randint(-9999, 9999)} months {rng.randint(-9999, 9999)} days {rng.randint(-99999, 99999)} s"
        ),
        "{}::text",
    ),
    "uuid": (lambda rng: rng.randbytes(16).hex(), "{}"),
    "jsonb": (lambda rng: '{"a": [1, ' + str(rng.random()) + "]}", "{}::text"),
    "inet": (lambda rng: f"10.0.{rng.randint(0, 255)}.{rng.randint(0, 255)}", "{}::text"),
    "int4range": (lambda rng: f"[{rng.randint(-9, 0)},{rng.randint(1, 9)})", "{}::text"),
    "int8[]": (array(integer(64)), "{}"),
    "text[]": (array(text), "{}"),
    "numeric(9,2)[]": (array(digits(9, 2)), "{}"),
    "numeric[]": (array(digits(30, 10)), "{}::text[]"),
    "date[]": (array(lambda rng: f"{rng.randint(1, 9999):04}-01-01"), "{}"),
}


@pytest.mark.parametrize("seed", range(TABLES))
def test_a_random_table_survives_value_for_value(server, program, seed):
    rng = random.Random(seed)
    kinds = [rng.choice(list(TYPES)) for _ in range(rng.randint(1, 14))]
    rows = rng.choice([0, 1, 255, 256, 257, rng.randint(1, ROWS_MOST)])
    null_share = rng.choice([0, 0.1, 0.9])
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds))
    with server.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS randomly")
        connection.execute(f"CREATE TABLE randomly ({columns})")
        with connection.cursor() as cursor, cursor.copy("COPY randomly FROM STDIN") as copy:
            for _ in range(rows):
                copy.write_row(
                    [None if rng.random() < null_share else str(TYPES[kind][0](rng)) for kind in kinds]
                )
        connection.execute("ANALYZE randomly")
    chunk = {"rows": rng.choice([50, 1_000, 1_000_000])}
    program.ok("run", program.postgres(server, tables=["randomly"], chunk=chunk))
    asked = ", ".join(TYPES[kind][1].format(f"c{n}") for n, kind in enumerate(kinds))
    same_rows(read(program.lake / "randomly"), server.rows(f"SELECT {asked} FROM randomly"))
