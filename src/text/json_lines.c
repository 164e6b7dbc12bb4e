#include "text/json_lines.h"

#include "base/file.h"
#include "base/memory.h"
#include "text/utf8.h"
#include <stdio.h>
#include <string.h>

bool ef_blank(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n') return false;
  }
  return true;
}

/* ---- files -------------------------------------------------------------------------------------------- */

static size_t line_of(const char *data, size_t at) {
  size_t line = 1;
  for (size_t i = 0; i < at; i++) line += data[i] == '\n';
  return line;
}

/* UTF-8 without NUL, so that every text is a C string. */
static ef_status check_bytes(const char *path, const char *data, size_t size) {
  size_t good = ef_utf8_valid(data, size);
  EF_TRY(EF_CHECK(good == size, EF_INPUT, "%s:%zu: not UTF-8 (byte 0x%02x at offset %zu)", path,
                  line_of(data, good), (unsigned char)data[good], good));
  const char *nul = memchr(data, '\0', size);
  return EF_CHECK(!nul, EF_INPUT, "%s:%zu: a NUL byte; this is no text file", path,
                  line_of(data, nul ? (size_t)(nul - data) : 0));
}

ef_status ef_text_file_read(const char *path, char **data, size_t *size) {
  EF_TRY(ef_file_read(path, EF_INPUT, data, size));
  ef_status status = check_bytes(path, *data, *size);
  if (status != EF_OK) {
    ef_free(*data);
    *data = NULL;
    return status;
  }
  if (*size >= 3 && memcmp(*data, "\xEF\xBB\xBF", 3) == 0) {
    *size -= 3;
    memmove(*data, *data + 3, *size);
  }
  return EF_OK;
}

/* ---- lines -------------------------------------------------------------------------------------------- */

static ef_status read_line(const ef_line *line, const char *text, size_t bytes, ef_line_reader *read,
                           void *ctx) {
  if (ef_blank(text, bytes)) return EF_OK;
  json_error_t error;
  json_t *object = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
  EF_TRY(EF_AT_LINE(line, object, "not JSON: %s (column %d)", error.text, error.column));
  ef_status status =
      EF_AT_LINE(line, json_is_object(object), "not a JSON object; one object a line is needed");
  if (status == EF_OK) status = read(ctx, line, object);
  json_decref(object);
  return status;
}

ef_status ef_json_lines_each(const char *path, const char *data, size_t size, ef_line_reader *read,
                             void *ctx) {
  const char *end = data + size;
  for (ef_line line = {path, 1}; data < end; line.number++) {
    const char *stop = memchr(data, '\n', (size_t)(end - data));
    if (!stop) stop = end;
    EF_TRY(read_line(&line, data, (size_t)(stop - data), read, ctx));
    data = stop + (stop < end);
  }
  return EF_OK;
}

/* ---- fields ------------------------------------------------------------------------------------------- */

ef_status ef_json_text(const ef_line *line, const json_t *object, const char *key, const char **text) {
  const json_t *field = json_object_get(object, key);
  EF_TRY(EF_AT_LINE(line, field, "no \"%s\" in this line", key));
  EF_TRY(EF_AT_LINE(line, json_is_string(field), "\"%s\" is no string", key));
  *text = json_string_value(field);
  return EF_AT_LINE(line, !ef_blank(*text, json_string_length(field)), "\"%s\" is empty", key);
}

ef_status ef_json_name(const ef_line *line, const json_t *object, const char *key, char *digits,
                       const char **value) {
  const json_t *field = json_object_get(object, key);
  if (!field || json_is_null(field)) return EF_OK;
  if (digits && json_is_integer(field)) {
    snprintf(digits, EF_ID_BYTES, "%lld", (long long)json_integer_value(field));
    *value = digits;
    return EF_OK;
  }
  EF_TRY(EF_AT_LINE(line, json_is_string(field), "\"%s\" is no string", key));
  const char *text = json_string_value(field);
  for (const char *c = text; *c; c++) {
    EF_TRY(EF_AT_LINE(line, (unsigned char)*c >= ' ',
                      "\"%s\" holds a line break or another control character", key));
  }
  if (*text) *value = text;
  return EF_OK;
}
