/* Tables of a Markdown page that can be read as they stand: columns are aligned, the first to the left.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdio.h>

enum { EF_TABLE_COLUMNS = 16, EF_TABLE_CELL = 64 };

typedef struct ef_md_table {
  size_t columns, cells;
  char (*cell)[EF_TABLE_CELL]; /* (cells) row by row, the heading first; owned */
  ef_status status;            /* of the first failure; later calls do nothing */
} ef_md_table;

/* A table with this heading, "name|steps|tokens". Local. */
ef_md_table ef_md_table_make(const char *heading);

/* The next cell, row by row. Local. */
void ef_md_cell(ef_md_table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A real number with `digits` decimals, "-" if it is not finite. Local. */
void ef_md_real(ef_md_table *table, double x, int digits);
/* A count with commas between thousands. Local. */
void ef_md_count(ef_md_table *table, size_t n);

/* Prints the table and frees it; EF_MACHINE if it could not be made. Local. */
ef_status ef_md_print(ef_md_table *table, FILE *out);

/* "1,234,567" into `out`; returns `out`. Local. */
const char *ef_md_thousands(size_t n, char out[32]);
