#include "market/files/json_read.h"

#include "base/memory.h"
#include "base/nearest.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LIST_BYTES = 512 };

/* ---- syntax ------------------------------------------------------------------------------------------- */

ef_status ef_json_load(const char *text, size_t bytes, json_t **value, size_t *byte) {
  size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;
  json_error_t error;
  *value = json_loadb(text, bytes, flags, &error);
  if (*value) return EF_OK;
  *byte = error.position > 0 ? (size_t)error.position - 1 : 0;
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "not JSON: %s", error.text);
}

ef_status ef_json_locate(const char *text, size_t bytes, size_t byte) {
  size_t line = 1, column = 1;
  for (size_t i = 0; i < byte && i < bytes; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c & 0xC0) != 0x80) column++;
    if (c == '\n') line++, column = 1;
  }
  return ef_context(EF_INPUT, "line %zu, column %zu", line, column);
}

/* ---- types -------------------------------------------------------------------------------------------- */

static const char *type_of(const json_t *value) {
  static const char *const names[] = {
      [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
      [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
      [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
  return names[json_typeof(value)];
}

ef_status ef_json_object(const ef_path *at, const json_t *value) {
  return EF_PATH_CHECK(at, NULL, json_is_object(value), "must be an object, is %s", type_of(value));
}

const json_t *ef_json_get(const json_t *object, const char *field) {
  const json_t *value = json_object_get(object, field);
  return value && !json_is_null(value) ? value : NULL;
}

ef_status ef_json_array(const ef_path *at, const json_t *object, const char *field, bool required,
                        const json_t **array) {
  *array = ef_json_get(object, field);
  if (!*array) return EF_PATH_CHECK(at, field, !required, "is missing; an array is needed");
  return EF_PATH_CHECK(at, field, json_is_array(*array), "must be an array, is %s", type_of(*array));
}

ef_status ef_json_number(const ef_path *at, const json_t *object, const char *field, double *value) {
  const json_t *found = ef_json_get(object, field);
  if (!found) return EF_OK;
  EF_TRY(EF_PATH_CHECK(at, field, json_is_number(found), "must be a number, is %s", type_of(found)));
  *value = json_number_value(found);
  return EF_PATH_CHECK(at, field, isfinite(*value), "must be a finite number");
}

ef_status ef_json_string(const ef_path *at, const json_t *object, const char *field, char **text) {
  ef_free(*text);
  *text = NULL;
  const json_t *found = ef_json_get(object, field);
  if (!found) return EF_OK;
  EF_TRY(EF_PATH_CHECK(at, field, json_is_string(found), "must be a string, is %s", type_of(found)));
  *text = ef_strdup(json_string_value(found));
  return EF_CHECK(*text, EF_MACHINE, "out of memory: %s", field);
}

ef_status ef_json_choice(const ef_path *at, const json_t *object, const char *field, const char *names,
                         int *choice) {
  const json_t *found = ef_json_get(object, field);
  if (!found) return EF_OK;
  EF_TRY(EF_PATH_CHECK(at, field, json_is_string(found), "must be one of %s, is %s", names, type_of(found)));
  const char *word = json_string_value(found);
  int place = 0;
  for (const char *name = names; *name; place++) {
    size_t n = strcspn(name, "|");
    if (strlen(word) == n && strncmp(word, name, n) == 0) {
      *choice = place;
      return EF_OK;
    }
    name += n + (name[n] == '|');
  }
  ef_nearest near = ef_nearest_to(word);
  ef_nearest_try_all(&near, names);
  return ef_path_fail(at, field, "must be one of %s, is \"%.60s\"%s", names, word, near.text);
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static bool is_comment(const char *name) {
  return name[0] == '_' || strncmp(name, "x-", 2) == 0 || strcmp(name, "comment") == 0 ||
         strcmp(name, "description") == 0;
}

static bool is_known(const ef_json_field *table, const char *name) {
  for (const ef_json_field *f = table; f->name; f++) {
    if (strcmp(f->name, name) == 0) return true;
  }
  return is_comment(name);
}

static ef_status fail_unknown(const ef_path *at, const ef_json_field *table, const char *name) {
  ef_nearest near = ef_nearest_to(name);
  char list[LIST_BYTES] = "";
  size_t used = 0;
  for (const ef_json_field *f = table; f->name; f++) {
    ef_nearest_try(&near, "", f->name, 0);
    int n = snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "; known are ", f->name);
    if (n > 0 && (size_t)n < sizeof list - used) used += (size_t)n;
  }
  return ef_path_fail(at, name, "unknown field%s", near.text[0] ? near.text : list);
}

static ef_status refuse_unknown(const ef_path *at, json_t *object, const ef_json_field *table) {
  for (void *item = json_object_iter(object); item; item = json_object_iter_next(object, item)) {
    const char *name = json_object_iter_key(item);
    if (!is_known(table, name)) return fail_unknown(at, table, name);
  }
  return EF_OK;
}

static ef_status read_number(const ef_path *at, const json_t *object, const ef_json_field *field,
                             void *record) {
  const json_t *found = ef_json_get(object, field->name);
  EF_TRY(EF_PATH_CHECK(at, field->name, found || !field->required, "is missing"));
  double value = ef_json_field_default(field, record);
  EF_TRY(ef_json_number(at, object, field->name, &value));
  if (field->kind != EF_FIELD_REAL) {
    EF_TRY(ef_range_check(at, field->name, EF_RANGE_COUNT, value));
    EF_TRY(EF_PATH_CHECK(at, field->name, value == floor(value), "must be a whole number, is %.15g", value));
  }
  ef_json_field_set(field, record, value);
  return EF_OK;
}

static ef_status read_text(const ef_path *at, const json_t *object, const ef_json_field *field,
                           void *record) {
  char **text = (char **)(void *)((char *)record + field->offset);
  EF_TRY(ef_json_string(at, object, field->name, text));
  return EF_PATH_CHECK(at, field->name, *text || !field->required, "is missing");
}

ef_status ef_json_read_fields(const ef_path *at, json_t *object, const ef_json_field *table, void *record) {
  EF_TRY(refuse_unknown(at, object, table));
  for (const ef_json_field *f = table; f->name; f++) {
    if (f->kind == EF_FIELD_TEXT)
      EF_TRY(read_text(at, object, f, record));
    else if (f->kind != EF_FIELD_OTHER)
      EF_TRY(read_number(at, object, f, record));
  }
  return EF_OK;
}
