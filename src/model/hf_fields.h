/* Fields of a config.json, read with their names in every error. A field that is null counts as absent.
 */
#pragma once

#include "base/status.h"
#include <jansson.h>
#include <stddef.h>

/* The value of `name`, or NULL if it is absent or null. Borrowed. */
const json_t *ef_field(const json_t *config, const char *name);

/* A whole number of at least `least`. need_: EF_INPUT when absent; get_: then `*value` stays. Local. */
ef_status ef_field_need_size(const json_t *config, const char *name, size_t least, size_t *value);
ef_status ef_field_get_size(const json_t *config, const char *name, size_t least, size_t *value);

ef_status ef_field_get_float(const json_t *config, const char *name, float *value);
ef_status ef_field_get_bool(const json_t *config, const char *name, bool *value);

/* A needed whole number of at least 1 that goes by either of two names; EF_INPUT if they contradict. Local.
 */
ef_status ef_field_need_either(const json_t *config, const char *name, const char *other, size_t *value);
