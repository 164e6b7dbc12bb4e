#include "model/hf_fields.h"

const json_t *ef_field(const json_t *config, const char *name) {
  const json_t *value = json_object_get(config, name);
  return json_is_null(value) ? NULL : value;
}

ef_status ef_field_get_size(const json_t *config, const char *name, size_t least, size_t *value) {
  const json_t *v = ef_field(config, name);
  if (!v) return EF_OK;
  EF_TRY(EF_CHECK(json_is_integer(v), EF_INPUT, "config.json: \"%s\" must be a whole number", name));
  EF_TRY(EF_CHECK(json_integer_value(v) >= (json_int_t)least, EF_INPUT,
                  "config.json: \"%s\" is %lld; it must be at least %zu", name,
                  (long long)json_integer_value(v), least));
  *value = (size_t)json_integer_value(v);
  return EF_OK;
}

ef_status ef_field_need_size(const json_t *config, const char *name, size_t least, size_t *value) {
  EF_TRY(EF_CHECK(ef_field(config, name), EF_INPUT, "config.json: \"%s\" is missing", name));
  return ef_field_get_size(config, name, least, value);
}

ef_status ef_field_get_float(const json_t *config, const char *name, float *value) {
  const json_t *v = ef_field(config, name);
  if (!v) return EF_OK;
  EF_TRY(EF_CHECK(json_is_number(v), EF_INPUT, "config.json: \"%s\" must be a number", name));
  *value = (float)json_number_value(v);
  return EF_OK;
}

ef_status ef_field_get_bool(const json_t *config, const char *name, bool *value) {
  const json_t *v = ef_field(config, name);
  if (!v) return EF_OK;
  EF_TRY(EF_CHECK(json_is_boolean(v), EF_INPUT, "config.json: \"%s\" must be true or false", name));
  *value = json_is_true(v);
  return EF_OK;
}

ef_status ef_field_need_either(const json_t *config, const char *name, const char *other, size_t *value) {
  size_t second = 0;
  if (!ef_field(config, name) && ef_field(config, other)) name = other;
  EF_TRY(ef_field_need_size(config, name, 1, value));
  EF_TRY(ef_field_get_size(config, other, 1, &second));
  return EF_CHECK(second == 0 || second == *value, EF_INPUT, "config.json: \"%s\" is %zu but \"%s\" is %zu",
                  name, *value, other, second);
}
