#include "train/history.h"

#include "base/memory.h"
#include <math.h>
#include <string.h>

ef_status ef_history_create(size_t capacity, ef_history *history) {
  *history = (ef_history){.capacity = capacity};
  EF_TRY(EF_NEW(history->rows, capacity));
  for (size_t s = 0; s < capacity; s++) {
    for (size_t c = 0; c < EF_HISTORY_COLUMNS; c++) history->rows[s][c] = NAN;
  }
  return EF_OK;
}

void ef_history_free(ef_history *history) {
  ef_free(history->rows);
  *history = (ef_history){0};
}

const char *ef_history_name(size_t column) {
  static const char *const names[EF_HISTORY_COLUMNS] = {"ce", "kl", "fm", "holdout", "exits"};
  return names[column];
}

static const char PATH[] = "/series/history";

static ef_h5_array array_of(const ef_history *history, size_t columns) {
  bool exits = columns > EF_HISTORY_EXITS;
  return (ef_h5_array){.path = PATH,
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {history->count, columns},
                       .description =
                           exits ? "mean losses of each step: cross-entropy, KL, feature matching, holdout, "
                                   "cross-entropy of the early exits"
                                 : "mean losses of each step: cross-entropy, KL, feature matching, holdout",
                       .units = "nat/token",
                       .dims = "step,loss"};
}

/* The column of the early exits is the last; models without exits have none in their files. */
static size_t columns_of(const ef_history *history) {
  for (size_t s = 0; s < history->count; s++) {
    if (!isnan(history->rows[s][EF_HISTORY_EXITS])) return EF_HISTORY_COLUMNS;
  }
  return EF_HISTORY_EXITS;
}

ef_status ef_history_write(ef_h5 *file, const ef_history *history, bool passes, const char *title) {
  if (history->count == 0) return EF_OK;
  size_t columns = columns_of(history);
  ef_h5_array array = array_of(history, columns);
  float *values = NULL;
  EF_TRY(EF_NEW(values, history->count * columns));
  for (size_t s = 0; s < history->count; s++) {
    memcpy(values + s * columns, history->rows[s], columns * sizeof *values);
  }
  ef_status status = ef_h5_write(file, &array, passes ? values : NULL);
  ef_free(values);
  EF_TRY(status);
  EF_TRY(ef_h5_write_axis(file, "/series", "step", history->count, 1, "optimiser step, from 1", passes));
  EF_TRY(ef_h5_write_axis(file, "/series", "loss", columns, 0, "column of history, from 0", passes));
  return ef_h5_set_nxdata(file, "/series", "history", "step,loss", title);
}

ef_status ef_history_read(ef_h5 *file, ef_history *history) {
  if (history->count == 0) return EF_OK;
  ef_h5_array stored;
  EF_TRY(ef_h5_describe(file, PATH, &stored));
  size_t columns = stored.shape[1] == EF_HISTORY_COLUMNS ? EF_HISTORY_COLUMNS : EF_HISTORY_EXITS;
  ef_h5_array array = array_of(history, columns);
  float *values = NULL;
  EF_TRY(EF_NEW(values, history->count * columns));
  ef_status status = ef_h5_read(file, &array, values);
  for (size_t s = 0; status == EF_OK && s < history->count; s++) {
    memcpy(history->rows[s], values + s * columns, columns * sizeof *values);
  }
  ef_free(values);
  return status;
}
