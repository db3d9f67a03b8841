"""Throughput to each store against the store's own best tool, and the ledger's share."""

import json
import sys

from support.longshore import LONGSHORE
from support.stores import S3, Hdfs, Sftp

PYTHON = sys.executable
BOTO = """
import sys, boto3, pathlib
client = boto3.client("s3", endpoint_url=sys.argv[1], aws_access_key_id="id", aws_secret_access_key="key")
for path in pathlib.Path(sys.argv[2]).rglob("*.parquet"):
    client.upload_file(str(path), "lake", "tool/" + path.name)
"""


def job(scratch, name, target, **keys):
    path = scratch / f"{name}.json"
    path.write_text(json.dumps({"target": target, **keys}))
    return path


def tool(lake, files):
    """What copies a folder of files into the store."""
    if isinstance(lake, Hdfs):
        return lake._command("org.apache.hadoop.fs.FsShell", "-put", "-f", files, "/tool"), "hdfs dfs -put"
    if isinstance(lake, S3):
        return [PYTHON, "-c", BOTO, f"http://127.0.0.1:{lake.port}", files], "boto3 upload_file"
    options = [
        "-o",
        f"UserKnownHostsFile={lake.folder}/known_hosts",
        "-i",
        lake.folder / "user",
        "-P",
        lake.port,
    ]
    (lake.root / "tool").mkdir(exist_ok=True)
    (lake.folder / "batch").write_text(f"put -r {files} {lake.root}/tool\n")
    return ["sftp", "-q", *options, "-b", lake.folder / "batch", "root@127.0.0.1"], "sftp put"


def stores(measure, in_turn, scratch, runs, scale):
    """Longshore straight into a store, against Longshore onto the disk and the tool after it."""
    env = {"LONGSHORE_CACHE": str(scratch / "cache"), "LONGSHORE_STATE": str(scratch / "state")}
    source = {"source": {"url": "tpch:", "scale": scale}, "tables": ["lineitem"]}
    options = {"compression": "none", "mode": "replace"}
    files = scratch / "local/lineitem"
    on_disk = job(scratch, "local", {"url": f"file://{scratch}/local", **options}, **source)
    print("\n### Into each store\n")
    print("| | MB | Longshore s | onto the disk s | the tool s | ratio to both |\n|---|---|---|---|---|---|")
    for name, lake in {"HDFS": Hdfs(), "S3 (moto)": S3(), "SFTP": Sftp()}.items():
        lake.start(scratch / name.split()[0])
        try:
            into = job(scratch, "into", lake.target("bench", **options), **source)
            measure([LONGSHORE, "run", on_disk], env)
            command, called = tool(lake, files)
            m = in_turn(
                {
                    "into": lambda into=into: measure([LONGSHORE, "run", into], env),
                    "disk": lambda: measure([LONGSHORE, "run", on_disk], env),
                    "tool": lambda command=command: measure(command),
                },
                runs,
            )
        finally:
            lake.stop()
        size = sum(path.stat().st_size for path in files.iterdir()) / 1e6
        into, disk, put = (m[key]["wall"] for key in ["into", "disk", "tool"])
        print(
            f"| {name}, {called} | {size:.0f} | {into:.2f} | {disk:.2f} | {put:.2f} | {into / (disk + put):.2f} |",
            flush=True,
        )


def ledger(measure, in_turn, scratch, runs):
    """A run of many small chunks, with the ledger on the disk and with one that is forgotten."""
    rows = 150_000
    source = {"url": "tpch:", "scale": 0.1}
    env = {"LONGSHORE_CACHE": str(scratch / "cache"), "LONGSHORE_LOG": "error"}
    chunks = job(
        scratch, "chunks", {"url": f"file://{scratch}/chunks", "mode": "replace"},
        source=source, tables=["orders"], chunk={"rows": rows // 10_000},
    )  # fmt: skip
    run = lambda state: measure([LONGSHORE, "--state", state, "run", chunks], env)
    m = in_turn({"disk": lambda: run(scratch / "state"), "none": lambda: run("/proc/none")}, runs)
    print("\n### The ledger\n")
    print("| `orders` in 10,000 chunks of 15 rows | wall s | CPU s |\n|---|---|---|")
    print(f"| with the ledger | {m['disk']['wall']:.2f} | {m['disk']['cpu']:.2f} |")
    print(f"| with one in memory | {m['none']['wall']:.2f} | {m['none']['cpu']:.2f} |")
    print(
        f"| ratio | {m['disk']['wall'] / m['none']['wall']:.2f} | {m['disk']['cpu'] / m['none']['cpu']:.2f} |",
        flush=True,
    )
