"""Tables of PostgreSQL that stress one thing each, to snappy Parquet."""

from measuring import compare
from sections.postgres import contend

PEERS = ["DuckDB", "ConnectorX", "ADBC"]

#: After the warm-up. There are many shapes.
RUNS = 1

# Tables that stress one thing each; {0} is their size, 1 for the full one. `key` is for the peers
# that need one.
SHAPES = {
    "narrow": (
        "two integers, {rows} rows",
        "SELECT g AS key, g % 1000 AS value FROM generate_series(1, ({0} * 50000000)::int) g",
    ),
    "wide": (
        "200 columns, {rows} rows",
        "SELECT g AS key, "
        + ", ".join(f"g % {n + 2} AS c{n}" for n in range(199))
        + " FROM generate_series(1, ({0} * 500000)::int) g",
    ),
    "long": (
        "texts of 1 KB, {rows} rows",
        "SELECT g AS key, (SELECT string_agg(md5((g * 32 + n)::text), '') FROM generate_series(1, 32) n) AS doc "
        "FROM generate_series(1, ({0} * 1000000)::int) g",
    ),
    "numerics": (
        "ten numerics, {rows} rows",
        "SELECT g AS key, "
        + ", ".join(f"(g * {n + 1}.37)::numeric(15,2) AS c{n}" for n in range(10))
        + " FROM generate_series(1, ({0} * 5000000)::int) g",
    ),
    "nulls": (
        "ten columns of which nine values in ten are null, {rows} rows",
        "SELECT g AS key, "
        + ", ".join(f"CASE WHEN g % 10 = {n} THEN g END AS c{n}" for n in range(5))
        + ", "
        + ", ".join(f"CASE WHEN g % 10 = {n} THEN md5(g::text) END AS c{n}" for n in range(5, 10))
        + " FROM generate_series(1, ({0} * 5000000)::int) g",
    ),
}


def lines(setting):
    server = setting.server
    for name, (title, query) in SHAPES.items():
        with server.connect() as connection:
            connection.execute(f"CREATE TABLE {name} AS {query.format(setting.size)}")
            connection.execute(f"VACUUM (FREEZE, ANALYZE) {name}")
        wanted = setting.fingerprint(name)
        found = contend(setting, name, "key", wanted, RUNS)
        best = min(PEERS, key=lambda peer: found[peer]["wall"])
        title = title.format(rows=f"{wanted[0]:,}")
        yield from compare("shapes", title, found, ("wall", best, 1.0), ("mib", None, 160))
        with server.connect() as connection:
            connection.execute(f"DROP TABLE {name}")
