"""Jobs with checks, over a table of random rows; and what their reports say."""

import contextlib
import random
import sqlite3

import duckdb

#: Rows in a few chunks: DuckDB cuts files into row groups of 2,048 rows or more.
ROWS = 10_000


def random_table(program, seed=1, rows=ROWS, name="t"):
    """A Parquet file of random rows, NULLs among them; gives its source and how DuckDB reads it."""
    dice = random.Random(seed)
    path = program.folder / f"{name}.parquet"
    db = duckdb.connect()
    db.execute(f"SELECT setseed({dice.random()})")
    db.execute(
        f"""COPY (SELECT
            CASE WHEN random() < .02 THEN NULL ELSE (random() * {rows})::BIGINT END AS id,
            CASE WHEN random() < .1 THEN NULL ELSE ['open', 'closed', 'Öffen', '', 'o'][1 + (random() * 4)::INT] END AS status,
            CASE WHEN random() < .05 THEN NULL ELSE (random() * 200 - 100)::DECIMAL(9, 2) END AS "Amount, net",
            CASE WHEN random() < .05 THEN NULL ELSE random() * 10 END AS ratio,
            DATE '2026-01-01' + (random() * 300)::INT AS day,
            TIMESTAMPTZ '2026-01-01 00:00:00+00' + INTERVAL 1 SECOND * (random() * 1e6)::INT AS at
            FROM range({rows})) TO '{path}' (ROW_GROUP_SIZE 2048)"""
    )
    return {"url": f"file://{path}"}, f"read_parquet('{path}')"


def job_of(program, source, checks, name="job.yaml", **keys):
    return program.job(source, name, chunk={"rows": 2_000}, checks=checks, **keys)


def results(report):
    """What each check came to, by its name."""
    return {result["name"]: result for result in report["checks"]}


def more_done(program, before, over):
    """How many chunks of all runs are done, if it is more than before, or all is over."""
    ledger = sqlite3.connect(f"file:{program.folder}/state/ledger.sqlite?mode=ro", uri=True)
    with contextlib.closing(ledger):
        [done] = ledger.execute("SELECT count(*) FROM tasks WHERE done").fetchone()
    return done if done > before or list(over.iterdir()) else None
