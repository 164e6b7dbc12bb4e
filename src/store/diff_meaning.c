#include "store/diff_internal.h"

#include "base/memory.h"
#include "store/matrix.h"
#include <string.h>

/* ---- lineage ------------------------------------------------------------------------------------------ */

static json_t *changes_of(const ef_matrix *a, const ef_matrix *b, size_t *experts) {
  json_t *changes = json_array();
  for (size_t e = 0; e < a->rows; e++) {
    size_t before = json_array_size(changes);
    for (size_t n = 0; n < a->columns; n++) {
      double x = a->values[e * a->columns + n], y = b->values[e * a->columns + n];
      if (x == y) continue;
      json_array_append_new(changes, json_pack("{s:I, s:I, s:f, s:f}", "expert", (json_int_t)e, "device",
                                               (json_int_t)n, "a", x, "b", y));
    }
    *experts += json_array_size(changes) > before;
  }
  return changes;
}

static json_t *lineage_of(const ef_matrix *a, const ef_matrix *b) {
  if (a->rows == 0 && b->rows == 0) return json_null();
  if (a->rows != b->rows || a->columns != b->columns)
    return json_pack("{s:b, s:n, s:[]}", "equal", 0, "experts", "changes");
  size_t experts = 0;
  json_t *changes = changes_of(a, b, &experts);
  return json_pack("{s:b, s:I, s:o}", "equal", (int)(experts == 0), "experts", (json_int_t)experts, "changes",
                   changes);
}

/* The datasets themselves are compared as all others: a difference here is one there. */
ef_status ef_diff_lineage(ef_pair *p) {
  static const char path[] = "/lineage/expert_device";
  ef_matrix a = {0}, b = {0};
  ef_status status;
  EF_GO(ef_matrix_read(p->a, path, &a));
  EF_GO(ef_matrix_read(p->b, path, &b));
  json_object_set_new(p->report, "lineage", lineage_of(&a, &b));
done:
  ef_free(a.values);
  ef_free(b.values);
  return status;
}

/* ---- random state ------------------------------------------------------------------------------------- */

/* Random numbers are counted, not drawn from a state: what is to come follows from generator, seed and step.
 */
static json_t *state_of(const json_t *objects) {
  static const char *const names[] = {"random", "seed", "step", "unit", "index", "unit_step", "cursor"};
  json_t *out = json_object(), *root = json_object_get(objects, "/");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    json_t *value = json_object_get(root, names[i]);
    if (value) json_object_set(out, names[i], value);
  }
  return out;
}

void ef_diff_random(ef_pair *p) {
  json_t *a = state_of(p->in_a), *b = state_of(p->in_b);
  json_object_set_new(p->report, "random",
                      json_pack("{s:b, s:o, s:o}", "equal", json_equal(a, b), "a", a, "b", b));
}
