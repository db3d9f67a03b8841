"""Events of lineage: read as OpenLineage's own client reads them, and found by what they tell."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any, Union, get_args, get_origin

import attr
import openlineage.client.event_v2 as events
import openlineage.client.facet_v2 as facets
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

#: Where a checkout of OpenLineage's repository has its schemas: `spec`.
SPECIFICATION = os.environ.get("OPENLINEAGE_SPEC")

#: The client's class of each facet.
FACETS = {
    "columnLineage": facets.column_lineage_dataset.ColumnLineageDatasetFacet,
    "dataQualityAssertions": facets.data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet,
    "dataSource": facets.datasource_dataset.DatasourceDatasetFacet,
    "errorMessage": facets.error_message_run.ErrorMessageRunFacet,
    "inputStatistics": facets.input_statistics_input_dataset.InputStatisticsInputDatasetFacet,
    "jobType": facets.job_type_job.JobTypeJobFacet,
    "nominalTime": facets.nominal_time_run.NominalTimeRunFacet,
    "outputStatistics": facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet,
    "parent": facets.parent_run.ParentRunFacet,
    "processing_engine": facets.processing_engine_run.ProcessingEngineRunFacet,
    "schema": facets.schema_dataset.SchemaDatasetFacet,
    "sql": facets.sql_job.SQLJobFacet,
    "storage": facets.storage_dataset.StorageDatasetFacet,
    "symlinks": facets.symlinks_dataset.SymlinksDatasetFacet,
    "tags": facets.tags_run.TagsRunFacet,
    "version": facets.dataset_version_dataset.DatasetVersionDatasetFacet,
}


def built(kind, written):
    """A value of a class of the client, built from JSON: unknown keys and wrong values fail."""
    arms = [arm for arm in get_args(kind) if arm is not type(None)]
    if get_origin(kind) is list:
        return [built(arms[0], item) for item in written]
    if get_origin(kind) is dict:
        return {key: built(arms[1], value) for key, value in written.items()}
    if get_origin(kind) is Union or type(kind).__name__ == "UnionType":
        return None if written is None else built(arms[0], written)
    if kind is Any or not attr.has(kind):
        return written
    fields = {field.name: field for field in attr.fields(attr.resolve_types(kind))}
    own = {name: value for name, value in written.items() if not name.startswith("_")}
    unknown = own.keys() - fields.keys()
    assert not unknown, f"{kind.__name__} has no {unknown}"
    return kind(**{name: built(fields[name].type, value) for name, value in own.items()})


def facets_of(written):
    return {name: built(FACETS[name], facet) for name, facet in written.items()}


def parsed(event):
    """An event as the client's own classes have it, which check what they are given."""

    def dataset(kind, written, own):
        given = {own: facets_of(written.get(own, {}))} if written.get(own) else {}
        return kind(written["namespace"], written["name"], facets=facets_of(written["facets"]), **given)

    job = events.Job(event["job"]["namespace"], event["job"]["name"], facets_of(event["job"]["facets"]))
    inputs = [dataset(events.InputDataset, one, "inputFacets") for one in event["inputs"]]
    outputs = [dataset(events.OutputDataset, one, "outputFacets") for one in event["outputs"]]
    common = {"eventTime": event["eventTime"], "producer": event["producer"], "job": job}
    if "run" not in event:
        return events.JobEvent(inputs=inputs, outputs=outputs, **common)
    run = events.Run(event["run"]["runId"], facets_of(event["run"]["facets"]))
    kind = events.RunState[event["eventType"]]
    return events.RunEvent(eventType=kind, run=run, inputs=inputs, outputs=outputs, **common)


def check(event):
    """What every event promises: the client takes it, and each facet is of a schema of the specification."""
    parsed(event)
    datetime.fromisoformat(event["eventTime"])
    assert event["schemaURL"].startswith("https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/")
    if SPECIFICATION:
        check_schemas(event)


def schemas():
    files = [*Path(SPECIFICATION).glob("OpenLineage.json"), *Path(SPECIFICATION).glob("facets/*.json")]
    contents = [json.loads(file.read_text()) for file in files]
    return {content["$id"]: content for content in contents}


def check_schemas(event):
    """What the specification's JSON Schemas say of an event, and of each facet in it."""
    known = schemas()
    registry = Registry().with_resources(
        [(name, Resource.from_contents(content)) for name, content in known.items()]
    )

    def validate(url, value):
        validator = Draft202012Validator({"$ref": url}, registry=registry, format_checker=FormatChecker())
        problems = [problem.message for problem in validator.iter_errors(value)]
        assert not problems, f"{url}: {problems}"

    validate(event["schemaURL"], event)
    datasets = event["inputs"] + event["outputs"]
    holders = [event["job"], *datasets, *([event["run"]] if "run" in event else [])]
    for holder in holders:
        for own in ("facets", "inputFacets", "outputFacets"):
            for name, facet in holder.get(own, {}).items():
                validate(facet["_schemaURL"], facet)
                whole = known[facet["_schemaURL"].split("#")[0]]
                assert name in whole["properties"], f"{name} is not what its schema calls it"


def sources(output, field):
    """What a field of an output comes from: dataset's name, field, and how, as short texts."""
    origins = output["facets"]["columnLineage"]["fields"][field]["inputFields"]
    return told(origins)


def told(origins):
    def how(transformation):
        return transformation["subtype"] + ("*" if transformation["masking"] else "")

    return {
        f"{origin['name']}.{origin['field']}": "+".join(sorted(map(how, origin["transformations"])))
        for origin in origins
    }


def row_sources(output):
    """What decides which rows an output has."""
    return told(output["facets"]["columnLineage"]["dataset"])


needs_specification = pytest.mark.skipif(
    not SPECIFICATION, reason="OPENLINEAGE_SPEC names no folder with the specification's schemas"
)
