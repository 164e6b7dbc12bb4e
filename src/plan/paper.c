#include "plan/paper.h"

#include "train/trainer.h"

#define EF_GB 1e9
enum { LAST = EF_PAPER_SIZES - 1 };

const size_t ef_paper_sizes[EF_PAPER_SIZES] = {16, 32, 64, 128};
const double ef_paper_bar_error = 0.8 * EF_GB;
const double ef_paper_client_bar = 24.0 * EF_GB;
const double ef_paper_reduction = 0.71;

/* ---- the setting -------------------------------------------------------------------------------------- */

/* Shapes as in the published config.json of each model; memory bars in GB. */
typedef struct model_row {
  const char *name;
  ef_family family;
  ef_shape shape;
  double memory_bar;
} model_row;

enum { GPT2, GPT2_MEDIUM, TINYLLAMA, OLMO, BLOOM, QWEN_MOE, DEEPSEEK_MOE };

static const model_row rows[EF_PAPER_MODELS] = {
    [GPT2] = {"GPT-2", EF_GPT2, {.V = 50257, .D = 768, .L = 12, .H = 12, .max_positions = 1024}, 2.6},
    [GPT2_MEDIUM] = {"GPT-2 Medium",
                     EF_GPT2,
                     {.V = 50257, .D = 1024, .L = 24, .H = 16, .max_positions = 1024},
                     3.6},
    [TINYLLAMA] = {"TinyLlama",
                   EF_LLAMA,
                   {.V = 32000, .D = 2048, .L = 22, .H = 32, .G = 4, .F = 5632, .max_positions = 2048},
                   7.2},
    [OLMO] = {"OLMo-1.2B",
              EF_OLMO,
              {.V = 50304, .D = 2048, .L = 16, .H = 16, .F = 8192, .max_positions = 2048},
              5.5},
    [BLOOM] = {"BLOOM-1.1B",
               EF_BLOOM,
               {.V = 250880, .D = 1536, .L = 24, .H = 16, .max_positions = 2048},
               4.7},
    [QWEN_MOE] = {"Qwen1.5-MoE",
                  EF_QWEN2_MOE,
                  {.V = 151936,
                   .D = 2048,
                   .L = 24,
                   .H = 16,
                   .F = 5632,
                   .max_positions = 8192,
                   .E = 60,
                   .K = 4,
                   .Fe = 1408,
                   .Fs = 5632},
                  0.0},
    [DEEPSEEK_MOE] = {"DeepSeek-MoE-16B",
                      EF_DEEPSEEK,
                      {.V = 102400,
                       .D = 2048,
                       .L = 28,
                       .H = 16,
                       .F = 10944,
                       .max_positions = 4096,
                       .E = 64,
                       .K = 6,
                       .Fe = 1408,
                       .Fs = 2816,
                       .dense_first = 1},
                      0.0},
};

static const ef_paper_case cases[EF_PAPER_CASES] = {
    {.name = "case 1, medical",
     .families = {GPT2, GPT2_MEDIUM, TINYLLAMA},
     .global = QWEN_MOE,
     .deepfusion_bar = {11.1 * EF_GB, 23.0 * EF_GB, 46.7 * EF_GB, 94.2 * EF_GB},
     .fedjets_bar = {36.4 * EF_GB, 73.6 * EF_GB, 147 * EF_GB, 294 * EF_GB}},
    {.name = "case 2, finance",
     .families = {TINYLLAMA, OLMO, BLOOM},
     .global = DEEPSEEK_MOE,
     .deepfusion_bar = {16.1 * EF_GB, 32.8 * EF_GB, 66.2 * EF_GB, 132 * EF_GB},
     .fedjets_bar = {30.1 * EF_GB, 60.9 * EF_GB, 122 * EF_GB, 245 * EF_GB}},
};

ef_paper_settings ef_paper_defaults(void) {
  return (ef_paper_settings){.bytes = 2.0,
                             .rounds = 1,
                             .experts = 2,
                             .public_tokens = 1000000,
                             .public_samples = 10000,
                             .top_k = 16,
                             .embedding_bytes = 32,
                             .batch = 1,
                             .context = 1024};
}

ef_status ef_paper_make(ef_paper *paper) {
  *paper = (ef_paper){0};
  for (size_t i = 0; i < EF_PAPER_MODELS; i++) {
    paper->models[i].name = rows[i].name;
    paper->models[i].memory_bar = rows[i].memory_bar * EF_GB;
    EF_TRY(ef_dims_make(rows[i].family, &rows[i].shape, &paper->models[i].dims));
  }
  for (size_t c = 0; c < EF_PAPER_CASES; c++) {
    ef_paper_case *one = &paper->cases[c];
    *one = cases[c];
    const ef_dims *models[EF_PAPER_FAMILIES];
    for (size_t i = 0; i < EF_PAPER_FAMILIES; i++) models[i] = &paper->models[one->families[i]].dims;
    one->counts = ef_paper_count(models, EF_PAPER_FAMILIES, &paper->models[one->global].dims);
  }
  return EF_OK;
}

/* ---- bytes on the wire -------------------------------------------------------------------------------- */

static double expert_params(const ef_dims *dims) {
  return (double)ef_dims_moe_count(dims) * 3.0 * (double)dims->D * (double)dims->Fe;
}

ef_paper_counts ef_paper_count(const ef_dims *const *models, size_t families, const ef_dims *global) {
  ef_paper_counts c = {.global = (double)ef_dims_params(global), .expert = expert_params(global)};
  for (size_t i = 0; i < families; i++) c.device += (double)ef_dims_params(models[i]) / (double)families;
  c.client_base = c.global - (double)global->E * c.expert;
  return c;
}

double ef_paper_client_params(const ef_paper_counts *counts, double experts) {
  return counts->client_base + experts * counts->expert;
}

const char *ef_paper_method_name(ef_paper_method method) {
  static const char *const names[EF_PAPER_METHODS] = {"DeepFusion", "FedAvg", "FedJETS", "FedMKT", "OFA-KD"};
  return names[method];
}

/* One logit and its index (4 bytes) for each of k_t places of a token; one float32 loss per sample. */
static double logit_bytes(const ef_paper_settings *s) {
  return (double)s->public_tokens * (double)s->top_k * (s->bytes + 4.0) + 4.0 * (double)s->public_samples;
}

ef_paper_traffic ef_paper_traffic_of(ef_paper_method method, const ef_paper_counts *counts,
                                     const ef_paper_settings *s) {
  ef_paper_traffic t = {.rounds = s->rounds};
  switch (method) {
  case EF_PAPER_FEDAVG:
    t.up = t.down = s->bytes * counts->global;
    break;
  case EF_PAPER_FEDJETS:
    t.up = t.down = s->bytes * ef_paper_client_params(counts, (double)s->experts);
    t.once = s->bytes * s->common_params;
    break;
  case EF_PAPER_FEDMKT:
    t.up = t.down = logit_bytes(s);
    break;
  default: /* DeepFusion and OFA-KD: one upload */
    t.up = s->bytes * counts->device + (double)s->embedding_bytes;
    t.rounds = 1;
  }
  return t;
}

double ef_paper_total(const ef_paper_traffic *t, size_t devices) {
  return (double)devices * ((double)t->rounds * (t->up + t->down) + t->once);
}

/* ---- beside the figures ------------------------------------------------------------------------------- */

ef_paper_row ef_paper_row_of(const ef_paper_case *c, const ef_paper_settings *s, size_t size) {
  ef_paper_row row = {.devices = ef_paper_sizes[size]};
  for (int m = 0; m < EF_PAPER_METHODS; m++) {
    ef_paper_traffic traffic = ef_paper_traffic_of((ef_paper_method)m, &c->counts, s);
    row.total[m] = ef_paper_total(&traffic, row.devices);
  }
  row.saved = 1.0 - row.total[EF_PAPER_DEEPFUSION] / row.total[EF_PAPER_FEDJETS];
  row.bar_saved = 1.0 - c->deepfusion_bar[size] / c->fedjets_bar[size];
  return row;
}

ef_paper_implied ef_paper_imply(const ef_paper_case *c, const ef_paper_settings *s) {
  double N = (double)ef_paper_sizes[LAST], up = N * c->counts.device,
         both = 2.0 * N * ef_paper_client_params(&c->counts, (double)s->experts);
  return (ef_paper_implied){.deepfusion = c->deepfusion_bar[LAST] / up,
                            .deepfusion_error = ef_paper_bar_error / up,
                            .fedjets = c->fedjets_bar[LAST] / both,
                            .fedjets_error = ef_paper_bar_error / both};
}

ef_paper_needed ef_paper_need(const ef_paper_counts *counts, const ef_paper_settings *s, double reduction) {
  double R = (double)s->rounds, left = 2.0 * (1.0 - reduction); /* up and down */
  double client = ef_paper_client_params(counts, (double)s->experts);
  return (ef_paper_needed){.rounds = counts->device / (left * client),
                           .experts = (counts->device / (left * R) - counts->client_base) / counts->expert,
                           .bytes_ratio = left * R * client / counts->device};
}

double ef_paper_experts_of_ratio(const ef_paper_counts *first, const ef_paper_counts *second, double ratio) {
  return (ratio * second->client_base - first->client_base) / (first->expert - ratio * second->expert);
}

ef_paper_experts ef_paper_imply_experts(const ef_paper *paper) {
  const ef_paper_case *a = &paper->cases[0], *b = &paper->cases[1];
  double first = a->fedjets_bar[LAST], second = b->fedjets_bar[LAST], e = ef_paper_bar_error;
  return (ef_paper_experts){
      .value = ef_paper_experts_of_ratio(&a->counts, &b->counts, first / second),
      .least = ef_paper_experts_of_ratio(&a->counts, &b->counts, (first + e) / (second - e)),
      .greatest = ef_paper_experts_of_ratio(&a->counts, &b->counts, (first - e) / (second + e))};
}

/* ---- device memory ------------------------------------------------------------------------------------ */

ef_status ef_paper_memory_of(const ef_dims *dims, size_t experts, const ef_paper_settings *s,
                             ef_paper_memory *memory) {
  ef_recipe recipe = {.batch = s->batch, .context = s->context};
  ef_model held = {.dims = *dims};
  size_t count = experts < dims->E ? experts : dims->E;
  if (held.dims.K > count) held.dims.K = count; /* no more can be chosen */
  EF_TRY(ef_table_build(dims, 0, count, &held.table));
  double pass = (double)ef_pass_bytes(&held.dims, EF_PASS_TRAIN, s->batch, s->context, true);
  double missing = dims->E > 0 ? (double)(dims->E - count) * expert_params(dims) : 0.0;
  memory->params = (double)ef_dims_params(dims) - missing;
  memory->states = 4.0 * s->bytes * memory->params;
  memory->activations = pass * s->bytes / (double)sizeof(float);
  memory->program = (double)(held.table.floats * sizeof(float) + ef_trainer_bytes(&held, &recipe, 0));
  ef_table_free(&held.table);
  return EF_OK;
}

ef_status ef_paper_memories(const ef_paper *paper, const ef_paper_settings *s,
                            ef_paper_memory memories[EF_PAPER_MEMORIES]) {
  for (size_t i = 0; i < EF_PAPER_MEMORIES; i++) {
    size_t model = i < EF_PAPER_DEVICES ? i : paper->cases[i - EF_PAPER_DEVICES].global;
    EF_TRY(ef_paper_memory_of(&paper->models[model].dims, s->experts, s, &memories[i]));
  }
  return EF_OK;
}
