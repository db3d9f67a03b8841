// The `trim` transform: removes white space around the texts of named columns.
//
// Only these columns cross; all others pass through. A text without its white space is a part of the
// text. So each batch is changed where it lies: its texts move together, and its offsets follow.

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "nanoarrow/nanoarrow_ipc.h"
#include "transform.h"

#define API(name) exports_longshore_plugin_transform_api_##name

typedef API(transformer_t) transformer_t;
typedef API(error_t) error_t;
typedef API(ipc_t) ipc_t;
typedef longshore_plugin_transform_types_column_source_t column_source_t;
typedef transform_list_u8_t bytes_t;

struct API(transformer_t) {
  struct ArrowSchema input;
  struct ArrowIpcDecoder decoder;
  bool *is_trimmed;       // of each column of the input
  bytes_t input_message;  // the schemas of all columns,
  bytes_t schema_message; // and of those that are trimmed
  bool begun;      // whether the output has its schema
  bytes_t pending; // what came of a message that is not yet complete
};

// A stream may end with it, and a batch without a body is read when something follows it.
static const uint8_t END_OF_STREAM[8] = {0xff, 0xff, 0xff, 0xff};

static const char CONFIG_SCHEMA[] =
    "{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"type\": \"object\","
    " \"properties\": {\"columns\": {\"description\": \"The columns to trim: of type Utf8.\","
    " \"type\": \"array\", \"items\": {\"type\": \"string\"}}},"
    " \"required\": [\"columns\"], \"additionalProperties\": false}";

void API(describe)(API(description_t) * description) {
  *description = (API(description_t)){0};
  transform_string_dup(&description->name, "trim-c");
  transform_string_dup(&description->version, "0.1.0");
  transform_string_dup(&description->summary, "Removes white space around texts");
  transform_string_dup(&description->config_schema, CONFIG_SCHEMA);
}

// Always false, so that a failing function can return it.
static bool fail(error_t *error, uint8_t class, const char *hint, const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  *error = (error_t){.class_ = class};
  transform_string_dup(&error->message, message);
  error->hint.is_some = hint != NULL;
  if (hint) transform_string_dup(&error->hint.val, hint);
  return false;
}

#define CONFIG LONGSHORE_PLUGIN_TYPES_ERROR_CLASS_CONFIG
#define INTERNAL LONGSHORE_PLUGIN_TYPES_ERROR_CLASS_INTERNAL

static bytes_t copy_of(const void *data, size_t size) {
  bytes_t copy = {malloc(size), size};
  memcpy(copy.ptr, data, size);
  return copy;
}

// -- opening

static bool read_schema(transformer_t *self, error_t *error) {
  const char *hint = "cast it in an `sql` step before";
  struct ArrowError reason;
  struct ArrowBufferView message = {{self->input_message.ptr}, self->input_message.len};
  if (ArrowIpcDecoderVerifyHeader(&self->decoder, message, &reason) ||
      ArrowIpcDecoderDecodeHeader(&self->decoder, message, &reason) ||
      ArrowIpcDecoderDecodeSchema(&self->decoder, &self->input, &reason)) {
    return fail(error, CONFIG, hint, "a column that this transform does not know: %s", reason.message);
  }
  return true;
}

static int encode_schema(struct ArrowSchema *schema, bytes_t *message, struct ArrowError *reason) {
  struct ArrowIpcEncoder encoder;
  struct ArrowBuffer buffer;
  ArrowBufferInit(&buffer);
  NANOARROW_RETURN_NOT_OK(ArrowIpcEncoderInit(&encoder));
  int code = ArrowIpcEncoderEncodeSchema(&encoder, schema, reason);
  if (code == NANOARROW_OK) code = ArrowIpcEncoderFinalizeBuffer(&encoder, true, &buffer);
  if (code == NANOARROW_OK) *message = copy_of(buffer.data, buffer.size_bytes);
  ArrowIpcEncoderReset(&encoder);
  ArrowBufferReset(&buffer);
  return code;
}

// The schema of the columns that are trimmed: of what is read, and of what is given.
static int copy_trimmed(transformer_t *self, struct ArrowSchema *trimmed) {
  int64_t count = 0, to = 0;
  for (int64_t i = 0; i < self->input.n_children; i++) count += self->is_trimmed[i];
  ArrowSchemaInit(trimmed);
  NANOARROW_RETURN_NOT_OK(ArrowSchemaSetFormat(trimmed, "+s"));
  NANOARROW_RETURN_NOT_OK(ArrowSchemaAllocateChildren(trimmed, count));
  for (int64_t i = 0; i < self->input.n_children; i++) {
    if (!self->is_trimmed[i]) continue;
    NANOARROW_RETURN_NOT_OK(ArrowSchemaDeepCopy(self->input.children[i], trimmed->children[to++]));
  }
  return NANOARROW_OK;
}

static bool use_trimmed(transformer_t *self, error_t *error) {
  struct ArrowError reason = {"out of memory"};
  struct ArrowSchema trimmed;
  int code = copy_trimmed(self, &trimmed);
  if (code == NANOARROW_OK) code = ArrowIpcDecoderSetSchema(&self->decoder, &trimmed, &reason);
  if (code == NANOARROW_OK) code = encode_schema(&trimmed, &self->schema_message, &reason);
  ArrowSchemaRelease(&trimmed);
  return code == NANOARROW_OK || fail(error, INTERNAL, NULL, "the columns to trim: %s", reason.message);
}

static bool find_column(transformer_t *self, const char *name, int64_t *index, error_t *error) {
  char known[512] = "the columns here are";
  for (*index = 0; *index < self->input.n_children; ++*index) {
    struct ArrowSchema *column = self->input.children[*index];
    if (strcmp(column->name, name) == 0) {
      struct ArrowSchemaView view;
      NANOARROW_ASSERT_OK(ArrowSchemaViewInit(&view, column, NULL));
      if (view.type == NANOARROW_TYPE_STRING) return true;
      return fail(error, CONFIG, "cast it in an `sql` step before: arrow_cast(.., 'Utf8')",
                  "`columns`: `%s` is %s, not Utf8", name, ArrowTypeString(view.type));
    }
    size_t length = strlen(known);
    snprintf(known + length, sizeof known - length, "%s%s", *index ? ", " : " ", column->name);
  }
  return fail(error, CONFIG, known, "`columns`: no column `%s`", name);
}

static bool find_columns(transformer_t *self, transform_string_t *config, error_t *error) {
  struct names names;
  if (!read_columns(config->ptr, config->len, &names)) {
    return fail(error, CONFIG, "write it as `columns: [name, ...]`", "`columns` is not a list of names");
  }
  self->is_trimmed = calloc(self->input.n_children, sizeof *self->is_trimmed);
  bool found = true;
  for (size_t i = 0; found && i < names.count; i++) {
    int64_t index;
    found = find_column(self, names.items[i], &index, error);
    if (found) self->is_trimmed[index] = true;
  }
  free_names(&names);
  return found;
}

void API(transformer_destructor)(transformer_t *self) {
  if (self->input.release) ArrowSchemaRelease(&self->input);
  ArrowIpcDecoderReset(&self->decoder);
  free(self->is_trimmed);
  free(self->input_message.ptr);
  free(self->schema_message.ptr);
  free(self->pending.ptr);
  free(self);
}

bool API(static_transformer_open)(transform_string_t *config, bytes_t *input_schema,
                                  API(own_transformer_t) * opened, error_t *error) {
  transformer_t *self = calloc(1, sizeof *self);
  ArrowIpcDecoderInit(&self->decoder);
  self->input_message = *input_schema;
  bool ok = read_schema(self, error) && find_columns(self, config, error) && use_trimmed(self, error);
  transform_string_free(config);
  if (ok) {
    *opened = API(transformer_new)(self);
  } else {
    API(transformer_destructor)(self);
  }
  return ok;
}

bool API(method_transformer_output_schema)(transformer_t *self, bytes_t *schema, error_t *error) {
  (void)error;
  *schema = copy_of(self->input_message.ptr, self->input_message.len);
  return true;
}

// The columns to trim are read, and computed. All others pass through.
bool API(method_transformer_column_mapping)(transformer_t *self, API(option_column_mapping_t) * mapping,
                                            error_t *error) {
  (void)error;
  size_t count = self->input.n_children;
  uint32_t *reads = malloc(count * sizeof *reads);
  column_source_t *output = malloc(count * sizeof *output);
  *mapping = (API(option_column_mapping_t)){true, {{reads, 0}, {output, count}}};
  for (size_t i = 0; i < count; i++) {
    if (self->is_trimmed[i]) {
      reads[mapping->val.reads.len++] = i;
      output[i].tag = LONGSHORE_PLUGIN_TRANSFORM_TYPES_COLUMN_SOURCE_COMPUTED;
    } else {
      output[i].tag = LONGSHORE_PLUGIN_TRANSFORM_TYPES_COLUMN_SOURCE_INPUT;
      output[i].val.input = i;
    }
  }
  return true;
}

// -- working

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// What is null need not be looked at: its text, mostly empty, is trimmed like the others.
static void trim_column(struct ArrowArrayView *column) {
  if (column->length == 0) return;
  // The view's are read-only because they may be anybody's; these are in our own message.
  int32_t *ends = (int32_t *)column->buffer_views[1].data.as_int32;
  char *texts = (char *)column->buffer_views[2].data.as_char;
  int32_t begin = ends[0], to = 0;
  ends[0] = 0;
  for (int64_t row = 1; row <= column->length; row++) {
    int32_t from = begin, end = begin = ends[row];
    while (from < end && is_space(texts[from])) from++;
    while (from < end && is_space(texts[end - 1])) end--;
    memmove(texts + to, texts + from, end - from);
    ends[row] = to += end - from;
  }
}

// Trims the message at the beginning of what there is. Its size: 0 if it is not all there, or the
// stream's end, which `finish` writes.
static bool trim_message(transformer_t *self, uint8_t *data, size_t available, size_t *size, error_t *error) {
  struct ArrowError reason;
  struct ArrowBufferView header = {{data}, available};
  *size = 0;
  if (available >= sizeof END_OF_STREAM && memcmp(data, END_OF_STREAM, sizeof END_OF_STREAM) == 0) return true;
  int read = ArrowIpcDecoderVerifyHeader(&self->decoder, header, &reason);
  if (read == ESPIPE) return true;
  if (read || ArrowIpcDecoderDecodeHeader(&self->decoder, header, &reason)) goto unreadable;

  size_t metadata = self->decoder.header_size_bytes;
  struct ArrowBufferView body = {{data + metadata}, self->decoder.body_size_bytes};
  if (available < metadata + body.size_bytes) return true;
  *size = metadata + body.size_bytes;
  if (self->decoder.message_type != NANOARROW_IPC_MESSAGE_TYPE_RECORD_BATCH) return true;

  struct ArrowArrayView *batch;
  if (ArrowIpcDecoderDecodeArrayView(&self->decoder, body, -1, &batch, &reason)) goto unreadable;
  for (int64_t i = 0; i < batch->n_children; i++) trim_column(batch->children[i]);
  return true;

unreadable:
  return fail(error, INTERNAL, NULL, "unreadable input: %s", reason.message);
}

static bytes_t joined(bytes_t begin, const ipc_t *pieces) {
  bytes_t all = begin;
  for (size_t i = 0; i < pieces->len; i++) all.len += pieces->ptr[i].len;
  all.ptr = realloc(begin.ptr, all.len);
  uint8_t *to = all.ptr + begin.len;
  for (size_t i = 0; i < pieces->len; i++) {
    memcpy(to, pieces->ptr[i].ptr, pieces->ptr[i].len);
    to += pieces->ptr[i].len;
  }
  return all;
}

static ipc_t one_piece(bytes_t piece) {
  ipc_t pieces = {malloc(sizeof piece), 1};
  pieces.ptr[0] = piece;
  return pieces;
}

bool API(method_transformer_process)(transformer_t *self, ipc_t *input, ipc_t *output, error_t *error) {
  bytes_t data = joined(self->pending, input);
  self->pending = (bytes_t){0};
  API(ipc_free)(input);

  size_t done = 0, size;
  do {
    if (!trim_message(self, data.ptr + done, data.len - done, &size, error)) return free(data.ptr), false;
    done += size;
  } while (size > 0);

  if (done < data.len) self->pending = copy_of(data.ptr + done, data.len - done);
  self->begun |= done > 0;
  data.len = done;
  if (done > 0) {
    *output = one_piece(data);
  } else {
    free(data.ptr);
    *output = (ipc_t){0};
  }
  return true;
}

bool API(method_transformer_finish)(transformer_t *self, ipc_t *output, error_t *error) {
  (void)error;
  // The schema came through with the input, if there was any.
  bytes_t end = copy_of(END_OF_STREAM, sizeof END_OF_STREAM);
  if (!self->begun) {
    end = joined(copy_of(self->schema_message.ptr, self->schema_message.len), &(ipc_t){&end, 1});
  }
  *output = one_piece(end);
  return true;
}
