"""Results as JSON: one file for each processor and commit, which each section adds its lines to."""

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FORMAT = 1


def processor():
    model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line)
    return model.split(":")[1].strip()


def commit():
    git = lambda *words: subprocess.check_output(["git", *words], cwd=ROOT, text=True).strip()
    is_changed = git("status", "--porcelain", "--untracked-files=no")
    return git("rev-parse", "--short=12", "HEAD") + ("-changed" if is_changed else "")


def store(section, lines, runs):
    """Puts a section's lines in the place of those from before; gives the file."""
    slug = re.sub(r"[^a-z0-9]+", "-", processor().lower()).strip("-")
    path = ROOT / "bench/results" / slug / f"{commit()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(path.read_text())["lines"] if path.exists() else []
    others = [line for line in known if line["section"] != section]
    result = {
        "format": FORMAT,
        "processor": processor(),
        "cores": os.cpu_count(),
        "commit": commit(),
        "runs": runs,
        "lines": others + [line.as_json() for line in lines],
    }
    path.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    return path
