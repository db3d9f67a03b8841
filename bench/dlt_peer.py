"""dlt, loading what has changed: `dlt_peer.py WHAT PORT FOLDER [SINCE]`, or a file: `dlt_peer.py file 0 FOLDER FILE`. Its
state and its files are in FOLDER."""

import csv
import os
import sys
from datetime import datetime
from pathlib import Path

import dlt
from dlt.destinations import filesystem, postgres
from dlt.sources.helpers.transform import add_row_hash_to_table
from dlt.sources.sql_database import sql_table

what, port, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
os.environ |= {
    # Its fastest ways: Arrow from the source, and COPY into the server.
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",
}
url = f"postgresql+psycopg2://postgres:{os.environ.get('PGPASSWORD')}@127.0.0.1:{port}/"


def table(name, **keys):
    return sql_table(url + "postgres", table=name, backend="pyarrow", chunk_size=100_000, **keys)


def pipeline(destination):
    return dlt.pipeline(
        "bench", pipelines_dir=str(folder / "state"), destination=destination, dataset_name="shop"
    )


files = filesystem(f"file://{folder}/lake")
server = postgres(url.replace("+psycopg2", "") + "dlt")

if what == "incremental":
    since = dlt.sources.incremental("updated_at", initial_value=datetime.fromisoformat(sys.argv[4]))
    pipeline(files).run(
        table("orders", incremental=since), write_disposition="append", loader_file_format="parquet"
    )
elif what == "file":
    rows = csv.DictReader(Path(sys.argv[4]).open())
    pipeline(files).run(rows, table_name="rows", loader_file_format="parquet")
elif what in ("base", "merge"):
    source = table("base" if what == "base" else "changes").with_name("orders")
    source.apply_hints(primary_key="id")
    pipeline(server).run(source, write_disposition="merge", loader_file_format="csv")
elif what in ("delta-base", "delta-merge"):
    source = table("orders" if what == "delta-base" else "changes").with_name("orders")
    source.apply_hints(primary_key="id")
    how = "append" if what == "delta-base" else {"disposition": "merge", "strategy": "upsert"}
    pipeline(files).run(source, write_disposition=how, table_format="delta", loader_file_format="parquet")
elif what in ("scd2-base", "scd2"):
    source = table("base" if what == "scd2-base" else "changes").with_name("history")
    # Keys that do not come stay. Rows in Arrow need a hash of their own to be told apart.
    source.apply_hints(merge_key="id")
    source.add_map(add_row_hash_to_table("row_hash"))
    how = {"disposition": "merge", "strategy": "scd2", "row_version_column_name": "row_hash"}
    pipeline(server).run(source, write_disposition=how, loader_file_format="csv")
