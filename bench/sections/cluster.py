"""Several executors, each with one slot, on a source that is far away: the server's answers come through a proxy that
delays each. And what it costs to hand a chunk to an executor. Needs `make cluster`."""

import rows
from measuring import Line, in_turn, measure
from sections.scaling import Late
from support.cluster import CLUSTER, Cluster
from support.proxy import Proxy

EXECUTORS = [1, 2, 4]

CHUNKS = 64

#: The least speed-up of so many executors over one.
SPEED_UPS = {2: 1.8, 4: 3.4}

TASKS = 1_000

TASK_GOAL_MILLIS = 10


def lines(setting):
    if not CLUSTER.exists():
        raise SystemExit("build it first: make cluster")
    yield from far(setting)
    yield tasks(setting)


def cluster_of(setting, executors, slots):
    folder = setting.scratch / f"cluster {executors} {slots}"
    cluster = Cluster(folder, setting.scratch / "cache").grow(executors, slots=slots)
    setting.stopping.append(cluster.end)
    env = {**setting.env, "LONGSHORE_CLUSTER": cluster.url, "LONGSHORE_CLUSTER_TLS": str(cluster.tls)}
    return cluster, env


def far(setting):
    with setting.server.connect() as connection:
        connection.execute(
            "CREATE TABLE afar AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 640000) g"
        )
        connection.execute("VACUUM (FREEZE, ANALYZE) afar")
    wanted, alone = setting.fingerprint("afar"), None
    with Proxy(setting.server.port) as proxy:
        proxy.faults = Late()
        for executors in EXECUTORS:
            cluster, env = cluster_of(setting, executors, 1)
            job = setting.job(
                setting.postgres_source(proxy.port), "afar",
                chunk={"rows": wanted[0] // CHUNKS}, parallel={"chunks": executors},
            )  # fmt: skip
            run = {"Longshore": lambda job=job, env=env: measure([CLUSTER, "run", job], env, setting.lake)}
            seconds = in_turn(run, 1, lambda: rows.check(setting.lake / "afar", wanted))["Longshore"]["wall"]
            cluster.end()
            alone = alone or seconds
            speed_up = SPEED_UPS.get(executors)
            yield Line(
                "cluster", f"executors: {executors}", "s", seconds, "the time of one by their number",
                alone / executors, executors / speed_up if speed_up else None,
            )  # fmt: skip


def tasks(setting):
    """What a chunk costs beyond the same on this machine, where both do two at a time."""
    cluster, env = cluster_of(setting, 1, 2)
    job = setting.job(
        {"url": "tpch:", "scale": 0.01}, "lineitem", chunk={"rows": 60_000 // TASKS}, parallel={"chunks": 2}
    )
    seconds = {}
    for name, own in {"alone": {**env, "LONGSHORE_CLUSTER": ""}, "cluster": env}.items():
        run = {name: lambda own=own: measure([CLUSTER, "run", job], own, setting.lake)}
        seconds[name] = in_turn(run, 1)[name]["wall"]
    cluster.end()
    millis = (seconds["cluster"] - seconds["alone"]) / TASKS * 1_000
    return Line("cluster", f"each of {TASKS} chunks", "ms", millis, goal=TASK_GOAL_MILLIS)
