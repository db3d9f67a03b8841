#include "config.h"

#include <stdlib.h>
#include <string.h>

static bool skip(const char **at, char wanted) {
  while (**at == ' ' || **at == '\t' || **at == '\n' || **at == '\r') ++*at;
  if (**at != wanted) return false;
  ++*at;
  return true;
}

static char unescaped(const char **at) {
  char hex[5] = {0};
  char c = *(*at)++;
  switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'u':
      // The host escapes control characters so, and writes all others as they are.
      memcpy(hex, *at, 4);
      *at += 4;
      return (char)strtol(hex, NULL, 16);
    default: return c;
  }
}

// A text, for the caller to free; nothing if there is none.
static char *read_text(const char **at) {
  if (!skip(at, '"')) return NULL;
  // What escapes stand for is shorter than they are.
  char *text = malloc(strlen(*at) + 1), *to = text;
  while (**at != '"') {
    char c = *(*at)++;
    *to++ = c == '\\' ? unescaped(at) : c;
  }
  ++*at;
  *to = 0;
  return text;
}

static bool read_names(const char **at, struct names *names) {
  if (!skip(at, '[')) return false;
  if (skip(at, ']')) return true;
  do {
    char *name = read_text(at);
    if (!name) return false;
    names->items = realloc(names->items, (names->count + 1) * sizeof *names->items);
    names->items[names->count++] = name;
  } while (skip(at, ','));
  return skip(at, ']');
}

// What the host gives is valid JSON, and has no keys but those of the schema.
bool read_columns(const uint8_t *json, size_t size, struct names *names) {
  *names = (struct names){0};
  char *copy = strndup((const char *)json, size);
  const char *at = copy;
  char *key = skip(&at, '{') ? read_text(&at) : NULL;
  bool read = key && skip(&at, ':') && read_names(&at, names);
  free(key);
  free(copy);
  if (!read) free_names(names);
  return read;
}

void free_names(struct names *names) {
  for (size_t i = 0; i < names->count; i++) free(names->items[i]);
  free(names->items);
  *names = (struct names){0};
}
