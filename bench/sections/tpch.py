"""Generated `lineitem` to snappy Parquet, against the official generator's own program."""

import rows
from measuring import compare, in_turn, measure
from setting import TPCHGEN


def lines(setting):
    path = setting.job({"url": "tpch:", "scale": setting.scale}, "lineitem")
    wanted = rows.fingerprint(f"'{setting.generated('parquet')}'")
    folder = setting.scratch / "by-tpchgen"
    command = [
        TPCHGEN, "parquet", "-s", str(setting.scale), "--tables=lineitem", f"--output-dir={folder}"
    ]  # fmt: skip
    contenders = {
        "Longshore": lambda: measure(setting.run(path), setting.env, setting.lake),
        "tpchgen-cli": lambda: measure(command, None, folder),
    }
    found = in_turn(contenders, setting.runs, lambda: rows.check(setting.lake / "lineitem", wanted))
    goals = [(key, "tpchgen-cli", 1.0) for key in ("cpu", "wall", "mib")]
    yield from compare("tpch", f"`lineitem`, {wanted[0]:,} rows", found, *goals)
