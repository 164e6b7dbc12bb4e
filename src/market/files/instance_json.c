#include "base/file.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "market/files/json_split.h"
#include "market/instance_internal.h"
#include "market/networks.h"
#include "market/workload_internal.h"
#include <math.h>
#include <string.h>

enum { PATH_BYTES = 4096, ID_BYTES = 32 };

static const char schema[] = "aeria-market/1";
static const ef_path top = {NULL, "", EF_NO_INDEX};

/* ---- reading ------------------------------------------------------------------------------------------ */

static ef_status read_coin(const json_t *object, const char *field, double *coin, bool *has) {
  *has = ef_json_get(object, field) != NULL;
  return ef_json_number(&top, object, field, coin);
}

static ef_status read_rules(json_t *object, ef_rules *rules) {
  int known = 0, variant = EF_VARIANT_T, mode = 0;
  EF_TRY(ef_json_choice(&top, object, "schema", schema, &known));
  EF_TRY(ef_json_read_fields(&top, object, ef_rules_fields, rules));
  EF_TRY(read_coin(object, "u", &rules->u, &rules->has_u));
  EF_TRY(read_coin(object, "v", &rules->v, &rules->has_v));
  EF_TRY(ef_json_choice(&top, object, "variant", EF_VARIANT_NAMES, &variant));
  EF_TRY(ef_json_choice(&top, object, "mode", EF_MODE_NAMES, &mode));
  rules->variant = (ef_variant)variant;
  rules->pooled = mode == 1;
  return EF_OK;
}

/* An id is a string, a whole number, or absent: then it is the index. */
static ef_status read_id(const ef_path *at, const json_t *object, char **id, bool *number_id) {
  const json_t *found = ef_json_get(object, "id");
  if (json_is_string(found)) return ef_json_string(at, object, "id", id);
  char digits[ID_BYTES];
  double number = (double)at->index;
  EF_TRY(EF_PATH_CHECK(at, "id", !found || json_is_number(found), "must be a string or a whole number"));
  EF_TRY(ef_json_number(at, object, "id", &number));
  EF_TRY(EF_PATH_CHECK(at, "id", number == floor(number) && fabs(number) < 0x1p53,
                       "must be a string or a whole number below 2^53"));
  snprintf(digits, sizeof digits, "%.0f", number);
  *id = ef_strdup(digits);
  *number_id = true;
  return EF_CHECK(*id, EF_MACHINE, "out of memory: id");
}

/* The path of a file that is named relative to another; EF_INPUT if it is empty or too long. */
static ef_status beside(const char *file, const char *name, char path[PATH_BYTES]) {
  const char *slash = strrchr(file, '/');
  int folder = slash && name[0] != '/' ? (int)(slash - file) + 1 : 0;
  int n = snprintf(path, PATH_BYTES, "%.*s%s", folder, file, name);
  return EF_CHECK(n > 0 && n < PATH_BYTES, EF_INPUT, "\"%.60s\" is no path of a file", name);
}

/* A workload by name: a shipped network, or a file relative to the instance's. */
static ef_status read_named(const ef_path *at, const char *file, const char *name, ef_workload *w) {
  char path[PATH_BYTES];
  const ef_network *network = ef_network_find(name);
  if (network) return network->make(1, w);
  ef_nearest near = ef_nearest_to(name);
  for (const ef_network *n = ef_networks; n->name; n++) ef_nearest_try(&near, "", n->name, 0);
  EF_TRY(beside(file, name, path));
  EF_TRY(EF_PATH_CHECK(at, NULL, ef_file_exists(path),
                       "\"%.200s\" is neither a network (%s) nor a file beside the instance%s", name,
                       ef_network_names(), near.text));
  ef_status status = ef_workload_read(path, w);
  return status == EF_OK ? EF_OK : ef_context(status, "%s[%zu]", at->name, at->index);
}

static ef_status read_workloads(const char *file, const json_t *object, ef_instance *instance) {
  const json_t *array;
  EF_TRY(ef_json_array(&top, object, "workloads", true, &array));
  size_t count = json_array_size(array);
  EF_TRY(EF_NEW(instance->workloads, count));
  instance->workload_count = count;
  for (size_t w = 0; w < count; w++) {
    const ef_path here = {&top, "workloads", w};
    json_t *entry = json_array_get(array, w);
    if (json_is_string(entry)) {
      EF_TRY(read_named(&here, file, json_string_value(entry), &instance->workloads[w]));
    } else {
      EF_TRY(ef_workload_read_object(&here, entry, &instance->workloads[w]));
    }
  }
  return EF_OK;
}

static ef_status read_providers(const json_t *object, ef_instance *instance) {
  const json_t *array;
  EF_TRY(ef_json_array(&top, object, "providers", true, &array));
  size_t count = json_array_size(array);
  EF_TRY(EF_NEW(instance->providers, count));
  instance->provider_count = count;
  for (size_t p = 0; p < count; p++) {
    const ef_path here = {&top, "providers", p};
    json_t *entry = json_array_get(array, p);
    ef_provider *provider = &instance->providers[p];
    EF_TRY(ef_json_object(&here, entry));
    EF_TRY(ef_json_read_fields(&here, entry, ef_provider_fields, provider));
    EF_TRY(read_id(&here, entry, &provider->id, &provider->number_id));
  }
  return EF_OK;
}

static ef_status read_user(json_t *entry, size_t index, ef_user *user) {
  const ef_path here = {&top, "users", index};
  EF_TRY(ef_json_object(&here, entry));
  EF_TRY(ef_json_read_fields(&here, entry, ef_user_fields, user));
  return read_id(&here, entry, &user->id, &user->number_id);
}

/* Each user's tree is freed before the next is made. */
static ef_status read_users(ef_json_split *split, ef_instance *instance) {
  EF_TRY(EF_NEW(instance->users, split->count));
  instance->user_count = split->count;
  for (size_t i = 0; i < split->count; i++) {
    json_t *entry;
    EF_TRY(ef_json_split_next(split, &entry));
    ef_status status = read_user(entry, i, &instance->users[i]);
    json_decref(entry);
    EF_TRY(status);
  }
  return EF_OK;
}

static ef_status read_rest(const char *file, const ef_json_split *split, ef_instance *instance) {
  json_t *object;
  const json_t *users;
  EF_TRY(ef_json_split_rest(split, &object));
  ef_status status;
  EF_GO(ef_json_object(&top, object));
  EF_GO(read_rules(object, &instance->rules));
  EF_GO(read_workloads(file, object, instance));
  EF_GO(read_providers(object, instance));
  EF_GO(ef_json_array(&top, object, "users", true, &users));
  EF_GO(EF_PATH_CHECK(&top, "users", json_array_size(users) == 0, "its name must stand without escapes"));
done:
  json_decref(object);
  return status;
}

ef_status ef_instance_parse(const char *name, const char *json, size_t bytes, ef_instance *instance) {
  ef_json_split split = ef_json_split_make(json, bytes, "users");
  ef_status status;
  *instance = (ef_instance){0};
  EF_GO(read_rest(name, &split, instance));
  EF_GO(read_users(&split, instance));
  EF_GO(ef_instance_check(instance));
done:
  if (status == EF_OK) return EF_OK;
  ef_instance_free(instance);
  return ef_context(status, "%s", name);
}

ef_status ef_instance_read(const char *path, ef_instance *instance) {
  char *text;
  size_t bytes;
  *instance = (ef_instance){0};
  EF_TRY(ef_file_read(path, EF_INPUT, &text, &bytes));
  ef_status status = ef_instance_parse(path, text, bytes, instance);
  ef_free(text);
  return status;
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static void put_coin(FILE *out, const char *name, bool has, double coin, bool *any) {
  if (!has) return;
  ef_json_put_name(out, name, any);
  ef_json_put_number(out, coin);
}

static ef_status put_rules(FILE *out, const ef_rules *rules) {
  bool any = true;
  fprintf(out, "{\"schema\": \"%s\",\n \"variant\": \"%s\", \"mode\": \"%s\"", schema,
          ef_variant_name(rules->variant), rules->pooled ? "pooled" : "per_provider");
  put_coin(out, "u", rules->has_u, rules->u, &any);
  put_coin(out, "v", rules->has_v, rules->v, &any);
  return ef_json_put_fields(out, ef_rules_fields, rules, &any);
}

static ef_status put_id(FILE *out, const char *id, bool number_id, bool *any) {
  if (!id) return EF_OK;
  ef_json_put_name(out, "id", any);
  if (!number_id) return ef_json_put_string(out, id);
  fputs(id, out);
  return EF_OK;
}

static ef_status put_provider(FILE *out, const ef_provider *provider) {
  bool any = false;
  EF_TRY(put_id(out, provider->id, provider->number_id, &any));
  return ef_json_put_fields(out, ef_provider_fields, provider, &any);
}

static ef_status put_user(FILE *out, const ef_user *user) {
  bool any = false;
  EF_TRY(put_id(out, user->id, user->number_id, &any));
  return ef_json_put_fields(out, ef_user_fields, user, &any);
}

static ef_status put_instance(const void *what, FILE *out) {
  const ef_instance *instance = what;
  EF_TRY(put_rules(out, &instance->rules));
  fputs(",\n \"workloads\": [", out);
  for (size_t w = 0; w < instance->workload_count; w++) {
    fputs(w ? ",\n  " : "\n  ", out);
    EF_TRY(ef_workload_put(&instance->workloads[w], 2, out));
  }
  fputs("],\n \"providers\": [", out);
  for (size_t p = 0; p < instance->provider_count; p++) {
    fputs(p ? ",\n  {" : "\n  {", out);
    EF_TRY(put_provider(out, &instance->providers[p]));
    fputc('}', out);
  }
  fputs("],\n \"users\": [", out);
  for (size_t i = 0; i < instance->user_count; i++) {
    fputs(i ? ",\n  {" : "\n  {", out);
    EF_TRY(put_user(out, &instance->users[i]));
    fputc('}', out);
  }
  fputs("]}\n", out);
  return EF_OK;
}

ef_status ef_instance_write(const ef_instance *instance, const char *path) {
  EF_TRY(ef_instance_check(instance));
  return ef_json_write_file(path, put_instance, instance);
}
