"""Large values from PostgreSQL stay within the budget."""

import rows
from measuring import Line, in_turn, measure

#: For each size of a value in MiB: how many there are, and the budget in MiB.
VALUES = {1: (400, 128), 100: (6, 1024)}


def lines(setting):
    for size, (count, budget) in VALUES.items():
        table = f"values_{size}"
        with setting.server.connect() as connection:
            value = f"repeat(md5(n::text), {size} << 15)"
            connection.execute(
                f"CREATE TABLE {table} AS SELECT n, {value} AS v FROM generate_series(1, {count}) n"
            )
            connection.execute(f"ANALYZE {table}")
        wanted = setting.fingerprint(table)
        job = setting.job({**setting.postgres_source(), "row_mib": 2 * size}, table)
        config = setting.scratch / "longshore.toml"
        config.write_text(f"[limits]\ncall_mib = {128 + 2 * size}\nmemory_mib = {10 * (128 + 2 * size)}\n")
        command = setting.run(job, "--config", config, "--memory", f"{budget}MiB")
        run = {"Longshore": lambda command=command: measure(command, setting.env, setting.lake)}
        check = lambda table=table, wanted=wanted: rows.check(setting.lake / table, wanted)
        peak = in_turn(run, 1, check)["Longshore"]["mib"]
        yield Line("memory", f"values of {size} MiB", "MiB", peak, "the budget", budget, 1.0)
