#include "text/names.h"

#include "base/memory.h"
#include <string.h>

/* Position of a name in a sorted list, or where it belongs. */
static size_t find_name(char *const *names, size_t count, const char *name, bool *found) {
  size_t low = 0, high = count;
  *found = false;
  while (low < high) {
    size_t mid = (low + high) / 2;
    int order = strcmp(names[mid], name);
    if (order == 0) *found = true;
    if (order < 0) {
      low = mid + 1;
    } else {
      high = mid;
    }
  }
  return low;
}

static ef_status insert_name(char ***names, size_t *count, const char *name, size_t at) {
  char **grown = ef_realloc(*names, *count + 1, sizeof **names), *copy = grown ? ef_strdup(name) : NULL;
  if (grown) *names = grown;
  EF_TRY(EF_CHECK(copy, EF_MACHINE, "out of memory: names of domains"));
  memmove(grown + at + 1, grown + at, (*count - at) * sizeof *grown);
  grown[at] = copy;
  (*count)++;
  return EF_OK;
}

ef_status ef_name_index(char ***names, size_t *count, const char *name, size_t *index, bool *added) {
  bool found;
  *index = find_name(*names, *count, name, &found);
  *added = !found;
  return found ? EF_OK : insert_name(names, count, name, *index);
}

void ef_names_free(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) ef_free(names[i]);
  ef_free(names);
}
