#include "base/markdown.h"

#include "base/memory.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>

static char *next_cell(ef_md_table *t) {
  if (t->status != EF_OK) return NULL;
  if (t->cells % t->columns == 0) { /* a new row */
    char(*grown)[EF_TABLE_CELL] = ef_realloc(t->cell, t->cells + t->columns, sizeof *grown);
    t->status = EF_CHECK(grown, EF_MACHINE, "out of memory: a table of %zu cells", t->cells);
    if (t->status != EF_OK) return NULL;
    t->cell = grown;
  }
  return t->cell[t->cells++];
}

void ef_md_cell(ef_md_table *table, const char *fmt, ...) {
  char *cell = next_cell(table);
  if (!cell) return;
  va_list args;
  va_start(args, fmt);
  vsnprintf(cell, EF_TABLE_CELL, fmt, args);
  va_end(args);
}

ef_md_table ef_md_table_make(const char *heading) {
  ef_md_table t = {.columns = 1};
  for (const char *p = heading; *p; p++) t.columns += *p == '|';
  for (const char *p = heading; *p;) {
    int n = (int)strcspn(p, "|");
    ef_md_cell(&t, "%.*s", n, p);
    p += n + (p[n] == '|');
  }
  return t;
}

void ef_md_real(ef_md_table *table, double x, int digits) {
  if (isfinite(x))
    ef_md_cell(table, "%.*f", digits, x);
  else
    ef_md_cell(table, "-");
}

const char *ef_md_thousands(size_t n, char out[32]) {
  char plain[24];
  size_t digits = (size_t)snprintf(plain, sizeof plain, "%zu", n), at = 0;
  for (size_t i = 0; i < digits; i++) {
    if (i > 0 && (digits - i) % 3 == 0) out[at++] = ',';
    out[at++] = plain[i];
  }
  out[at] = '\0';
  return out;
}

void ef_md_count(ef_md_table *table, size_t n) {
  char text[32];
  ef_md_cell(table, "%s", ef_md_thousands(n, text));
}

static void print_rule(const size_t *width, size_t columns, FILE *out) {
  for (size_t c = 0; c < columns; c++) {
    fputs(c == 0 ? "|:" : "|-", out);
    for (size_t i = 0; i < width[c]; i++) fputc('-', out);
    fputc(c == 0 ? '-' : ':', out);
  }
  fputs("|\n", out);
}

static void print_rows(const ef_md_table *t, const size_t *width, FILE *out) {
  for (size_t i = 0; i < t->cells; i++) {
    size_t c = i % t->columns;
    fprintf(out, c == 0 ? "| %-*s " : "| %*s ", (int)width[c], t->cell[i]);
    if (c + 1 < t->columns) continue;
    fputs("|\n", out);
    if (i + 1 == t->columns) print_rule(width, t->columns, out);
  }
  fputc('\n', out);
}

ef_status ef_md_print(ef_md_table *t, FILE *out) {
  size_t width[EF_TABLE_COLUMNS] = {0};
  ef_status status = t->status;
  if (status == EF_OK) {
    status = EF_CHECK(t->columns <= EF_TABLE_COLUMNS && t->cells % t->columns == 0, EF_FAULT,
                      "a table of %zu cells in %zu columns", t->cells, t->columns);
  }
  for (size_t i = 0; status == EF_OK && i < t->cells; i++) {
    size_t n = strlen(t->cell[i]);
    if (n > width[i % t->columns]) width[i % t->columns] = n;
  }
  if (status == EF_OK) print_rows(t, width, out);
  ef_free(t->cell);
  *t = (ef_md_table){0};
  return status;
}
