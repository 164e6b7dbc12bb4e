#include "text/corpus.h"

#include "base/memory.h"
#include "text/corpus_add.h"
#include "text/json_lines.h"
#include <string.h>

/* A plain text is cut at the first empty line behind this many bytes. */
enum { PLAIN_BYTES = 2048 };

static const char unnamed[] = "text";

/* The file that is being read. */
typedef struct ef_reader {
  ef_corpus *corpus;
  bool by_subdomain;
  bool any; /* a text was found */
} ef_reader;

static ef_status add_object(void *ctx, const ef_line *line, const json_t *object) {
  ef_reader *reader = ctx;
  ef_document_source source = {.id = "", .domain = unnamed, .subdomain = unnamed};
  EF_TRY(ef_json_text(line, object, "text", &source.text));
  source.bytes = strlen(source.text);
  char digits[EF_ID_BYTES];
  EF_TRY(ef_json_name(line, object, "id", digits, &source.id));
  EF_TRY(ef_json_name(line, object, "domain", NULL, &source.domain));
  EF_TRY(ef_json_name(line, object, "subdomain", NULL, &source.subdomain));
  if (reader->by_subdomain) source.domain = source.subdomain;
  reader->any = true;
  return ef_corpus_add(reader->corpus, &source);
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
    if (!ef_blank(source.text, source.bytes)) {
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

ef_status ef_corpus_read(ef_corpus *corpus, const char *path, bool by_subdomain) {
  ef_reader reader = {.corpus = corpus, .by_subdomain = by_subdomain};
  char *data;
  size_t size;
  EF_TRY(ef_text_file_read(path, &data, &size));
  bool json = ends_in(path, ".jsonl") || ends_in(path, ".json");
  ef_status status =
      json ? ef_json_lines_each(path, data, size, add_object, &reader) : read_plain(&reader, data, size);
  ef_free(data);
  EF_TRY(status);
  return EF_CHECK(reader.any, EF_INPUT, "%s: no text in this file", path);
}
