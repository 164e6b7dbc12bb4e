/* A sorted list of names, as of domains: their numbers do not depend on the order of the files.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>

/* The index of `name` in a list in byte order, which it joins if it is new: then `*added` is set, and the
 * caller moves the numbers from *index on up by one. EF_MACHINE. Local. */
ef_status ef_name_index(char ***names, size_t *count, const char *name, size_t *index, bool *added);
void ef_names_free(char **names, size_t count);
