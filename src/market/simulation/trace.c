#include "market/trace.h"

#include "base/file.h"
#include "base/memory.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A CSV text that is cut into fields in place, one record at a time. */
typedef struct csv {
  const char *path;
  char *at;
  size_t line, next_line; /* where the record began; where `at` is */
  char **field;           /* (count) trimmed texts inside the file's own memory */
  size_t count, room;
} csv;

/* What the reader looks for. */
typedef struct wanted {
  const char *column;
  size_t index, width; /* of the column; fields of the first line */
  double least, greatest;
} wanted;

void ef_trace_free(ef_trace *trace) {
  ef_free(trace->value);
  *trace = (ef_trace){0};
}

double ef_trace_mean(const ef_trace *trace) {
  double sum = 0.0;
  for (size_t i = 0; i < trace->count; i++) sum += trace->value[i];
  return trace->count > 0 ? sum / (double)trace->count : 0.0;
}

static bool is_space(char ch) { return ch == ' ' || ch == '\t' || ch == '\r'; }

static char *trim(char *text) {
  while (is_space(*text)) text++;
  size_t n = strlen(text);
  while (n > 0 && is_space(text[n - 1])) text[--n] = '\0';
  return text;
}

/* Past blank lines and comments; false at the end of the file. */
static bool seek_record(csv *c) {
  for (;;) {
    char *p = c->at + strspn(c->at, " \t\r");
    if (*p == '#') p += strcspn(p, "\n");
    if (*p != '\n') return *p != '\0';
    c->at = p + 1;
    c->next_line++;
  }
}

/* Unquotes the field that begins behind `open` in place and leaves `at` behind its closing quote. */
static ef_status read_quoted(csv *c, char *open, char **text) {
  char *from = open + 1, *to = from;
  *text = to;
  while (*from != '\0') {
    if (*from == '"' && from[1] != '"') break;
    if (*from == '"') from++;
    if (*from == '\n') c->next_line++;
    *to++ = *from++;
  }
  EF_TRY(EF_CHECK(*from == '"', EF_INPUT, "%s:%zu: a quote is not closed", c->path, c->line));
  c->at = from + 1;
  while (is_space(*c->at)) c->at++;
  *to = '\0';
  return EF_CHECK(*c->at == ',' || *c->at == '\n' || *c->at == '\0', EF_INPUT,
                  "%s:%zu: text after a closing quote", c->path, c->line);
}

static ef_status read_field(csv *c, char **text, bool *last) {
  *text = c->at;
  char *p = c->at;
  while (*p == ' ' || *p == '\t') p++;
  if (*p == '"') {
    EF_TRY(read_quoted(c, p, text));
  } else {
    c->at += strcspn(c->at, ",\n");
  }
  *last = *c->at != ',';
  if (*c->at == '\0') return EF_OK;
  if (*c->at == '\n') c->next_line++;
  *c->at++ = '\0';
  return EF_OK;
}

static ef_status read_record(csv *c) {
  c->line = c->next_line;
  c->count = 0;
  for (bool last = false; !last; c->count++) {
    char *text;
    EF_TRY(read_field(c, &text, &last));
    if (c->count == c->room) {
      size_t room = 2 * c->room + 8;
      char **grown = ef_realloc(c->field, room, sizeof *grown);
      EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: %zu fields of %s", room, c->path));
      c->field = grown;
      c->room = room;
    }
    c->field[c->count] = trim(text);
  }
  return EF_OK;
}

/* A decimal number and nothing else: no hexadecimal, no "inf", no decimal comma. */
static bool parse_number(const char *text, double *value) {
  if (*text == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0') return false;
  char *end;
  *value = strtod(text, &end);
  return *end == '\0';
}

static ef_status refuse_column(const csv *c, const char *column) {
  char names[256] = "";
  size_t used = 0;
  for (size_t i = 0; i < c->count; i++) {
    bool fits = used + strlen(c->field[i]) + 8 <= sizeof names;
    const char *name = fits ? c->field[i] : "...";
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", name);
    if (!fits) break;
  }
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "%s:%zu: no column \"%s\"; there are: %s", c->path, c->line,
                 column, names);
}

/* Finds the column in the first record; `data`: that record already holds a value. */
static ef_status find_column(const csv *c, wanted *w, bool *data) {
  w->width = c->count;
  *data = false;
  if (w->column && *w->column) {
    for (w->index = 0; w->index < c->count; w->index++) {
      if (strcmp(c->field[w->index], w->column) == 0) return EF_OK;
    }
    return refuse_column(c, w->column);
  }
  double ignored;
  w->index = c->count - 1;
  w->column = "last";
  *data = parse_number(c->field[w->index], &ignored);
  return EF_OK;
}

static ef_status read_value(const csv *c, const wanted *w, double *value) {
  EF_TRY(EF_CHECK(c->count == w->width, EF_INPUT, "%s:%zu: %zu fields where the first line has %zu", c->path,
                  c->line, c->count, w->width));
  const char *text = c->field[w->index];
  EF_TRY(EF_CHECK(*text != '\0', EF_INPUT, "%s:%zu: column %s: empty; give a number or remove the line",
                  c->path, c->line, w->column));
  EF_TRY(EF_CHECK(parse_number(text, value), EF_INPUT, "%s:%zu: column %s: \"%.40s\" is no number", c->path,
                  c->line, w->column, text));
  return EF_CHECK(isfinite(*value) && *value >= w->least && *value <= w->greatest, EF_INPUT,
                  "%s:%zu: column %s: %.40s is not within %g to %g", c->path, c->line, w->column, text,
                  w->least, w->greatest);
}

static ef_status append(ef_trace *trace, size_t *room, double value) {
  if (trace->count == *room) {
    size_t more = 2 * *room + 64;
    double *grown = ef_realloc(trace->value, more, sizeof *grown);
    EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: a trace of %zu values", more));
    trace->value = grown;
    *room = more;
  }
  trace->value[trace->count++] = value;
  return EF_OK;
}

static ef_status read_rows(csv *c, wanted *w, ef_trace *trace) {
  size_t room = 0;
  for (bool first = true; seek_record(c); first = false) {
    EF_TRY(read_record(c));
    bool data = true;
    if (first) EF_TRY(find_column(c, w, &data));
    if (!data) continue;
    double value = 0.0;
    EF_TRY(read_value(c, w, &value));
    EF_TRY(append(trace, &room, value));
  }
  return EF_CHECK(trace->count > 0, EF_INPUT, "%s: no values in this file", c->path);
}

ef_status ef_trace_read(const char *path, const char *column, double least, double greatest,
                        ef_trace *trace) {
  static const char bom[] = "\xEF\xBB\xBF";
  *trace = (ef_trace){0};
  char *data;
  size_t size;
  EF_TRY(ef_file_read(path, EF_INPUT, &data, &size));
  csv c = {.path = path, .at = data, .next_line = 1};
  if (strncmp(data, bom, 3) == 0) c.at += 3;
  wanted w = {.column = column, .least = least, .greatest = greatest};
  ef_status status = EF_CHECK(memchr(data, '\0', size) == NULL, EF_INPUT, "%s: not text: a NUL byte", path);
  if (status == EF_OK) status = read_rows(&c, &w, trace);
  if (status != EF_OK) ef_trace_free(trace);
  ef_free(c.field);
  ef_free(data);
  return status;
}
