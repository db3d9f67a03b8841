// What a job's step holds: {"columns": ["name", ...]}.

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct names {
  char **items;
  size_t count;
};

// Reads the names of the columns; false if there is anything else.
bool read_columns(const uint8_t *json, size_t size, struct names *names);

void free_names(struct names *names);
