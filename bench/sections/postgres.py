"""`lineitem` from PostgreSQL to snappy Parquet."""

import rows
from measuring import compare, in_turn, measure
from setting import PEERS, PYTHON

FLOOR = "two raw COPYs"


def lines(setting):
    wanted = setting.lineitem
    found = contend(setting, "lineitem", "l_orderkey", wanted, setting.runs, floor=True)
    yield from compare(
        "postgres",
        f"`lineitem`, {wanted[0]:,} rows",
        found,
        ("cpu", "DuckDB", 0.6),
        ("wall", "DuckDB", 0.8),
        ("wall", FLOOR, None),
        ("mib", None, 128),
        ("wall", "ConnectorX", None),
        ("wall", "ADBC", None),
    )


def contend(setting, table, key, wanted, runs, floor=False):
    """Longshore and its peers at one table of PostgreSQL."""
    path = setting.job(setting.postgres_source(), table)
    out = setting.scratch / "out.parquet"
    command = lambda peer: [PYTHON, PEERS, peer, setting.server.port, table, key, out]
    peer = lambda peer: lambda: measure(command(peer), setting.env)
    contenders = {
        "Longshore": lambda: measure(setting.run(path), setting.env, setting.lake),
        "DuckDB": peer("duckdb"),
        "ConnectorX": peer("connectorx"),
        "ADBC": peer("adbc"),
    }
    if floor:
        # What the server needs for any client.
        contenders[FLOOR] = peer("raw")
    return in_turn(contenders, runs, lambda: rows.check(setting.lake / table, wanted))
