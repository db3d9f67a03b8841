"""What tasks give to those that follow."""

from __future__ import annotations

from typing import Any

from longshore import Report


def essentials(report: Report) -> dict[str, Any]:
    """What an XCom has of a run's report."""
    return {
        "run": report.run,
        "job": report.job,
        "status": report.status,
        "rows": report.rows,
        "bytes": report.bytes,
        "seconds": report.seconds,
        "manifest": report.manifest,
        "relations": [
            {
                "relation": relation.relation,
                "published_as": relation.published_as,
                "folder": relation.folder,
                "rows": relation.rows,
                "bytes": relation.bytes,
            }
            for relation in report.relations
        ],
    }
