#include "plan/paper_report.h"

static json_t *assumptions_json(const ef_paper_settings *s) {
  return json_pack("{s:f, s:I, s:I, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:s}", "bytes_per_number",
                   s->bytes, "rounds", (json_int_t)s->rounds, "experts_per_client", (json_int_t)s->experts,
                   "common_expert_params", s->common_params, "public_tokens", (json_int_t)s->public_tokens,
                   "public_samples", (json_int_t)s->public_samples, "top_k", (json_int_t)s->top_k,
                   "embedding_bytes", (json_int_t)s->embedding_bytes, "batch", (json_int_t)s->batch,
                   "context", (json_int_t)s->context, "bar_error_bytes", ef_paper_bar_error, "devices",
                   "equal parts, expected mean");
}

static json_t *models_json(const ef_paper *paper) {
  json_t *models = json_array();
  for (size_t i = 0; i < EF_PAPER_MODELS; i++) {
    const ef_paper_model *m = &paper->models[i];
    json_array_append_new(models, json_pack("{s:s, s:s, s:I, s:I}", "name", m->name, "family",
                                            ef_family_name(m->dims.family), "parameters",
                                            (json_int_t)ef_dims_params(&m->dims), "active_parameters",
                                            (json_int_t)ef_dims_active_params(&m->dims)));
  }
  return models;
}

static json_t *row_json(const ef_paper_case *c, const ef_paper_settings *s, size_t size) {
  ef_paper_row row = ef_paper_row_of(c, s, size);
  json_t *bytes = json_object();
  for (int m = 0; m < EF_PAPER_METHODS; m++) {
    json_object_set_new(bytes, ef_paper_method_name((ef_paper_method)m), json_real(row.total[m]));
  }
  return json_pack(
      "{s:I, s:o, s:{s:f, s:f}, s:{s:f, s:f}, s:f, s:f}", "devices", (json_int_t)row.devices, "bytes", bytes,
      "bars", "DeepFusion", c->deepfusion_bar[size], "FedJETS", c->fedjets_bar[size], "ratio", "DeepFusion",
      row.total[EF_PAPER_DEEPFUSION] / c->deepfusion_bar[size], "FedJETS",
      row.total[EF_PAPER_FEDJETS] / c->fedjets_bar[size], "saved", row.saved, "saved_by_bars", row.bar_saved);
}

static json_t *case_json(const ef_paper *paper, const ef_paper_case *c, const ef_paper_settings *s) {
  json_t *rows = json_array(), *families = json_array();
  for (size_t i = 0; i < EF_PAPER_SIZES; i++) json_array_append_new(rows, row_json(c, s, i));
  for (size_t i = 0; i < EF_PAPER_FAMILIES; i++) {
    json_array_append_new(families, json_string(paper->models[c->families[i]].name));
  }
  ef_paper_implied b = ef_paper_imply(c, s);
  ef_paper_needed n = ef_paper_need(&c->counts, s, ef_paper_reduction);
  return json_pack("{s:s, s:o, s:s, s:f, s:f, s:o, s:{s:f, s:f, s:f, s:f}, s:{s:f, s:f, s:f, s:f}}", "name",
                   c->name, "devices", families, "global", paper->models[c->global].name,
                   "mean_device_parameters", c->counts.device, "fedjets_client_parameters",
                   ef_paper_client_params(&c->counts, (double)s->experts), "rows", rows, "bars_imply",
                   "deepfusion_bytes_per_number", b.deepfusion, "deepfusion_error", b.deepfusion_error,
                   "fedjets_rounds_times_bytes", b.fedjets, "fedjets_error", b.fedjets_error,
                   "stated_reduction_needs", "reduction", ef_paper_reduction, "rounds", n.rounds,
                   "experts_per_client", n.experts, "bytes_ratio", n.bytes_ratio);
}

static json_t *memory_json(const ef_paper *paper, const ef_paper_memory *memories) {
  json_t *rows = json_array();
  for (size_t i = 0; i < EF_PAPER_MEMORIES; i++) {
    const ef_paper_memory *m = &memories[i];
    bool client = i >= EF_PAPER_DEVICES;
    size_t model = client ? paper->cases[i - EF_PAPER_DEVICES].global : i;
    double sum = m->states + m->activations, bar = client ? ef_paper_client_bar : paper->models[i].memory_bar;
    json_array_append_new(rows, json_pack("{s:s, s:b, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "model",
                                          paper->models[model].name, "fedjets_client", (int)client,
                                          "parameters", m->params, "state_bytes", m->states,
                                          "activation_bytes", m->activations, "bytes", sum, "bar", bar,
                                          "ratio", sum / bar, "edgefuse_float32_bytes", m->program));
  }
  return rows;
}

ef_status ef_paper_json(const ef_paper *paper, const ef_paper_settings *s, json_t **json) {
  ef_paper_memory memories[EF_PAPER_MEMORIES];
  EF_TRY(ef_paper_memories(paper, s, memories));
  json_t *list = json_array();
  for (size_t c = 0; c < EF_PAPER_CASES; c++) {
    json_array_append_new(list, case_json(paper, &paper->cases[c], s));
  }
  ef_paper_experts e = ef_paper_imply_experts(paper);
  *json =
      json_pack("{s:o, s:o, s:o, s:o, s:{s:f, s:f, s:f}}", "assumptions", assumptions_json(s), "models",
                models_json(paper), "cases", list, "memory", memory_json(paper, memories),
                "bars_imply_experts_per_client", "value", e.value, "least", e.least, "greatest", e.greatest);
  return EF_CHECK(*json, EF_MACHINE, "out of memory: the JSON result");
}
