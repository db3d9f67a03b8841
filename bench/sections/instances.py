"""Throughput of one kind of plugin after the other, by more and more instances."""

import json
import subprocess

from measuring import Line
from setting import LONGSHORE, PASSWORD, PLUGINS


def lines(setting):
    setting.load_lineitem(setting.server, setting.scale)
    config = {"url": setting.server.url(), "password": PASSWORD}
    # The server takes few connections.
    few = ["--with", json.dumps(config), "--instances", "1,8,16"]
    subjects = {
        "postgres": ["postgres", *few, "--table", "lineitem"],
        "mask": ["mask", "--with", '{"columns": ["text", "note"]}'],
        "postgres-sink": ["postgres-sink", *few],
    }
    for name, arguments in subjects.items():
        command = [LONGSHORE, "--plugins", PLUGINS, "--json", "plugin", "bench", *arguments]
        answer = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for one in answer["measured"]:
            micros = one["cpu_secs"] * 1e6 / one["rows"]
            yield Line("instances", f"{name}: {one['instances']} instances, a row", "µs of CPU", micros)
