"""Components: compiled, loaded from the cache, instantiated, and from their arrival in the plugin folder to serving."""

import json
import subprocess

from measuring import Line
from setting import PLUGINS, ROOT

FIGURES = {
    "cold_ms": ("compiled", "ms"),
    "cached_ms": ("loaded from the cache", "ms"),
    "instance_us": ("instance and `describe`", "µs"),
    "cold_serving_ms": ("arrival to serving, cold", "ms"),
    "cached_serving_ms": ("arrival to serving, cached", "ms"),
}


def lines(_):
    measure = ROOT / "target/release/examples/measure"
    answer = subprocess.run([measure, "startup", PLUGINS], check=True, capture_output=True)
    for one in sorted(json.loads(answer.stdout), key=lambda one: one["plugin"]):
        for key, (what, unit) in FIGURES.items():
            yield Line("startup", f"{one['plugin']}: {what}", unit, one[key])
