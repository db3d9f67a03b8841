"""A plugin folder, and who signs what lies in it."""

import subprocess


def names(program):
    return sorted(plugin["name"] for plugin in program.report("plugin", "list") if "name" in plugin)


def minisign(program, *args):
    subprocess.run(
        ["minisign", *map(str, args)], cwd=program.folder, check=True, capture_output=True, input=b"\n\n"
    )
