"""What the program tells: reports of runs, and their progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping


def _field(**options: Any) -> Any:
    """A field that no `repr` shows, and that no comparison looks at."""
    return field(repr=False, compare=False, **options)


@dataclass(frozen=True)
class RelationReport:
    """A relation that was published."""

    #: Its name in the job.
    relation: str
    #: Its name in the target.
    published_as: str
    #: Where it lies.
    folder: str
    rows: int
    bytes: int
    #: How many files.
    parts: int
    chunks: int
    #: How often its tasks were tried again.
    retries: int
    #: All that the program told, also what this version does not know.
    raw: Mapping[str, Any] = _field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> RelationReport:
        return cls(
            relation=raw.get("relation", ""),
            published_as=raw.get("published_as", ""),
            folder=raw.get("folder", ""),
            rows=raw.get("rows", 0),
            bytes=raw.get("bytes", 0),
            parts=raw.get("parts", 0),
            chunks=raw.get("chunks", 0),
            retries=raw.get("retries", 0),
            raw=raw,
        )


@dataclass(frozen=True)
class Report:
    """A run that has ended."""

    #: The run's id.
    run: str
    #: The job's name.
    job: str
    #: `succeeded`, `failed`, `cancelled` or `interrupted`.
    status: str
    #: When it began, in RFC 3339.
    started: str
    seconds: float
    #: Rows published.
    rows: int
    #: Bytes published.
    bytes: int
    #: What the run saw of the source: `snapshot`, `per-chunk`; none if it did not get so far.
    consistency: str | None
    #: The relations that were published.
    relations: tuple[RelationReport, ...]
    #: The values of the job's parameters.
    parameters: Mapping[str, Any]
    #: What the checks came to.
    checks: tuple[Mapping[str, Any], ...]
    #: When the run restarted or resumed, and why; and the checks that did not pass.
    interruptions: tuple[str, ...]
    #: Where the run's manifest lies.
    manifest: str | None
    #: All that the program told, also what this version does not know.
    raw: Mapping[str, Any] = _field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Report:
        return cls(
            run=raw.get("run", ""),
            job=raw.get("job", ""),
            status=raw.get("status", ""),
            started=raw.get("started", ""),
            seconds=raw.get("seconds", 0.0),
            rows=raw.get("rows", 0),
            bytes=raw.get("bytes", 0),
            consistency=raw.get("consistency"),
            relations=tuple(map(RelationReport.of, raw.get("relations") or ())),
            parameters=raw.get("parameters") or {},
            checks=tuple(raw.get("checks") or ()),
            interruptions=tuple(raw.get("interruptions") or ()),
            manifest=raw.get("manifest"),
            raw=raw,
        )


@dataclass(frozen=True)
class RelationProgress:
    """How far a relation is."""

    name: str
    rows: int
    bytes: int
    #: Chunks planned.
    chunks: int
    #: Chunks done.
    done: int
    #: From 0 to 1.
    fraction: float
    #: All that the program told, also what this version does not know.
    raw: Mapping[str, Any] = _field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> RelationProgress:
        return cls(
            name=raw.get("name", ""),
            rows=raw.get("rows", 0),
            bytes=raw.get("bytes", 0),
            chunks=raw.get("chunks", 0),
            done=raw.get("done", 0),
            fraction=raw.get("fraction", 0.0),
            raw=raw,
        )


@dataclass(frozen=True)
class Progress:
    """How far a run is, and how quick."""

    #: The run's id.
    run: str
    #: Rows read.
    rows: int
    #: Bytes read, as they are in memory.
    bytes: int
    rows_per_second: int
    bytes_per_second: int
    #: From 0 to 1.
    fraction: float
    #: The seconds until everything is read, as far as that can be told.
    eta_seconds: int | None
    relations: tuple[RelationProgress, ...]
    #: All that the program told, also what this version does not know.
    raw: Mapping[str, Any] = _field(default_factory=dict)

    @classmethod
    def of(cls, raw: Mapping[str, Any], run: str = "") -> Progress:
        relations = tuple(map(RelationProgress.of, raw.get("relations") or ()))
        mean = sum(relation.fraction for relation in relations) / max(len(relations), 1)
        return cls(
            run=raw.get("run") or run,
            rows=raw.get("rows", 0),
            bytes=raw.get("bytes", 0),
            rows_per_second=raw.get("rows_per_second", 0),
            bytes_per_second=raw.get("bytes_per_second", 0),
            fraction=raw.get("fraction", mean),
            eta_seconds=raw.get("eta_seconds"),
            relations=relations,
            raw=raw,
        )
