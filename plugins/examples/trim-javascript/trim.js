// The `trim` transform: removes white space around the texts of named columns.

import "./text-codec.js"; // before what needs it

import {
  AsyncByteQueue,
  DataType,
  Message,
  RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  makeData,
} from "apache-arrow";

const CONFIG_SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object",
  properties: {
    columns: {
      description: "The columns to trim: of type Utf8.",
      type: "array",
      items: { type: "string" },
    },
  },
  required: ["columns"],
  additionalProperties: false,
};

function describe() {
  return {
    name: "trim-javascript",
    version: "0.1.0",
    summary: "Removes white space around texts",
    schemes: [],
    configSchema: JSON.stringify(CONFIG_SCHEMA),
    endpoints: [],
    secrets: [],
  };
}

class Transformer {
  constructor(inputSchema, schema, columns) {
    this.inputSchema = inputSchema;
    this.mapping = mapping(schema, columns);
    this.pending = new Uint8Array(0);
    this.pieces = new Pieces();
    // Begins the stream: with the schema of the columns that are read, and written.
    this.writer = new RecordBatchStreamWriter().reset(this.pieces, schema.selectAt(columns));
    this.written = this.pieces.take();
    [this.schemaMessage] = this.written;
  }

  static open(config, inputSchema) {
    const schema = readSchema(inputSchema);
    const columns = new Set(wanted(config).map((name) => textColumn(schema, name)));
    return new Transformer(inputSchema, schema, [...columns].sort((a, b) => a - b));
  }

  outputSchema() {
    return this.inputSchema;
  }

  columnMapping() {
    return this.mapping;
  }

  process(input) {
    const data = joined([this.pending, ...input]);
    const end = completeMessages(data);
    this.pending = data.slice(end);
    // Each call's messages are read as a stream of their own.
    for (const batch of RecordBatchReader.from(joined([this.schemaMessage, data.subarray(0, end)]))) {
      this.writer.write(trimmed(batch));
    }
    return this.taken();
  }

  finish() {
    this.writer.finish();
    return this.taken();
  }

  taken() {
    return [...this.written.splice(0), ...this.pieces.take()];
  }
}

// These columns are read and computed. All others pass through.
function mapping(schema, columns) {
  const output = schema.fields.map((_, index) =>
    columns.includes(index) ? { tag: "computed" } : { tag: "input", val: index },
  );
  return { reads: Uint32Array.from(columns), output };
}

function trimmed(batch) {
  const children = batch.data.children.map(trimmedTexts);
  return new RecordBatch(batch.schema, makeData({ ...layout(batch.data), children }));
}

export const transformApi = { describe, Transformer: told(Transformer) };

// Tells the host of every exception that leaves a class's methods: it would see a trap only.
function told(plugin) {
  for (const object of [plugin, plugin.prototype]) {
    for (const name of Object.getOwnPropertyNames(object)) {
      const method = object[name];
      if (typeof method !== "function" || name === "constructor") continue;
      object[name] = function (...args) {
        try {
          return method.apply(this, args);
        } catch (error) {
          throw error instanceof Error ? failure("internal", String(error), null) : error;
        }
      };
    }
  }
  return plugin;
}

// Where the writer writes to: what it has written is taken after each call.
class Pieces extends AsyncByteQueue {
  pieces = [];

  write(bytes) {
    this.pieces.push(bytes);
  }

  take() {
    return [joined(this.pieces.splice(0))];
  }
}

function readSchema(message) {
  try {
    return RecordBatchReader.from(message).open().schema;
  } catch (error) {
    throw refused(`a column that this transform does not know: ${error.message}`, CAST);
  }
}

function wanted(config) {
  const { columns } = JSON.parse(config);
  if (!Array.isArray(columns) || !columns.every((name) => typeof name === "string")) {
    throw refused("`columns` is not a list of names", "write it as `columns: [name, ...]`");
  }
  return columns;
}

function textColumn(schema, name) {
  const index = schema.fields.findIndex((field) => field.name === name);
  if (index < 0) {
    throw refused(`\`columns\`: no column \`${name}\``, `the columns here are ${schema.names.join(", ")}`);
  }
  const { type } = schema.fields[index];
  if (!DataType.isUtf8(type)) {
    throw refused(`\`columns\`: \`${name}\` is ${type}, not Utf8`, `${CAST}: arrow_cast(${name}, 'Utf8')`);
  }
  return index;
}

const CAST = "cast it in an `sql` step before";

// How many of these bytes are whole messages.
function completeMessages(data) {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  let end = 0;
  while (end + 8 <= data.length) {
    const body = end + 8 + view.getInt32(end + 4, true);
    if (body === end + 8 || body > data.length) break; // the stream's end; cut within the metadata
    const next = body + Message.decode(data.subarray(end + 8, body)).bodyLength;
    if (next > data.length) break;
    end = next;
  }
  return end;
}

// A copy of the texts, moved together. What is null need not be looked at.
function trimmedTexts(column) {
  if (column.length === 0) return column;
  const offsets = column.valueOffsets;
  const texts = column.values.slice();
  const ends = new Int32Array(column.length + 1);
  let to = 0;
  for (let row = 0; row < column.length; row++) {
    let from = offsets[row];
    let end = offsets[row + 1];
    while (from < end && isSpace(texts[from])) from++;
    while (from < end && isSpace(texts[end - 1])) end--;
    texts.copyWithin(to, from, end);
    ends[row + 1] = to += end - from;
  }
  return makeData({ ...layout(column), valueOffsets: ends, data: texts.subarray(0, to) });
}

const isSpace = (byte) => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

const layout = ({ type, length, nullCount, nullBitmap }) => ({ type, length, nullCount, nullBitmap });

function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((size, piece) => size + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const refused = (message, hint) => failure("config", message, hint);

function failure(class_, message, hint) {
  return { class: class_, message, code: null, hint, context: [] };
}
