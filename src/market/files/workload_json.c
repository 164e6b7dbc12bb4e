#include "base/file.h"
#include "base/memory.h"
#include "market/workload_internal.h"

static const char kinds[] = "forward|autoregressive";
static const char schema[] = "aeria-workload/1";

/* ---- reading ------------------------------------------------------------------------------------------ */

static ef_status read_layers(const ef_path *at, const json_t *object, ef_workload *w) {
  const json_t *array;
  EF_TRY(ef_json_array(at, object, "layers", true, &array));
  size_t count = json_array_size(array);
  EF_TRY(EF_NEW(w->layers, count));
  w->layer_count = count;
  for (size_t l = 0; l < count; l++) {
    const ef_path here = {at, "layers", l};
    EF_TRY(ef_json_object(&here, json_array_get(array, l)));
    EF_TRY(ef_json_read_fields(&here, json_array_get(array, l), ef_layer_fields, &w->layers[l]));
  }
  return EF_OK;
}

static ef_status read_exits(const ef_path *at, const json_t *object, ef_workload *w) {
  const json_t *array;
  EF_TRY(ef_json_array(at, object, "exits", true, &array));
  size_t count = json_array_size(array);
  EF_TRY(EF_NEW(w->exits, count));
  w->exit_count = count;
  for (size_t e = 0; e < count; e++) {
    const ef_path here = {at, "exits", e};
    EF_TRY(ef_json_object(&here, json_array_get(array, e)));
    EF_TRY(ef_json_read_fields(&here, json_array_get(array, e), ef_exit_fields, &w->exits[e]));
  }
  return EF_OK;
}

static ef_status read_leave(const ef_path *at, const json_t *object, size_t exits, double **leave) {
  const json_t *array;
  EF_TRY(ef_json_array(at, object, "leave", true, &array));
  EF_TRY(EF_PATH_CHECK(at, "leave", json_array_size(array) == exits,
                       "has %zu shares, but there are %zu exits", json_array_size(array), exits));
  EF_TRY(EF_NEW(*leave, exits));
  for (size_t e = 0; e < exits; e++) {
    const json_t *share = json_array_get(array, e);
    const ef_path here = {at, "leave", e};
    EF_TRY(EF_PATH_CHECK(&here, NULL, json_is_number(share), "must be a number"));
    (*leave)[e] = json_number_value(share);
  }
  return EF_OK;
}

static ef_status read_policies(const ef_path *at, const json_t *object, ef_workload *w) {
  const json_t *array;
  EF_TRY(ef_json_array(at, object, "policies", false, &array));
  size_t count = json_array_size(array);
  if (count == 0) return EF_OK;
  EF_TRY(EF_NEW(w->policies, count));
  w->policy_count = count;
  for (size_t p = 0; p < count; p++) {
    const ef_path here = {at, "policies", p};
    json_t *policy = json_array_get(array, p);
    EF_TRY(ef_json_object(&here, policy));
    EF_TRY(ef_json_read_fields(&here, policy, ef_policy_fields, &w->policies[p]));
    EF_TRY(read_leave(&here, policy, w->exit_count, &w->policies[p].leave));
  }
  return EF_OK;
}

ef_status ef_workload_read_object(const ef_path *at, json_t *object, ef_workload *w) {
  int kind = 0, known = 0;
  EF_TRY(ef_json_object(at, object));
  EF_TRY(ef_json_choice(at, object, "schema", schema, &known));
  EF_TRY(ef_json_read_fields(at, object, ef_workload_fields, w));
  EF_TRY(ef_json_choice(at, object, "kind", kinds, &kind));
  w->autoregressive = kind == 1;
  EF_TRY(read_layers(at, object, w));
  EF_TRY(read_exits(at, object, w));
  return read_policies(at, object, w);
}

static ef_status read_text(const char *text, size_t bytes, ef_workload *w) {
  static const ef_path top = {NULL, "", EF_NO_INDEX};
  json_t *object;
  size_t byte;
  if (ef_json_load(text, bytes, &object, &byte) != EF_OK) return ef_json_locate(text, bytes, byte);
  ef_status status = ef_workload_read_object(&top, object, w);
  json_decref(object);
  if (status == EF_OK) status = ef_workload_check_at(&top, w);
  return status;
}

ef_status ef_workload_read(const char *path, ef_workload *w) {
  char *text;
  size_t bytes;
  *w = (ef_workload){0};
  EF_TRY(ef_file_read(path, EF_INPUT, &text, &bytes));
  ef_status status = read_text(text, bytes, w);
  ef_free(text);
  if (status == EF_OK) return EF_OK;
  ef_workload_free(w);
  return ef_context(status, "%s", path);
}

/* ---- writing ------------------------------------------------------------------------------------------ */

/* `[` and one object a line; `put` writes what is inside the braces of element i. */
static ef_status put_array(FILE *out, int indent, size_t count, const ef_workload *w,
                           ef_status (*put)(const ef_workload *w, size_t i, FILE *out)) {
  fputc('[', out);
  for (size_t i = 0; i < count; i++) {
    fprintf(out, "%s\n%*s{", i ? "," : "", indent + 4, "");
    EF_TRY(put(w, i, out));
    fputc('}', out);
  }
  fputc(']', out);
  return EF_OK;
}

static ef_status put_layer(const ef_workload *w, size_t l, FILE *out) {
  bool any = false;
  return ef_json_put_fields(out, ef_layer_fields, &w->layers[l], &any);
}

static ef_status put_exit(const ef_workload *w, size_t e, FILE *out) {
  bool any = false;
  return ef_json_put_fields(out, ef_exit_fields, &w->exits[e], &any);
}

static ef_status put_policy(const ef_workload *w, size_t p, FILE *out) {
  bool any = false;
  EF_TRY(ef_json_put_fields(out, ef_policy_fields, &w->policies[p], &any));
  ef_json_put_name(out, "leave", &any);
  for (size_t e = 0; e < w->exit_count; e++) {
    fputs(e ? ", " : "[", out);
    ef_json_put_number(out, w->policies[p].leave[e]);
  }
  fputc(']', out);
  return EF_OK;
}

ef_status ef_workload_put(const ef_workload *w, int indent, FILE *out) {
  bool any = false;
  fprintf(out, "{\"schema\": \"%s\", \"kind\": \"%s\"", schema,
          w->autoregressive ? "autoregressive" : "forward");
  fprintf(out, ",\n%*s", indent + 1, "");
  EF_TRY(ef_json_put_fields(out, ef_workload_fields, w, &any));
  fprintf(out, ",\n%*s\"layers\": ", indent + 1, "");
  EF_TRY(put_array(out, indent, w->layer_count, w, put_layer));
  fprintf(out, ",\n%*s\"exits\": ", indent + 1, "");
  EF_TRY(put_array(out, indent, w->exit_count, w, put_exit));
  if (w->policy_count) {
    fprintf(out, ",\n%*s\"policies\": ", indent + 1, "");
    EF_TRY(put_array(out, indent, w->policy_count, w, put_policy));
  }
  fputc('}', out);
  return EF_OK;
}

ef_status ef_workload_print(const ef_workload *w, FILE *out) {
  EF_TRY(ef_workload_put(w, 0, out));
  fputc('\n', out);
  return EF_OK;
}

static ef_status put_workload(const void *w, FILE *out) { return ef_workload_print(w, out); }

ef_status ef_workload_write(const ef_workload *w, const char *path) {
  EF_TRY(ef_workload_check(w, ""));
  return ef_json_write_file(path, put_workload, w);
}
