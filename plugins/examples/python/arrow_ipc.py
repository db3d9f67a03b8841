"""Arrow IPC streams, as much of them as flat columns need: no nesting, no dictionaries.

A table's fields are numbered as in the format's own Schema.fbs and Message.fbs.
"""

from dataclasses import dataclass
from struct import iter_unpack, pack, unpack_from

from flatbuffers import Builder, encode, number_types, packer
from flatbuffers.table import Table

MARKER = 0xFFFFFFFF
METADATA_V5 = 4
SCHEMA, RECORD_BATCH = 1, 3  # of the union MessageHeader
ALIGNMENT = 64  # of buffers: what the host needs to read every type in place
END = pack("<II", MARKER, 0)  # A host may wait for it after a batch without a body.

# The union Type, in its order.
KINDS = [
    *("None", "Null", "Int", "FloatingPoint", "Binary", "Utf8", "Bool", "Decimal", "Date", "Time"),
    *("Timestamp", "Interval", "List", "Struct", "Union", "FixedSizeBinary", "FixedSizeList", "Map"),
    *("Duration", "LargeBinary", "LargeUtf8", "LargeList", "RunEndEncoded", "BinaryView", "Utf8View"),
    *("ListView", "LargeListView"),
]

# Validity, values; validity, offsets, values; validity, views, and as many more as the batch says.
BUFFERS = {
    "Null": 0,
    **dict.fromkeys(("Binary", "Utf8", "LargeBinary", "LargeUtf8"), 3),
    **dict.fromkeys(("Int", "FloatingPoint", "Bool", "Decimal", "Date", "Time", "Timestamp"), 2),
    **dict.fromkeys(("Interval", "FixedSizeBinary", "Duration", "BinaryView", "Utf8View"), 2),
}


@dataclass
class Column:
    """One column of a batch."""

    nulls: int
    buffers: list
    views: bool = False


@dataclass
class Batch:
    """Some rows. Without columns, rows only count."""

    rows: int
    columns: list


# -- reading


def read_schema(message):
    """The name and the kind of each field of a schema message, and whether it may be null."""
    fields = _Table.root(memoryview(message)[8:]).table(2).tables(1)
    kind = lambda each: "Dictionary" if each.has(4) else KINDS[each.byte(2)]
    return [(each.text(0), kind(each), bool(each.byte(1))) for each in fields]


class Reader:
    """Reads one continuous stream, which may come cut at any place."""

    def __init__(self, kinds):
        self._kinds = kinds
        self._pending = b""

    def push(self, pieces):
        """The batches that these pieces complete."""
        data = memoryview(b"".join([self._pending, *pieces]))
        batches = []
        while len(data) >= 8:
            marker, size = unpack_from("<II", data)
            if marker != MARKER:
                raise ValueError("not an Arrow IPC stream")
            if size == 0 or len(data) < 8 + size:  # the stream's end; cut within the metadata
                break
            message = _Table.root(data[8 : 8 + size])
            end = 8 + size + message.long(3)
            if len(data) < end:
                break
            if message.byte(1) == RECORD_BATCH:
                batches.append(self._batch(message.table(2), data[8 + size : end]))
            data = data[end:]
        self._pending = bytes(data)
        return batches

    def _batch(self, header, body):
        nodes = header.structs(1, "<qq")
        buffers = (body[offset : offset + size] for offset, size in header.structs(2, "<qq"))
        more = (count for [count] in header.structs(4, "<q"))
        columns = []
        for kind, (_, nulls) in zip(self._kinds, nodes, strict=False):
            views = kind.endswith("View")
            count = BUFFERS[kind] + (next(more) if views else 0)
            columns.append(Column(nulls, [next(buffers) for _ in range(count)], views))
        return Batch(header.long(0), columns)


class _Table:
    """A flatbuffer's table, its fields by number."""

    def __init__(self, data, position):
        self._table = Table(data, position)

    @classmethod
    def root(cls, data):
        return cls(data, encode.Get(packer.uoffset, data, 0))

    def has(self, number):
        return self._table.Offset(4 + 2 * number) != 0

    def byte(self, number):
        return self._table.GetSlot(4 + 2 * number, 0, number_types.Uint8Flags)

    def long(self, number):
        return self._table.GetSlot(4 + 2 * number, 0, number_types.Int64Flags)

    def text(self, number):
        return self._table.String(self._position(number)).decode() if self.has(number) else ""

    def table(self, number):
        return _Table(self._table.Bytes, self._table.Indirect(self._position(number)))

    def tables(self, number):
        start, count = self._vector(number)
        places = range(start, start + 4 * count, 4)
        return [_Table(self._table.Bytes, self._table.Indirect(place)) for place in places]

    def structs(self, number, layout):
        start, count = self._vector(number)
        # All that is read here is made of 64-bit integers.
        size = 8 * layout.count("q")
        return iter_unpack(layout, self._table.Bytes[start : start + size * count])

    def _position(self, number):
        return self._table.Pos + self._table.Offset(4 + 2 * number)

    def _vector(self, number):
        offset = self._table.Offset(4 + 2 * number)
        return (self._table.Vector(offset), self._table.VectorLen(offset)) if offset else (0, 0)


# -- writing


@dataclass(frozen=True)
class Type:
    """A column's type, as it is written."""

    kind: str
    code: str  # of its values in the module `struct`
    slots: tuple = ()


def _int(bits, code):
    return Type("Int", code, (("Int32", bits, 0), ("Bool", True, False)))


INT8, INT16 = _int(8, "b"), _int(16, "h")
DATE32 = Type("Date", "i", (("Int16", 0, 1),))
BOOL = Type("Bool", "?")
UTF8 = Type("Utf8", "")


def write_schema(fields):
    """A schema message of columns: their names and types, and whether they may be null."""
    builder = Builder()
    childless = _vector(builder, [])
    tables = []
    for name, each, nullable in fields:
        text, kind = builder.CreateString(name), KINDS.index(each.kind)
        slots = [
            _offset(text),
            ("Bool", nullable, False),
            ("Uint8", kind, 0),
            _offset(_table(builder, each.slots)),
        ]
        tables.append(_table(builder, [*slots, None, _offset(childless)]))
    schema = _table(builder, [None, _offset(_vector(builder, tables))])
    return _message(builder, SCHEMA, schema, 0)


def write_column(kind, values):
    """A column of values, none of which is null."""
    if kind == BOOL:
        values = [sum(bit << n for n, bit in enumerate(values[i : i + 8])) for i in range(0, len(values), 8)]
        return Column(0, [b"", bytes(values)])
    return Column(0, [b"", pack(f"<{len(values)}{kind.code}", *values)])


def write_batch(batch):
    """A batch's message: its metadata, and its body as a piece of its own."""
    nodes = [(batch.rows, column.nulls) for column in batch.columns]
    more = [(len(column.buffers) - 2,) for column in batch.columns if column.views]
    regions, body = [], []
    size = 0
    for buffer in (buffer for column in batch.columns for buffer in column.buffers):
        regions.append((size, len(buffer)))
        padding = -len(buffer) % ALIGNMENT
        body += [buffer, bytes(padding)]
        size += len(buffer) + padding
    builder = Builder()
    vectors = [_structs(builder, each) for each in (nodes, regions, more)]
    slots = [("Int64", batch.rows, 0), *map(_offset, vectors[:2]), None, _offset(vectors[2])]
    return [_message(builder, RECORD_BATCH, _table(builder, slots), size), b"".join(body)]


def _message(builder, kind, header, body_size):
    slots = [("Int16", METADATA_V5, 0), ("Uint8", kind, 0), _offset(header), ("Int64", body_size, 0)]
    builder.Finish(_table(builder, slots))
    metadata = bytes(builder.Output())
    metadata += bytes(-len(metadata) % 8)
    return pack("<II", MARKER, len(metadata)) + metadata


def _offset(of):
    return ("UOffsetTRelative", of, 0)


def _table(builder, slots):
    """A table of these fields: kind, value, default; or nothing."""
    builder.StartObject(len(slots))
    for number, (kind, value, default) in ((n, slot) for n, slot in enumerate(slots) if slot):
        getattr(builder, f"Prepend{kind}Slot")(number, value, default)
    return builder.EndObject()


def _vector(builder, tables):
    builder.StartVector(4, len(tables), 4)
    for table in reversed(tables):
        builder.PrependUOffsetTRelative(table)
    return builder.EndVector()


def _structs(builder, structs):
    """A vector of structs of 64-bit integers."""
    builder.StartVector(8 * len(structs[0]) if structs else 8, len(structs), 8)
    for number in (number for struct in reversed(structs) for number in reversed(struct)):
        builder.PrependInt64(number)
    return builder.EndVector()
