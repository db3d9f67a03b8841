"""A slow network: the server's answers come through a proxy that delays each by 20 ms. Chunks wait at the same time, so
that the time falls in proportion to their number."""

import rows
from measuring import Line, in_turn, measure
from setting import LONGSHORE
from support.proxy import Proxy, slow

DELAY_SECS = 0.02

#: Planning, which is not in proportion, takes a tenth of a second or so.
GOAL = 1.25

CHUNKS = [1, 2, 4, 8]


class Late:
    """The delay of every connection."""

    def __len__(self):
        return 1 << 30

    def __getitem__(self, _):
        return slow(DELAY_SECS)


def lines(setting):
    with setting.server.connect() as connection:
        connection.execute(
            "CREATE TABLE far AS SELECT g AS id, md5(g::text) AS text FROM generate_series(1, 640000) g"
        )
        connection.execute("VACUUM (FREEZE, ANALYZE) far")
    wanted = setting.fingerprint("far")
    alone = None
    with Proxy(setting.server.port) as proxy:
        proxy.faults = Late()
        for chunks in CHUNKS:
            job = setting.job(
                setting.postgres_source(proxy.port), "far",
                chunk={"rows": -(-wanted[0] // chunks)}, parallel={"chunks": chunks},
            )  # fmt: skip
            run = {"Longshore": lambda job=job: measure([LONGSHORE, "run", job], setting.env, setting.lake)}
            seconds = in_turn(run, 1, lambda: rows.check(setting.lake / "far", wanted))["Longshore"]["wall"]
            alone = alone or seconds
            yield Line(
                "scaling", f"chunks at a time: {chunks}", "s", seconds, "the time of one by their number",
                alone / chunks, GOAL,
            )  # fmt: skip
