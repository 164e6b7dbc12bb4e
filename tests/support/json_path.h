/* Values inside a JSON report, for tests of what commands print.
 */
#pragma once

#include <jansson.h>

/* "groups.0.sum": the borrowed value at a path of keys, list entries by number. The test fails if there is
 * none. */
json_t *test_json_at(json_t *value, const char *path);
