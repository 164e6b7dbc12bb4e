#include "report/run_views.h"

#include "fusion/views.h"
#include <stdio.h>

enum { PATH_BYTES = 160 };

/* What one kind of matrix is called in the file. */
typedef struct kind {
  const char *group, *axes, *title, *before, *after;
  ef_view first; /* before; after follows */
} kind;

static const kind cka = {"/cka",
                         "student_stage,teacher_stage",
                         "linear CKA of base and proxy",
                         "linear CKA of the stages of common start and proxy on public text",
                         "linear CKA of the stages of distilled base and proxy on public text",
                         EF_VIEW_CKA_BEFORE};
static const kind mass = {
    "/attention_mass",
    "teacher_stage,student_stage",
    "attention mass by stage",
    "mean weight that attention for a teacher's stage puts on each stage of the student, "
    "before distillation",
    "mean weight that attention for a teacher's stage puts on each stage of the student, "
    "after distillation",
    EF_VIEW_MASS_BEFORE};

static ef_status write_matrix(ef_h5 *out, const kind *k, const char *group, const char *name,
                              const char *description, size_t J, const double *values) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", group, name);
  ef_h5_array array = {.path = path,
                       .type = EF_H5_F64,
                       .rank = 2,
                       .shape = {J, J},
                       .description = description,
                       .units = "1",
                       .dims = k->axes};
  return ef_h5_write(out, &array, values);
}

static ef_status write_axis(ef_h5 *out, const char *group, const char *name, size_t L, size_t J) {
  int64_t layers[EF_MOST_STAGES];
  char path[PATH_BYTES];
  for (size_t j = 0; j < J; j++) layers[j] = (int64_t)ef_vaa_tap(L, J, j + 1);
  snprintf(path, sizeof path, "%s/%s", group, name);
  ef_h5_array array = {.path = path,
                       .type = EF_H5_I64,
                       .rank = 1,
                       .shape = {J},
                       .description = "number of layers before the end of the stage",
                       .units = "1",
                       .dims = name};
  return ef_h5_write(out, &array, layers);
}

static const ef_dims *teacher_of(const ef_report *r, size_t base) {
  return &r->outcome->population.dims[r->outcome->clusters.clusters[base].entry];
}

static ef_status write_base(const ef_report *r, ef_h5 *out, const kind *k, size_t base) {
  size_t J = (size_t)r->run->deck->fusion.stages, cells = J * J;
  const double *values = r->outcome->bases.bases[base].views + k->first * cells;
  char group[PATH_BYTES / 2];
  snprintf(group, sizeof group, "%s/%s_%05zu", k->group, ef_unit_name(EF_UNIT_BASE), base);
  EF_TRY(write_matrix(out, k, group, "before", k->before, J, values));
  EF_TRY(write_matrix(out, k, group, "after", k->after, J, values + cells));
  EF_TRY(write_axis(out, group, "student_stage", r->outcome->bases.dims.L, J));
  EF_TRY(write_axis(out, group, "teacher_stage", teacher_of(r, base)->L, J));
  return ef_h5_set_nxdata(out, group, "after", k->axes, k->title);
}

static ef_status write_kind(const ef_report *r, ef_h5 *out, const kind *k) {
  const ef_bases *bases = &r->outcome->bases;
  size_t written = 0;
  for (size_t i = 0; i < bases->count; i++) {
    if (!bases->bases[i].taught) continue;
    EF_TRY(write_base(r, out, k, i));
    written++;
  }
  return written > 0 ? ef_h5_set_text(out, k->group, "NX_class", "NXentry") : EF_OK;
}

ef_status ef_report_write_views(const ef_report *r, ef_h5 *out) {
  ef_features_spec spec = ef_features_of(r->run->deck, r->outcome->bases.dims.D, 0);
  EF_TRY(write_kind(r, out, &cka));
  return ef_features_attend(&spec) ? write_kind(r, out, &mass) : EF_OK;
}
