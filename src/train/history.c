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
