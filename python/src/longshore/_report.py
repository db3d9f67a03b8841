"""What the program tells: reports of runs, and their progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T", bound="Told")


@dataclass(frozen=True)
class Told:
    """What the program or the daemon told: an object of JSON, whose keys are the fields."""

    #: All that was told, also what this version does not know. No `repr` shows it, and no comparison looks at it.
    raw: Mapping[str, Any] = field(repr=False, compare=False, default_factory=dict)

    @classmethod
    def of(cls: type[T], raw: Mapping[str, Any]) -> T:
        """Reads it."""
        return cls._read(raw)

    @classmethod
    def _read(cls: type[T], raw: Mapping[str, Any], **values: Any) -> T:
        """Takes each field from `values`, else from the key of its name; a key that is absent has its default."""
        names = [field.name for field in fields(cls) if field.name != "raw"]
        told = {name: raw[name] for name in names if raw.get(name) is not None}
        return cls(raw=raw, **{**told, **values})


@dataclass(frozen=True)
class RelationReport(Told):
    """A relation that was published."""

    #: Its name in the job.
    relation: str = ""
    #: Its name in the target.
    published_as: str = ""
    #: Where it lies.
    folder: str = ""
    rows: int = 0
    bytes: int = 0
    #: How many files.
    parts: int = 0
    chunks: int = 0
    #: How often its tasks were tried again.
    retries: int = 0
    #: The rows that could not be read and were left out: `rows`, how many, and `first`, which and why. Empty if none.
    left_out: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report(Told):
    """A run that has ended."""

    #: The run's id.
    run: str = ""
    #: The job's name.
    job: str = ""
    #: `succeeded`, `failed`, `cancelled` or `interrupted`.
    status: str = ""
    #: When it began, in RFC 3339.
    started: str = ""
    seconds: float = 0.0
    #: Rows published.
    rows: int = 0
    #: Bytes published.
    bytes: int = 0
    #: What the run saw of the source: `snapshot`, `per-chunk`; none if it did not get so far.
    consistency: str | None = None
    #: The relations that were published.
    relations: tuple[RelationReport, ...] = ()
    #: The values of the job's parameters.
    parameters: Mapping[str, Any] = field(default_factory=dict)
    #: What the checks came to.
    checks: tuple[Mapping[str, Any], ...] = ()
    #: When the run restarted or resumed, and why; and the checks that did not pass.
    interruptions: tuple[str, ...] = ()
    #: Where the run's manifest lies.
    manifest: str | None = None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Report:
        return cls._read(
            raw,
            relations=tuple(map(RelationReport.of, raw.get("relations") or ())),
            checks=tuple(raw.get("checks") or ()),
            interruptions=tuple(raw.get("interruptions") or ()),
        )


@dataclass(frozen=True)
class RelationProgress(Told):
    """How far a relation is."""

    name: str = ""
    rows: int = 0
    bytes: int = 0
    #: Chunks planned.
    chunks: int = 0
    #: Chunks done.
    done: int = 0
    #: From 0 to 1.
    fraction: float = 0.0


@dataclass(frozen=True)
class Progress(Told):
    """How far a run is, and how quick."""

    #: The run's id.
    run: str = ""
    #: Rows read.
    rows: int = 0
    #: Bytes read, as they are in memory.
    bytes: int = 0
    rows_per_second: int = 0
    bytes_per_second: int = 0
    #: From 0 to 1.
    fraction: float = 0.0
    #: The seconds until everything is read, as far as that can be told.
    eta_seconds: int | None = None
    relations: tuple[RelationProgress, ...] = ()

    @classmethod
    def of(cls, raw: Mapping[str, Any], run: str = "") -> Progress:
        relations = tuple(map(RelationProgress.of, raw.get("relations") or ()))
        mean = sum(relation.fraction for relation in relations) / max(len(relations), 1)
        return cls._read(
            raw, run=raw.get("run") or run, fraction=raw.get("fraction", mean), relations=relations
        )
