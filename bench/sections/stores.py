"""Generated `lineitem` straight into each store, against Longshore onto the disk and the store's own tool after it."""

import json
import os
import subprocess

from measuring import Line, in_turn, measure
from setting import LONGSHORE, PYTHON
from support.stores import S3, Hdfs, Sftp

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


def lines(setting):
    for name, lake in {"HDFS": Hdfs(), "S3 (moto)": S3(), "SFTP": Sftp()}.items():
        lake.start(setting.scratch / name.split()[0])
        try:
            yield line(setting, name, lake)
        finally:
            lake.stop()


def line(setting, name, lake):
    source = {"source": {"url": "tpch:", "scale": setting.scale}, "tables": ["lineitem"]}
    options = {"compression": "none", "mode": "replace"}
    disk = {"url": f"file://{setting.scratch}/local", **options}
    on_disk = job(setting.scratch, "local", disk, **source)
    into = job(setting.scratch, "into", lake.target("bench", **options), **source)
    files = setting.scratch / "local/lineitem"
    measure(setting.run(on_disk), setting.env)
    command, called = tool(lake, files)
    contenders = {
        "Longshore": lambda: measure(setting.run(into), setting.env),
        "disk": lambda: measure(setting.run(on_disk), setting.env),
        "tool": lambda: measure(command),
    }
    found = in_turn(contenders, setting.runs, lambda: verify(setting, into))
    ours, by_disk, by_tool = (found[key]["wall"] for key in contenders)
    return Line("stores", name, "s", ours, f"the disk, and {called}", by_disk + by_tool, 1.0)


def verify(setting, job):
    """Reads back what the last run published."""
    call = lambda *words: subprocess.check_output([LONGSHORE, *words], env={**os.environ, **setting.env})
    [last] = json.loads(call("--json", "runs", "--limit", "1"))
    call("verify", last["report"]["manifest"], "--job", job)
