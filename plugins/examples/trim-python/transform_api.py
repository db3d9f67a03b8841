"""The `trim` transform: removes white space around the texts of named columns."""

import json
from itertools import accumulate, pairwise
from struct import pack, unpack_from

import arrow_ipc
from plugin import failure, told
from wit_world import exports
from wit_world.exports import transform_api as api
from wit_world.imports.transform_types import ColumnMapping, ColumnSource_Computed, ColumnSource_Input
from wit_world.imports.types import Description, ErrorClass

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "columns": {
            "description": "The columns to trim: of type Utf8.",
            "type": "array",
            "items": {"type": "string"},
        },
    },
    "required": ["columns"],
    "additionalProperties": False,
}


class TransformApi(exports.TransformApi):
    def describe(self):
        return Description(
            name="trim-python",
            version="0.1.0",
            summary="Removes white space around texts",
            schemes=[],
            config_schema=json.dumps(SCHEMA),
            endpoints=[],
            secrets=[],
        )


@told
class Transformer(api.Transformer):
    """At work on one chunk."""

    def __init__(self, schema, mapping, read):
        self._schema = schema
        self._mapping = mapping
        self._reader = arrow_ipc.Reader([kind for _, kind, _ in read])
        # What is computed has the same fields as what is read.
        self._begin = [
            arrow_ipc.write_schema([(name, arrow_ipc.UTF8, nullable) for name, _, nullable in read])
        ]

    @classmethod
    def open(cls, config, input_schema):
        fields = arrow_ipc.read_schema(input_schema)
        columns = sorted(text_column(name, fields) for name in wanted(config))
        sources = [
            ColumnSource_Computed() if n in columns else ColumnSource_Input(n) for n in range(len(fields))
        ]
        return cls(input_schema, ColumnMapping(columns, sources), [fields[n] for n in columns])

    def output_schema(self):
        return self._schema

    def column_mapping(self):
        # The columns to trim cross, and no others.
        return self._mapping

    def process(self, input):
        output, self._begin = self._begin, []
        for batch in self._reader.push(input):
            batch.columns = [trimmed(batch.rows, column) for column in batch.columns]
            output += arrow_ipc.write_batch(batch)
        return output

    def finish(self):
        return [*self._begin, arrow_ipc.END]


def wanted(config):
    """The config's columns, each once: a job may hold anything."""
    config = json.loads(config)
    columns = config.get("columns") if isinstance(config, dict) else None
    if not isinstance(columns, list) or not all(isinstance(name, str) for name in columns):
        raise refused("`columns` is not a list of names", "write it as `columns: [name, ...]`")
    return dict.fromkeys(columns)


def text_column(name, fields):
    names = [each for each, _, _ in fields]
    if name not in names:
        raise refused(f"`columns`: no column `{name}`", f"the columns here are {', '.join(names)}")
    index = names.index(name)
    kind = fields[index][1]
    if kind != "Utf8":
        hint = f"cast it in an `sql` step before: arrow_cast({name}, 'Utf8')"
        raise refused(f"`columns`: `{name}` is {kind}, not Utf8", hint)
    return index


def trimmed(rows, column):
    """The same column without the white space. What is null need not be looked at."""
    if rows == 0:
        return column
    validity, offsets, texts = column.buffers
    texts = bytes(texts)
    layout = f"<{rows + 1}i"
    # Without an argument, `strip` takes from bytes exactly ASCII's white space.
    values = [texts[start:end].strip() for start, end in pairwise(unpack_from(layout, offsets))]
    ends = accumulate(map(len, values), initial=0)
    return arrow_ipc.Column(column.nulls, [validity, pack(layout, *ends), b"".join(values)])


def refused(message, hint):
    return failure(ErrorClass.CONFIG, message, hint)
