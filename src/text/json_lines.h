/* Text files and JSON lines, one object a line: what the readers of corpora and of tasks share. Every refusal
 * is EF_INPUT and names the file and, where there is one, the line.
 */
#pragma once

#include "base/status.h"
#include <jansson.h>
#include <stddef.h>

enum { EF_ID_BYTES = 32 };

/* A line of a file, from 1. */
typedef struct ef_line {
  const char *path;
  size_t number;
} ef_line;

/* EF_OK if `cond` holds, else EF_INPUT: "PATH:LINE: message". */
#define EF_AT_LINE(line, cond, ...)                                                                          \
  ((cond) ? EF_OK                                                                                            \
          : ef_context(ef_fail(EF_INPUT, __FILE__, __LINE__, __VA_ARGS__), "%s:%zu", (line)->path,           \
                       (line)->number))

/* True for nothing but spaces, tabs and ends of lines. Local. */
bool ef_blank(const char *text, size_t bytes);

/* The bytes of a file, which must be UTF-8 without NUL; a byte order mark is dropped. Counted memory, freed
 * by the caller. EF_INPUT, EF_MACHINE. Local. */
ef_status ef_text_file_read(const char *path, char **data, size_t *size);

/* Calls `read` for each line that is not blank with its JSON object, which it does not keep. Stops at the
 * first failure. Local. */
typedef ef_status ef_line_reader(void *ctx, const ef_line *line, const json_t *object);
ef_status ef_json_lines_each(const char *path, const char *data, size_t size, ef_line_reader *read,
                             void *ctx);

/* A field that must be a string and not blank; `*text` is borrowed from the object. Local. */
ef_status ef_json_text(const ef_line *line, const json_t *object, const char *key, const char **text);

/* A name that may be absent, null or empty: then `*value` stays as it is. No control characters. An id may be
 * a whole number: `digits` (EF_ID_BYTES) then holds its text (NULL: it may not). Local. */
ef_status ef_json_name(const ef_line *line, const json_t *object, const char *key, char *digits,
                       const char **value);
