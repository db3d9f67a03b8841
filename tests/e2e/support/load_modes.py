"""Load modes: a source that is one Parquet file, a job over it, and what the target holds afterwards."""

import io
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from support.stores import visible

NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


class Load:
    """A relation `orders` in a folder of a store, loaded again and again from rows that the test gives."""

    def __init__(self, program, lake, folder, schema, **target):
        self.program, self.lake, self.folder, self.schema = program, lake, folder, schema
        self.target = lake.target(folder, **target)
        self.keys = {}

    def job(self, rows, chunks=1, name="load.yaml", **keys):
        """The job, over these rows, in so many files: each is a chunk."""
        data = self.program.folder / name.removesuffix(".yaml")
        data.mkdir(exist_ok=True)
        for old in data.iterdir():
            old.unlink()
        for chunk in range(chunks):
            part = pa.Table.from_pylist(rows[chunk::chunks], self.schema)
            pq.write_table(part, data / f"{chunk:03}.parquet")
        return self.program.job(
            {"url": f"file://{data.parent}/"},
            name,
            target=self.target,
            relations=[{"table": data.name, "as": "orders"}],
            **{**self.keys, **keys},
        )

    def run(self, rows, chunks=1, **keys):
        """Loads these rows; gives what the report says of the relation."""
        [relation] = self.program.report("run", self.job(rows, chunks, **keys))["relations"]
        return relation

    def files(self):
        """The files that readers of the relation see."""
        files = visible(self.lake.files(self.folder))
        return {path: data for path, data in files.items() if path.startswith("orders/")}

    def rows(self):
        """The rows that the target holds, as sorted tuples, with what folders say in the places of their columns."""
        found = []
        for path, data in self.files().items():
            _, *folders, _ = path.split("/")
            table = pq.read_table(io.BytesIO(data))
            for folder in folders:
                column, _, value = folder.partition("=")
                field = self.schema.field(unquote(column))
                value = None if value == NULL_FOLDER else unquote(value)
                values = pa.array([value] * table.num_rows, pa.string()).cast(field.type)
                table = table.append_column(field, values)
            found += table.to_pylist()
        return ordered(found)


def ordered(rows):
    """Rows in one order, whatever values they have."""
    return sorted(rows, key=lambda row: repr(sorted(row.items())))
