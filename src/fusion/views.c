#include "fusion/views.h"

#include "base/memory.h"
#include "fusion/cka.h"
#include "train/source.h"
#include "train/unit.h"
#include <string.h>

/* Windows of a number that no base has: of the text that is not trained on, if there is some. */
static ef_status run_both(const ef_run *run, ef_distiller *d, const ef_model *model, ef_pass *pass,
                          int32_t *ids, int32_t *targets) {
  size_t B = (size_t)run->deck->fusion.batch, T = (size_t)run->deck->global.context;
  ef_source source = {.general = run->holdout.count >= 2 ? &run->holdout : &run->public_text,
                      .seed = (uint64_t)run->deck->run.seed,
                      .unit = ef_unit(EF_UNIT_BASE, UINT32_MAX)};
  EF_TRY(ef_source_sample(&source, 0, 0, B, T, ids, targets));
  EF_TRY(ef_forward(d->pass, d->proxy, ids, B, T));
  return ef_forward(pass, model, ids, B, T);
}

/* Row j of the attention is what the student's patches of stage j look at; their target is stage order[j]. */
static ef_status measure_mass(ef_distiller *d, size_t J, const float *const *student, double *mass) {
  double *of_student = NULL;
  EF_TRY(EF_NEW(of_student, J * J));
  d->features.mass(d->features.state, student, of_student);
  for (size_t j = 0; j < J; j++) memcpy(mass + d->order[j] * J, of_student + j * J, J * sizeof *mass);
  ef_free(of_student);
  return EF_OK;
}

static ef_status measure(const ef_run *run, ef_distiller *d, const ef_model *model, ef_pass *pass,
                         double *cka, double *mass) {
  const float *student[EF_MOST_STAGES], *teacher[EF_MOST_STAGES];
  size_t J = (size_t)run->deck->fusion.stages;
  size_t rows = (size_t)(run->deck->fusion.batch * run->deck->global.context);
  for (size_t j = 0; j < J; j++) {
    student[j] = ef_pass_residual(pass, ef_vaa_tap(model->dims.L, J, j + 1));
    teacher[j] = ef_pass_residual(d->pass, ef_vaa_tap(d->proxy->dims.L, J, j + 1));
  }
  ef_cka_side x = {student, J, model->dims.D}, y = {teacher, J, d->proxy->dims.D};
  EF_TRY(ef_cka(run->kernels, rows, &x, &y, cka));
  return d->features.mass ? measure_mass(d, J, student, mass) : EF_OK;
}

ef_status ef_views_measure(const ef_run *run, ef_distiller *d, const ef_model *model, ef_pass *pass,
                           bool before, double *views) {
  size_t cells = (size_t)(run->deck->fusion.stages * run->deck->fusion.stages);
  size_t rows = (size_t)(run->deck->fusion.batch * run->deck->global.context);
  int32_t *ids = NULL, *targets = NULL;
  ef_status status = EF_OK;
  EF_GO(EF_NEW(ids, rows));
  EF_GO(EF_NEW(targets, rows));
  EF_GO(run_both(run, d, model, pass, ids, targets));
  EF_GO(measure(run, d, model, pass, views + (before ? EF_VIEW_CKA_BEFORE : EF_VIEW_CKA_AFTER) * cells,
                views + (before ? EF_VIEW_MASS_BEFORE : EF_VIEW_MASS_AFTER) * cells));
done:
  ef_free(ids);
  ef_free(targets);
  return status;
}

size_t ef_views_bytes(const ef_deck *deck, size_t student, size_t teacher) {
  size_t J = (size_t)deck->fusion.stages, rows = (size_t)(deck->fusion.batch * deck->global.context);
  ef_cka_side x = {.count = J, .width = student}, y = {.count = J, .width = teacher};
  return ef_cka_bytes(rows, &x, &y) + 2 * rows * sizeof(int32_t);
}
