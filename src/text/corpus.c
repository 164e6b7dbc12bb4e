#include "text/corpus.h"

#include "base/file.h"
#include "base/memory.h"
#include "text/corpus_add.h"
#include "text/utf8.h"
#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* A plain text is cut at the first empty line behind this many bytes. */
enum { PLAIN_BYTES = 2048, ID_BYTES = 32 };

static const char unnamed[] = "text";

/* The file that is being read. */
typedef struct ef_reader {
  ef_corpus *corpus;
  const char *path;
  size_t line; /* from 1 */
  bool by_subdomain;
  bool any; /* a text was found */
} ef_reader;

#define AT_LINE(r, cond, ...)                                                                                \
  ((cond) ? EF_OK                                                                                            \
          : ef_context(ef_fail(EF_INPUT, __FILE__, __LINE__, __VA_ARGS__), "%s:%zu", (r)->path, (r)->line))

static bool blank(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++) {
    if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r' && text[i] != '\n') return false;
  }
  return true;
}

/* ---- JSON lines --------------------------------------------------------------------------------------- */

/* A field that may be absent or null. An id may be a whole number: `digits` holds its text. */
static ef_status optional_text(const ef_reader *reader, const json_t *object, const char *key, char *digits,
                               const char **value) {
  const json_t *field = json_object_get(object, key);
  if (!field || json_is_null(field)) return EF_OK;
  if (digits && json_is_integer(field)) {
    snprintf(digits, ID_BYTES, "%lld", (long long)json_integer_value(field));
    *value = digits;
    return EF_OK;
  }
  EF_TRY(AT_LINE(reader, json_is_string(field), "\"%s\" is no string", key));
  const char *text = json_string_value(field);
  for (const char *c = text; *c; c++) {
    EF_TRY(AT_LINE(reader, (unsigned char)*c >= ' ', "\"%s\" holds a line break or another control character",
                   key));
  }
  if (*text) *value = text;
  return EF_OK;
}

static ef_status add_object(ef_reader *reader, const json_t *object) {
  EF_TRY(AT_LINE(reader, json_is_object(object), "not a JSON object; one object a line is needed"));
  const json_t *text = json_object_get(object, "text");
  EF_TRY(AT_LINE(reader, text, "no \"text\" in this line"));
  EF_TRY(AT_LINE(reader, json_is_string(text), "\"text\" is no string"));
  ef_document_source source = {json_string_value(text), "", unnamed, unnamed, json_string_length(text)};
  EF_TRY(AT_LINE(reader, !blank(source.text, source.bytes), "\"text\" is empty"));
  char digits[ID_BYTES];
  EF_TRY(optional_text(reader, object, "id", digits, &source.id));
  EF_TRY(optional_text(reader, object, "domain", NULL, &source.domain));
  EF_TRY(optional_text(reader, object, "subdomain", NULL, &source.subdomain));
  if (reader->by_subdomain) source.domain = source.subdomain;
  reader->any = true;
  return ef_corpus_add(reader->corpus, &source);
}

static ef_status read_json_line(ef_reader *reader, const char *line, size_t bytes) {
  if (blank(line, bytes)) return EF_OK;
  json_error_t error;
  json_t *object = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
  EF_TRY(AT_LINE(reader, object, "not JSON: %s (column %d)", error.text, error.column));
  ef_status status = add_object(reader, object);
  json_decref(object);
  return status;
}

static ef_status read_json_lines(ef_reader *reader, const char *data, size_t size) {
  const char *end = data + size;
  while (data < end) {
    const char *stop = memchr(data, '\n', (size_t)(end - data));
    if (!stop) stop = end;
    EF_TRY(read_json_line(reader, data, (size_t)(stop - data)));
    reader->line++;
    data = stop + (stop < end);
  }
  return EF_OK;
}

/* ---- plain text --------------------------------------------------------------------------------------- */

/* CR LF becomes LF, in place; returns the new size. */
static size_t drop_carriage_returns(char *data, size_t size) {
  size_t n = 0;
  for (size_t i = 0; i < size; i++) {
    if (data[i] != '\r' || i + 1 == size || data[i + 1] != '\n') data[n++] = data[i];
  }
  return n;
}

/* Where the document that starts at `data` ends: behind PLAIN_BYTES at an empty line, if what is left behind
 * it is long enough for another document. */
static const char *plain_end(const char *data, const char *end) {
  const char *at = data;
  while (end - at > 1) {
    if (at[0] == '\n' && at[1] == '\n' && at - data >= PLAIN_BYTES) return end - at >= PLAIN_BYTES ? at : end;
    at++;
  }
  return end;
}

static ef_status read_plain(ef_reader *reader, char *data, size_t size) {
  const char *at = data, *end = data + drop_carriage_returns(data, size);
  while (end > at && end[-1] == '\n') end--;
  for (;;) {
    while (at < end && *at == '\n') at++;
    if (at == end) return EF_OK;
    const char *stop = plain_end(at, end);
    ef_document_source source = {at, "", unnamed, unnamed, (size_t)(stop - at)};
    if (!blank(source.text, source.bytes)) {
      reader->any = true;
      EF_TRY(ef_corpus_add(reader->corpus, &source));
    }
    at = stop;
  }
}

/* ---- files -------------------------------------------------------------------------------------------- */

static bool ends_in(const char *path, const char *suffix) {
  size_t n = strlen(path), m = strlen(suffix);
  return n >= m && strcmp(path + n - m, suffix) == 0;
}

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

static ef_status read_data(ef_reader *reader, char *data, size_t size) {
  EF_TRY(check_bytes(reader->path, data, size));
  size_t mark = size >= 3 && memcmp(data, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
  bool json = ends_in(reader->path, ".jsonl") || ends_in(reader->path, ".json");
  if (json) {
    EF_TRY(read_json_lines(reader, data + mark, size - mark));
  } else {
    EF_TRY(read_plain(reader, data + mark, size - mark));
  }
  return EF_CHECK(reader->any, EF_INPUT, "%s: no text in this file", reader->path);
}

ef_status ef_corpus_read(ef_corpus *corpus, const char *path, bool by_subdomain) {
  ef_reader reader = {.corpus = corpus, .path = path, .line = 1, .by_subdomain = by_subdomain};
  char *data;
  size_t size;
  EF_TRY(ef_file_read(path, EF_INPUT, &data, &size));
  ef_status status = read_data(&reader, data, size);
  ef_free(data);
  return status;
}
