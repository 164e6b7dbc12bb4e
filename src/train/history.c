#include "train/history.h"

#include "base/memory.h"

ef_status ef_history_create(size_t capacity, ef_history *history) {
  *history = (ef_history){.capacity = capacity};
  return EF_NEW(history->rows, capacity);
}

void ef_history_free(ef_history *history) {
  ef_free(history->rows);
  *history = (ef_history){0};
}

const char *ef_history_name(size_t column) {
  static const char *const names[EF_HISTORY_COLUMNS] = {"ce", "kl", "fm", "holdout"};
  return names[column];
}

static ef_h5_array array_of(const ef_history *history) {
  return (ef_h5_array){.path = "/series/history",
                       .type = EF_H5_F32,
                       .rank = 2,
                       .shape = {history->count, EF_HISTORY_COLUMNS},
                       .description =
                           "mean losses of each step: cross-entropy, KL, feature matching, holdout",
                       .units = "nat/token",
                       .dims = "step,loss"};
}

ef_status ef_history_write(ef_h5 *file, const ef_history *history, bool passes, const char *title) {
  if (history->count == 0) return EF_OK;
  ef_h5_array array = array_of(history);
  EF_TRY(ef_h5_write(file, &array, passes ? history->rows : NULL));
  return ef_h5_set_nxdata(file, "/series", "history", "step,loss", title);
}

ef_status ef_history_read(ef_h5 *file, ef_history *history) {
  if (history->count == 0) return EF_OK;
  ef_h5_array array = array_of(history);
  return ef_h5_read(file, &array, history->rows);
}
