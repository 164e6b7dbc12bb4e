#include "cli/cli.h"

#include "base/clock.h"
#include "base/memory.h"
#include "base/rng.h"
#include "base/sort.h"
#include "step/optimiser.h"
#include "step/shard.h"
#include "step/step.h"
#include <string.h>

/* Training speed of a fixed small model against the SGEMM peak of the same run. */

enum { BATCH = 8, CONTEXT = 256, PEAK_SIZE = 2048, PEAK_RUNS = 5, MOST_STEPS = 10000, SEED = 1 };

typedef struct preset {
  const char *name;
  ef_family family;
  ef_shape shape;
} preset;

#define EF_BENCH_COMMON .V = 8192, .D = 256, .L = 6, .H = 8, .G = 8, .max_positions = CONTEXT
static const preset presets[] = {
    {"gpt2", EF_GPT2, {EF_BENCH_COMMON, .F = 1024}},
    {"llama", EF_LLAMA, {EF_BENCH_COMMON, .F = 688}},
    {"qwen2_moe", EF_QWEN2_MOE, {EF_BENCH_COMMON, .F = 688, .E = 16, .K = 4, .Fe = 176, .Fs = 704}},
};
enum { PRESETS = sizeof presets / sizeof *presets };

typedef struct options {
  const char *preset, *backend;
  int64_t steps;
} options;

/* What is measured; the same on all ranks. */
typedef struct figures {
  double peak;        /* FLOP/s of all ranks at once */
  double median;      /* seconds of a step of the slowest rank */
  double loss;        /* mean cross-entropy of the last step */
  double rss;         /* bytes of the largest rank */
  ef_traffic traffic; /* of this rank, all steps */
} figures;

/* ---- options -------------------------------------------------------------------------------- */

enum { KEY_PRESET = 0x20001, KEY_STEPS, KEY_BACKEND };

static const struct argp_option bench_options[] = {
    {"preset", KEY_PRESET, "NAME", 0, "gpt2 (default), llama or qwen2_moe", 0},
    {"steps", KEY_STEPS, "N", 0, "timed steps after one for warming up (default 7)", 0},
    {"backend", KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard", 0},
    {0},
};

static error_t parse_bench(int key, char *arg, struct argp_state *state) {
  options *o = state->input;
  switch (key) {
  case KEY_PRESET:
    o->preset = arg;
    return 0;
  case KEY_STEPS:
    return ef_cli_int("--steps", arg, 1, MOST_STEPS, &o->steps);
  case KEY_BACKEND:
    o->backend = arg;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

static ef_status find_preset(const char *name, const preset **found) {
  for (int i = 0; i < PRESETS; i++) {
    *found = &presets[i];
    if (strcmp(name, presets[i].name) == 0) return EF_OK;
  }
  return ef_fail(EF_USAGE, __FILE__, __LINE__, "--preset %s: is not one of gpt2, llama, qwen2_moe", name);
}

/* ---- measurements --------------------------------------------------------------------------- */

/* Sum and largest of one number per rank. */
static ef_status over_ranks(ef_par *par, double mine, double *sum, double *largest) {
  double *all = NULL;
  ef_status status = ef_agree(par, EF_NEW(all, (size_t)par->size));
  if (status == EF_OK) status = ef_allgather_f64(par, &mine, 1, all);
  *sum = *largest = 0.0;
  for (int r = 0; status == EF_OK && r < par->size; r++) {
    *sum += all[r];
    if (all[r] > *largest) *largest = all[r];
  }
  ef_free(all);
  return status;
}

/* FLOP/s of square products on all ranks at the same time: the median of each rank, summed. */
static ef_status sgemm_peak(ef_par *par, const ef_kernels *k, float *work, double *peak) {
  const size_t n = PEAK_SIZE;
  double seconds[PEAK_RUNS], largest;
  float *A = work, *B = work + n * n, *C = work + 2 * n * n;
  for (size_t i = 0; i < 2 * n * n; i++) work[i] = (float)(i % 17) / 17.0f - 0.5f;
  for (int run = -1; run < PEAK_RUNS; run++) {
    EF_TRY(ef_barrier(par));
    double start = ef_clock();
    k->matmul(0, 0, n, n, n, A, n, B, n, 0.0f, C, n);
    if (run >= 0) seconds[run] = ef_clock() - start;
  }
  return over_ranks(par, 2.0 * (double)(n * n * n) / ef_median(seconds, PEAK_RUNS), peak, &largest);
}

static ef_status random_batch(void *ctx, size_t micro, int32_t *ids, int32_t *targets) {
  const uint32_t *step = ctx;
  ef_rng rng = ef_rng_stream(SEED, EF_RNG_TEST, micro, *step);
  for (size_t i = 0; i < (size_t)BATCH * CONTEXT; i++) ids[i] = (int32_t)ef_rng_below(&rng, 8192);
  ef_shift_labels(BATCH, CONTEXT, ids, targets);
  return EF_OK;
}

static void add_traffic(ef_traffic *sum, ef_traffic one) {
  sum->bytes += one.bytes;
  sum->exchange_seconds += one.exchange_seconds;
  sum->wait_seconds += one.wait_seconds;
}

/* One warming step, then `steps` timed ones: the time of a step is that of the slowest rank. */
static ef_status timed_steps(ef_par *par, ef_step *step, size_t steps, double *seconds, figures *f) {
  uint32_t number = 0;
  const ef_batches batches = {.ctx = &number, .batch = random_batch};
  ef_step_spec spec = {.ce_scale = 1.0f / (float)((size_t)par->size * BATCH * (CONTEXT - 1)),
                       .adamw = ef_adamw_of(3e-4, 0.1, 0),
                       .clip = 1.0};
  for (size_t i = 0; i <= steps; i++) {
    ef_step_result result;
    double sum;
    spec.adamw.step = ++number;
    EF_TRY(ef_barrier(par));
    ef_traffic before = par->traffic;
    double start = ef_clock();
    EF_TRY(ef_step_run(step, &batches, &spec, &result));
    double mine = ef_clock() - start, slowest;
    add_traffic(&f->traffic, ef_traffic_since(par, &before));
    EF_TRY(over_ranks(par, mine, &sum, &slowest));
    if (i > 0) seconds[i - 1] = slowest;
    f->loss = result.loss.ce / (double)result.loss.tokens;
  }
  f->median = ef_median(seconds, steps);
  return EF_OK;
}

/* Everything that is measured on a model which is there. */
static ef_status measure_step(ef_par *par, const ef_kernels *k, ef_step *step, size_t steps, figures *f) {
  float *work = NULL;
  double *seconds = NULL, before = 0.0, after = 0.0, sum;
  ef_status status = EF_NEW(work, (size_t)3 * PEAK_SIZE * PEAK_SIZE);
  if (status == EF_OK) status = EF_NEW(seconds, steps);
  EF_GO(ef_agree(par, status));
  EF_GO(sgemm_peak(par, k, work, &before));
  EF_ASSERT(seconds);
  EF_GO(timed_steps(par, step, steps, seconds, f));
  EF_GO(sgemm_peak(par, k, work, &after));
  f->peak = before > after ? before : after;
  EF_GO(over_ranks(par, (double)ef_peak_rss(), &sum, &f->rss));
done:
  ef_free(work);
  ef_free(seconds);
  return status;
}

static ef_status measure(ef_par *par, const ef_kernels *k, const ef_dims *dims, size_t steps, figures *f) {
  ef_model model = {0};
  ef_step *step = NULL;
  const ef_step_shape shape = {.B = BATCH, .T = CONTEXT, .M = (size_t)par->size, .train_experts = true};
  ef_status status = ef_shard_create(par, dims, &model);
  EF_GO(ef_agree(par, status));
  ef_model_init(&model, SEED, 0);
  EF_GO(ef_step_create(par, k, &model, &shape, &step));
  EF_GO(measure_step(par, k, step, steps, f));
done:
  ef_step_free(step);
  ef_model_free(&model);
  return status;
}

/* ---- report --------------------------------------------------------------------------------- */

static void report(const ef_cli *cli, const options *o, const ef_dims *dims, const figures *f) {
  int ranks = cli->par->size;
  double per_token = ef_dims_flops_per_token(dims, CONTEXT),
         tokens = (double)ranks * BATCH * CONTEXT / f->median;
  double steps = (double)(o->steps + 1), speed = tokens * per_token, share = speed / f->peak;
  if (cli->json) {
    printf(
        "{\"preset\": \"%s\", \"backend\": \"%s\", \"ranks\": %d, \"params\": %zu, \"active_params\": %zu, "
        "\"tokens_per_s\": %.6g, \"step_s_median\": %.6g, \"steps\": %lld, \"gflop_per_token\": %.6g, "
        "\"gflops\": %.6g, \"sgemm_peak_gflops\": %.6g, \"share_of_peak\": %.4f, \"peak_rss_bytes\": %.0f, "
        "\"exchange_bytes_per_step\": %.0f, \"exchange_s_per_step\": %.6g, \"wait_s_per_step\": %.6g, "
        "\"loss\": %.6g}\n",
        o->preset, o->backend, ranks, ef_dims_params(dims), ef_dims_active_params(dims), tokens, f->median,
        (long long)o->steps, per_token / 1e9, speed / 1e9, f->peak / 1e9, share, f->rss,
        (double)f->traffic.bytes / steps, f->traffic.exchange_seconds / steps,
        f->traffic.wait_seconds / steps, f->loss);
    return;
  }
  printf("preset           %s, %zu parameters, %zu active for a token\n", o->preset, ef_dims_params(dims),
         ef_dims_active_params(dims));
  printf("ranks            %d, %d windows of %d tokens each, backend %s\n", ranks, BATCH, CONTEXT,
         o->backend);
  printf("step             %.3f s, median of %lld\n", f->median, (long long)o->steps);
  printf("training         %.0f tokens/s, %.2f GFLOP/s at %.4f GFLOP a token\n", tokens, speed / 1e9,
         per_token / 1e9);
  printf("SGEMM %d^3     %.2f GFLOP/s on all ranks at once\n", PEAK_SIZE, f->peak / 1e9);
  printf("share of peak    %.1f %%\n", 100.0 * share);
  printf("peak memory      %.1f MB on the largest rank\n", f->rss / 1e6);
}

ef_status ef_cli_bench(ef_cli *cli, int argc, char **argv) {
  static const struct argp argp = {
      .options = bench_options,
      .parser = parse_bench,
      .doc = "Trains a fixed small model on random tokens (forward, loss, backward, AdamW on all parameters, "
             "float32) and "
             "compares its speed with the SGEMM peak of the same run. Experts are spread over the ranks."};
  options o = {.preset = "gpt2", .backend = "blas", .steps = 7};
  const preset *chosen;
  const ef_kernels *kernels;
  ef_dims dims;
  figures f = {0};
  bool help_only;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &o, &help_only));
  if (help_only) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, "bench", 0, 0, "no argument"));
  EF_TRY(find_preset(o.preset, &chosen));
  EF_TRY(ef_cli_backend(o.backend, &kernels));
  EF_TRY(ef_dims_make(chosen->family, &chosen->shape, &dims));
  EF_TRY(measure(cli->par, kernels, &dims, (size_t)o.steps, &f));
  if (ef_par_root(cli->par)) report(cli, &o, &dims, &f);
  return EF_OK;
}
