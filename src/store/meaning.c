#include "store/meaning.h"

#include "base/memory.h"
#include "store/matrix.h"
#include "store/report.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the file is --------------------------------------------------------------------------------- */

static const struct {
  const char *key, *attribute;
} identity_keys[] = {
    {"kind", "kind"},
    {"method", "method"},
    {"phase", "phase"},
    {"unit", "unit"},
    {"index", "index"},
    {"step", "step"},
    {"state", "unit_state"},
    {"seed", "seed"},
    {"random", "random"},
    {"deck_hash", "identity"},
    {"text_hash", "text"},
    {"text_hash", "hash"},
    {"ranks", "ranks"},
    {"code_version", "code_version"},
    {"code_revision", "code_revision"},
};
enum { IDENTITY_KEYS = sizeof identity_keys / sizeof *identity_keys };

json_t *ef_meaning_identity(const json_t *root) {
  json_t *out = json_object();
  for (size_t i = 0; i < IDENTITY_KEYS; i++) {
    json_t *value = json_object_get(root, identity_keys[i].attribute);
    if (value) json_object_set(out, identity_keys[i].key, value);
    if (!json_object_get(out, identity_keys[i].key))
      json_object_set_new(out, identity_keys[i].key, json_null());
  }
  return out;
}

bool ef_meaning_is_identity(const char *attribute) {
  for (size_t i = 0; i < IDENTITY_KEYS; i++) {
    if (strcmp(identity_keys[i].attribute, attribute) == 0) return true;
  }
  return false;
}

static const char *text_at(const json_t *objects, const char *path, const char *name) {
  return json_string_value(json_object_get(json_object_get(objects, path), name));
}

json_t *ef_meaning_plot(const json_t *objects) {
  char here[H5_PATH_BYTES] = "", next[H5_PATH_BYTES];
  for (int depth = 0; depth < H5_DEPTH; depth++) {
    const char *object = here[0] ? here : "/", *to = text_at(objects, object, "default");
    if (!to) break;
    if (to[0] == '/') here[0] = '\0', to++;
    int n = snprintf(next, sizeof next, "%s/%s", here, to);
    if (n < 0 || n >= (int)sizeof next) return json_null();
    memcpy(here, next, sizeof here);
  }
  const char *class = text_at(objects, here, "NX_class"), *signal = text_at(objects, here, "signal");
  bool found = class && strcmp(class, "NXdata") == 0 && signal;
  return found ? json_sprintf("%s/%s", here, signal) : json_null();
}

static json_t *whole(double x) { return json_integer((json_int_t)x); }

/* ---- load of the experts ------------------------------------------------------------------------------ */

static json_t *layer_load(size_t layer, const double *tokens, size_t E) {
  double all = 0.0;
  size_t busiest = 0, idle = 0;
  json_t *shares = json_array();
  for (size_t e = 0; e < E; e++) {
    all += tokens[e];
    idle += tokens[e] == 0.0;
    if (tokens[e] > tokens[busiest]) busiest = e;
  }
  for (size_t e = 0; e < E; e++) json_array_append_new(shares, json_real(all > 0.0 ? tokens[e] / all : 0.0));
  return json_pack("{s:I, s:o, s:o, s:o, s:o, s:I}", "layer", (json_int_t)layer, "tokens", whole(all),
                   "shares", shares, "imbalance",
                   all > 0.0 ? json_real(tokens[busiest] / all * (double)E) : json_null(), "busiest",
                   all > 0.0 ? json_integer((json_int_t)busiest) : json_null(), "idle", (json_int_t)idle);
}

ef_status ef_meaning_load(ef_h5 *file, json_t **load) {
  static const char *const paths[] = {"/results/expert_load", "/expert_load/tokens"};
  *load = json_null();
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    ef_matrix m;
    EF_TRY(ef_matrix_read(file, paths[i], &m));
    if (m.rows == 0) continue;
    json_t *layers = json_array();
    for (size_t l = 0; l < m.rows; l++)
      json_array_append_new(layers, layer_load(l, m.values + l * m.columns, m.columns));
    ef_free(m.values);
    *load = json_pack("{s:s, s:o}", "path", paths[i], "layers", layers);
    break;
  }
  return EF_OK;
}

/* ---- lineage ------------------------------------------------------------------------------------------ */

typedef struct part_of {
  size_t device;
  double share;
} part_of;

static int larger_first(const void *a, const void *b) {
  const part_of *x = a, *y = b;
  if (x->share != y->share) return x->share > y->share ? -1 : 1;
  return x->device < y->device ? -1 : 1;
}

static json_t *group_of(const ef_matrix *m, size_t first, size_t end, part_of *parts) {
  const double *row = m->values + first * m->columns;
  size_t count = 0;
  double sum = 0.0;
  json_t *experts = json_array(), *devices = json_array();
  for (size_t e = first; e < end; e++) json_array_append_new(experts, json_integer((json_int_t)e));
  for (size_t n = 0; n < m->columns; n++) {
    sum += row[n];
    if (row[n] > 0.0) parts[count++] = (part_of){n, row[n]};
  }
  qsort(parts, count, sizeof *parts, larger_first);
  for (size_t i = 0; i < count; i++) {
    json_array_append_new(
        devices, json_pack("{s:I, s:f}", "device", (json_int_t)parts[i].device, "share", parts[i].share));
  }
  return json_pack("{s:o, s:f, s:o}", "experts", experts, "sum", sum, "devices", devices);
}

static ef_status groups_of(const ef_matrix *m, json_t **groups) {
  part_of *parts = NULL;
  EF_TRY(EF_NEW(parts, m->columns));
  *groups = json_array();
  size_t bytes = m->columns * sizeof *m->values;
  for (size_t first = 0, end; first < m->rows; first = end) {
    for (end = first + 1; end < m->rows; end++) {
      if (memcmp(m->values + end * m->columns, m->values + first * m->columns, bytes) != 0) break;
    }
    json_array_append_new(*groups, group_of(m, first, end, parts));
  }
  ef_free(parts);
  return EF_OK;
}

ef_status ef_meaning_lineage(ef_h5 *file, json_t **lineage) {
  static const char path[] = "/lineage/expert_device";
  ef_matrix m;
  json_t *groups = NULL;
  *lineage = json_null();
  EF_TRY(ef_matrix_read(file, path, &m));
  if (m.rows == 0) return EF_OK;
  ef_status status = groups_of(&m, &groups);
  if (status == EF_OK) {
    *lineage = json_pack("{s:s, s:I, s:I, s:o}", "path", path, "experts", (json_int_t)m.rows, "devices",
                         (json_int_t)m.columns, "groups", groups);
  }
  ef_free(m.values);
  return status;
}

/* ---- ledger ------------------------------------------------------------------------------------------- */

/* Both directions, (devices,classes) each. */
typedef struct traffic {
  ef_matrix up, down;
  char *names; /* "weights,embedding,..."; NULL: counted by device alone */
} traffic;

static ef_status read_traffic(ef_h5 *file, traffic *t) {
  bool classes = ef_h5_has(file, "/ledger/up_bytes");
  EF_TRY(ef_matrix_read(file, classes ? "/ledger/up_bytes" : "/clients/up_bytes", &t->up));
  EF_TRY(ef_matrix_read(file, classes ? "/ledger/down_bytes" : "/clients/down_bytes", &t->down));
  if (classes) EF_TRY(ef_h5_get_text(file, "/ledger", "classes", &t->names));
  return EF_CHECK(t->up.rows == t->down.rows && t->up.columns == t->down.columns, EF_CHECKPOINT,
                  "%s: the ledger's two directions have different shapes", file->path);
}

static double row_sum(const ef_matrix *m, size_t row) {
  double sum = 0.0;
  for (size_t c = 0; c < m->columns; c++) sum += m->values[row * m->columns + c];
  return sum;
}

static double column_sum(const ef_matrix *m, size_t column) {
  double sum = 0.0;
  for (size_t r = 0; r < m->rows; r++) sum += m->values[r * m->columns + column];
  return sum;
}

static json_t *ways(const char *key, json_t *what, double up, double down) {
  return json_pack("{s:o, s:o, s:o}", key, what, "up_bytes", whole(up), "down_bytes", whole(down));
}

static json_t *by_class(const traffic *t) {
  json_t *out = json_array();
  const char *name = t->names;
  for (size_t c = 0; name && c < t->up.columns; c++) {
    size_t n = strcspn(name, ",");
    json_array_append_new(
        out, ways("class", json_stringn(name, n), column_sum(&t->up, c), column_sum(&t->down, c)));
    name += n + (name[n] == ',');
  }
  return out;
}

static json_t *ledger_of(const traffic *t) {
  json_t *devices = json_array();
  double up = 0.0, down = 0.0;
  for (size_t n = 0; n < t->up.rows; n++) {
    double u = row_sum(&t->up, n), d = row_sum(&t->down, n);
    up += u;
    down += d;
    json_array_append_new(devices, ways("device", json_integer((json_int_t)n), u, d));
  }
  return json_pack("{s:o, s:o, s:o, s:o}", "up_bytes", whole(up), "down_bytes", whole(down), "classes",
                   by_class(t), "devices", devices);
}

ef_status ef_meaning_ledger(ef_h5 *file, json_t **ledger) {
  traffic t = {0};
  *ledger = json_null();
  ef_status status = read_traffic(file, &t);
  if (status == EF_OK && t.up.rows > 0) *ledger = ledger_of(&t);
  ef_free(t.names);
  ef_free(t.up.values);
  ef_free(t.down.values);
  return status;
}
