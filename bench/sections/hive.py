"""`lineitem` from a HiveServer2 (Spark) to snappy Parquet, against two readers at the same time, which write nothing."""

import json
import shutil

import rows
from measuring import compare, in_turn, measure
from setting import PEERS, PYTHON
from support.hive import HiveServer

READERS = "two readers"


def lines(setting):
    server = HiveServer(setting.scratch / "hive", memory="3g")
    setting.stopping.append(server.stop)
    wanted = load(setting, server)
    source = {"url": server.url(), "auth": "nosasl"}
    path = setting.job(source, "lineitem")
    under = [f"file://{setting.scratch}/hive/warehouse"]
    direct = setting.scratch / "direct.json"
    direct.write_text(
        json.dumps(
            {
                **json.loads(path.read_text()),
                "source": {**source, "direct": {"files": "always", "under": under}},
            }
        )
    )
    run = lambda job: lambda: measure(setting.run(job), setting.env, setting.lake)
    peer = lambda *command: lambda: measure([PYTHON, PEERS, *command], setting.env)
    contenders = {
        "Longshore": run(path),
        READERS: peer("hive_readers", server.port, "lineitem", "l_orderkey", ""),
        "Longshore, from the table's files": run(direct),
        "impyla": peer("impyla", server.port, "lineitem", "l_orderkey", setting.scratch / "out.parquet"),
    }
    found = in_turn(contenders, setting.runs, lambda: rows.check(setting.lake / "lineitem", wanted))
    goals = [("wall", READERS, 1.1), ("wall", "impyla", None), ("mib", None, None)]
    yield from compare("hive", f"`lineitem`, {wanted[0]:,} rows", found, *goals)
    direct_only = {"Longshore": found["Longshore, from the table's files"], "impyla": found["impyla"]}
    yield from compare("hive", "the same from the table's files", direct_only, ("wall", "impyla", None))


def load(setting, server):
    generated = setting.generated("parquet")
    server.run(
        f"CREATE TEMPORARY VIEW generated USING parquet OPTIONS (path '{generated}')",
        "CREATE TABLE lineitem STORED AS PARQUET AS SELECT * FROM generated",
        "ANALYZE TABLE lineitem COMPUTE STATISTICS",
    )
    wanted = rows.fingerprint(f"'{generated}'")
    shutil.rmtree(generated.parent)
    return wanted
