#include "store/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct collector {
  ef_h5 *file;
  json_t *objects, *names; /* names: attributes of the object at hand, borrowed */
} collector;

json_t *ef_report_real(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *natural(uint64_t x) {
  return x <= INT64_MAX ? json_integer((json_int_t)x) : json_sprintf("%llu", (unsigned long long)x);
}

static ef_status add_attribute(void *ctx, const char *name, const ef_h5_value *value) {
  collector *c = ctx;
  json_t *item = NULL;
  switch (value->kind) {
  case EF_H5_TEXT:
  case EF_H5_LIST:
    item = json_string(value->text);
    break;
  case EF_H5_INT:
    item = json_integer(value->integer);
    break;
  case EF_H5_UINT:
    item = natural(value->natural);
    break;
  case EF_H5_REAL:
    item = ef_report_real(value->real);
    break;
  }
  return EF_CHECK(item && json_object_set_new(c->names, name, item) == 0, EF_CHECKPOINT,
                  "%s: attribute %s is not UTF-8", c->file->path, name);
}

static ef_status add_object(void *ctx, const char *path, bool is_group) {
  (void)is_group;
  collector *c = ctx;
  c->names = json_object();
  EF_TRY(EF_CHECK(json_object_set_new(c->objects, path, c->names) == 0, EF_CHECKPOINT,
                  "%s: a name is not UTF-8", c->file->path));
  return ef_h5_each_attribute(c->file, path, add_attribute, c);
}

ef_status ef_report_attributes(ef_h5 *file, json_t **attributes) {
  collector c = {.file = file, .objects = json_object()};
  *attributes = NULL;
  ef_status status = ef_h5_walk(file, "/", add_object, &c);
  if (status == EF_OK) {
    *attributes = c.objects;
  } else {
    json_decref(c.objects);
  }
  return status;
}

double ef_report_number(ef_h5_type type, const void *block, size_t i) {
  switch (type) {
  case EF_H5_F32:
    return (double)((const float *)block)[i];
  case EF_H5_F64:
    return ((const double *)block)[i];
  case EF_H5_I32:
    return (double)((const int32_t *)block)[i];
  case EF_H5_I64:
    return (double)((const int64_t *)block)[i];
  default:
    return (double)((const uint8_t *)block)[i];
  }
}

const char *ef_report_text(const json_t *object, const char *key) {
  const char *text = json_string_value(json_object_get(object, key));
  return text ? text : "";
}

long long ef_report_whole(const json_t *object, const char *key) {
  return (long long)json_integer_value(json_object_get(object, key));
}

char *ef_report_plain(const json_t *value) {
  if (json_is_string(value)) return strdup(json_string_value(value));
  return value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9))
               : strdup("(none)");
}

ef_status ef_report_print(const json_t *report, FILE *out) {
  bool ok = json_dumpf(report, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF;
  return EF_CHECK(ok, EF_MACHINE, "the result cannot be written");
}
