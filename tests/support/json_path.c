#include "support/json_path.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *test_json_at(json_t *value, const char *path) {
  char keys[256], *rest = NULL;
  snprintf(keys, sizeof keys, "%s", path);
  for (char *key = strtok_r(keys, ".", &rest); key; key = strtok_r(NULL, ".", &rest)) {
    value = json_is_array(value) ? json_array_get(value, (size_t)strtoul(key, NULL, 10))
                                 : json_object_get(value, key);
    cr_assert(value, "%s: there is no %s", path, key);
  }
  return value;
}
