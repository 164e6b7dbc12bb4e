/* Tables of the instance's fields, shared by its check, reader and writer. Private. */
#pragma once

#include "market/files/json_fields.h"
#include "market/instance.h"

extern const ef_json_field ef_rules_fields[];
extern const ef_json_field ef_provider_fields[];
extern const ef_json_field ef_user_fields[];

#define EF_MODE_NAMES "per_provider|pooled"
