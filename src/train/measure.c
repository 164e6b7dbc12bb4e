#include "train/measure.h"

enum { PUBLIC_WINDOWS = 64 };

ef_quality ef_quality_total(const ef_quality *by_domain, size_t domains) {
  ef_quality sum = {0};
  for (size_t d = 0; d < domains; d++) ef_quality_add(&sum, &by_domain[d]);
  return sum;
}

static ef_status create(const ef_run *run, const ef_model *model, ef_evaluator *evaluator) {
  return ef_evaluator_create(&model->dims, run->kernels, (size_t)run->deck->eval.batch,
                             (size_t)run->deck->global.context, NULL, evaluator);
}

const ef_stream *ef_run_look_at(const ef_run *run, const ef_stream *holdout, size_t *most) {
  bool held_out = holdout->count >= 2;
  *most = held_out ? 0 : PUBLIC_WINDOWS;
  return held_out ? holdout : &run->public_text;
}

static ef_status look(const ef_run *run, ef_evaluator *evaluator, const ef_model *model,
                      const ef_stream *holdout, double *loss) {
  size_t most;
  const ef_stream *stream = ef_run_look_at(run, holdout, &most);
  ef_quality quality;
  EF_TRY(ef_evaluate(evaluator, model, stream, most, &quality));
  *loss = ef_log_perplexity(&quality);
  return EF_OK;
}

ef_status ef_run_measure(const ef_run *run, const ef_model *model, double *holdout, ef_quality *validation) {
  ef_evaluator evaluator = {0};
  ef_status status = EF_OK;
  EF_GO(create(run, model, &evaluator));
  EF_GO(look(run, &evaluator, model, &run->holdout, holdout));
  for (size_t d = 0; validation && d < run->tokens.domain_count; d++) {
    EF_GO(
        ef_evaluate(&evaluator, model, &run->validation[d], (size_t)run->deck->eval.windows, &validation[d]));
  }
done:
  ef_evaluator_free(&evaluator);
  return status;
}

ef_status ef_run_domain_loss(const ef_run *run, const ef_model *model, size_t domain, double *loss) {
  const ef_stream *own = &run->holdout_by_domain[domain];
  ef_evaluator evaluator = {0};
  EF_TRY(create(run, model, &evaluator));
  ef_status status = look(run, &evaluator, model, own->count >= 2 ? own : &run->holdout, loss);
  ef_evaluator_free(&evaluator);
  return status;
}
