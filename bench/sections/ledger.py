"""A run of many small chunks, with the ledger on the disk and with one that is forgotten."""

from measuring import compare, in_turn, measure

CHUNKS, ROWS = 10_000, 150_000


def lines(setting):
    target = {"url": f"file://{setting.scratch}/chunks", "mode": "replace"}
    job = setting.job({"url": "tpch:", "scale": 0.1}, "orders", target=target, chunk={"rows": ROWS // CHUNKS})
    env = {**setting.env, "LONGSHORE_LOG": "error"}
    run = lambda state: lambda: measure(setting.run(job, "--state", state), env)
    contenders = {"Longshore": run(setting.scratch / "state"), "a ledger in memory": run("/proc/none")}
    goals = [(key, "a ledger in memory", None) for key in ("wall", "cpu")]
    yield from compare("ledger", f"{CHUNKS:,} chunks", in_turn(contenders, setting.runs), *goals)
