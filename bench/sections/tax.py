"""The cost of WebAssembly: CPU seconds of a component and of the same code built natively, with the host's encoding,
decoding and validation. All programs are optimised as a whole."""

import json
import os
import statistics
import subprocess

from measuring import Line
from setting import PLUGINS, ROOT

#: Cargo's profile of what is compared with components.
NATIVE = "native"

MEASURE = ROOT / "target/release/examples/measure"


def lines(setting):
    url = setting.postgres_source()["url"]
    wanted = setting.lineitem[0]
    read = lambda program, *before: cpu(program, *before, url, "lineitem", env=setting.env, rows=wanted)
    postgres, mask, file = native("postgres"), native("mask"), arrow_file(setting)
    pairs = {
        "postgres, `lineitem` read on one connection": (
            1.15,
            lambda: read(MEASURE, "read", PLUGINS),
            lambda: read(postgres),
        )
    }
    for mode in ("replace", "hash"):
        config = json.dumps({"columns": ["l_comment"], "mode": mode})
        pairs[f"mask, a text of `lineitem`, {mode}"] = (
            1.2,
            lambda config=config: cpu(MEASURE, "change", PLUGINS, "mask", file, config),
            lambda config=config: cpu(mask, file, config),
        )
    for what, (goal, sandboxed, natively) in pairs.items():
        found = [(sandboxed(), natively()) for _ in range(setting.runs)]
        ours, theirs = (statistics.median(pair[side] for pair in found) for side in (0, 1))
        yield Line("tax", what, "s of CPU", ours, "native", theirs, goal)


def arrow_file(setting):
    target = {"url": f"file://{setting.scratch}/arrow", "format": "arrow"}
    job = setting.job({"url": "tpch:", "scale": 1}, "lineitem", target=target, chunk={"rows": 10_000_000})
    subprocess.run(setting.run(job), env={**os.environ, **setting.env}, check=True, capture_output=True)
    [file] = (setting.scratch / "arrow/lineitem").glob("*.arrow")
    return file


def native(plugin):
    """A plugin without the sandbox, optimised as components are."""
    profile = f"profile.{NATIVE}"
    settings = [
        f'{profile}.inherits="dist"',
        f"{profile}.opt-level=3",
        f'{profile}.package."*".opt-level=3',
    ]
    configs = [part for setting in settings for part in ("--config", setting)]
    build = ["cargo", "build", "--locked", "--profile", NATIVE, *configs]
    subprocess.run([*build, "-p", f"longshore-plugin-{plugin}", "--examples"], cwd=ROOT, check=True)
    return ROOT / f"target/{NATIVE}/examples/native_{plugin}"


def cpu(*command, env=None, rows=None):
    """CPU seconds, without start-up and compilation where the command tells them itself."""
    before = os.times()
    answer = subprocess.run(
        [str(part) for part in command], env={**os.environ, **(env or {})}, check=True, capture_output=True
    )
    after = os.times()
    told = json.loads(answer.stdout)
    if rows and told["rows"] != rows:
        raise SystemExit(f"{command}: {told['rows']} rows of {rows}")
    total = after.children_user + after.children_system - before.children_user - before.children_system
    return told.get("cpu", total)
