#include "fusion/mentors.h"

#include "base/memory.h"
#include "federation/device.h"
#include "model/head.h"
#include "train/units.h"
#include <math.h>
#include <string.h>

enum { ROWS = 32 }; /* of a block of logits */

/* A teacher whose weight on a window is below this says nothing about it. */
static const double LEAST_WEIGHT = 1e-6;

bool ef_mentors_are_uploads(const ef_deck *deck) { return strcmp(deck->ensemble.teachers, "uploads") == 0; }

static size_t count_of(const ef_deck *deck, const ef_clusters *clusters) {
  size_t members = 0;
  for (size_t i = 0; i < clusters->count; i++) members += clusters->clusters[i].members;
  return ef_mentors_are_uploads(deck) ? members : clusters->count;
}

static double cost_of(const ef_run *run, double holdout_loss) {
  return isfinite(holdout_loss) ? run->deck->ensemble.holdout_sharpness * holdout_loss : 0.0;
}

/* The uploads of the last round, cluster by cluster. */
static ef_status load_uploads(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                              ef_mentor *mentor) {
  size_t first = clusters->round * population->devices;
  for (size_t i = 0; i < clusters->count; i++) {
    const ef_cluster *c = &clusters->clusters[i];
    for (size_t m = 0; m < c->members; m++, mentor++) {
      mentor->entry = c->entry;
      mentor->cost = cost_of(run, c->holdout_losses[m]);
      EF_TRY(ef_device_load(run, population, first + c->devices[m], &mentor->model));
    }
  }
  return EF_OK;
}

static ef_status load_proxies(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                              ef_mentor *mentors) {
  for (size_t i = 0; i < clusters->count; i++) {
    mentors[i].entry = clusters->clusters[i].entry;
    mentors[i].cost = cost_of(run, clusters->clusters[i].loss);
    EF_TRY(ef_proxy_load(run, population, clusters, i, &mentors[i].model));
  }
  return EF_OK;
}

/* Room for the last hidden states of a teacher, and the pass of its entry. */
static ef_status prepare(ef_mentors *m, ef_mentor *mentor) {
  const ef_dims *dims = &mentor->model.dims;
  ef_pass **pass = &m->passes[mentor->entry];
  EF_TRY(EF_NEW(mentor->final, m->B * m->T * dims->D));
  return *pass ? EF_OK : ef_pass_create(dims, m->kernels, EF_PASS_EVAL, m->B, m->T, false, NULL, pass);
}

ef_status ef_mentors_create(const ef_run *run, const ef_population *population, const ef_clusters *clusters,
                            size_t B, size_t T, ef_mentors *m) {
  *m = (ef_mentors){.count = count_of(run->deck, clusters),
                    .entries = population->entries,
                    .B = B,
                    .T = T,
                    .V = run->tokens.vocabulary,
                    .sharpness = run->deck->ensemble.sharpness,
                    .kernels = run->kernels};
  ef_status status = EF_OK;
  EF_GO(EF_NEW(m->mentors, m->count));
  EF_GO(EF_NEW(m->passes, m->entries));
  EF_GO(EF_NEW(m->row_losses, B * T));
  EF_GO(EF_NEW(m->weights, B * m->count));
  EF_GO(EF_NEW(m->scratch, ROWS * m->V));
  EF_GO(ef_mentors_are_uploads(run->deck) ? load_uploads(run, population, clusters, m->mentors)
                                          : load_proxies(run, population, clusters, m->mentors));
  for (size_t i = 0; i < m->count; i++) EF_GO(prepare(m, &m->mentors[i]));
done:
  if (status != EF_OK) ef_mentors_free(m);
  return status;
}

void ef_mentors_free(ef_mentors *m) {
  for (size_t i = 0; m->mentors && i < m->count; i++) {
    ef_model_free(&m->mentors[i].model);
    ef_free(m->mentors[i].final);
  }
  for (size_t i = 0; m->passes && i < m->entries; i++) ef_pass_free(m->passes[i]);
  ef_free(m->mentors);
  ef_free(m->passes);
  ef_free(m->row_losses);
  ef_free(m->weights);
  ef_free(m->scratch);
  *m = (ef_mentors){0};
}

/* Costs to weights, window by window: the least cost is taken out first, so that the exponentials are safe.
 */
static void weigh(ef_mentors *m) {
  for (size_t b = 0; b < m->B; b++) {
    double *w = m->weights + b * m->count, least = w[0], sum = 0.0;
    for (size_t i = 1; i < m->count; i++) least = w[i] < least ? w[i] : least;
    for (size_t i = 0; i < m->count; i++) sum += w[i] = exp(least - w[i]);
    for (size_t i = 0; i < m->count; i++) w[i] /= sum;
  }
}

ef_status ef_mentors_begin(ef_mentors *m, const int32_t *ids, const int32_t *targets) {
  for (size_t i = 0; i < m->count; i++) {
    ef_mentor *mentor = &m->mentors[i];
    ef_pass *pass = m->passes[mentor->entry];
    ef_loss_spec spec = {.targets = targets, .tau = 1.0f};
    ef_loss_sums sums = {0};
    EF_TRY(ef_forward(pass, &mentor->model, ids, m->B, m->T));
    ef_loss(pass, &mentor->model, &spec, NULL, NULL, m->row_losses, &sums);
    memcpy(mentor->final, ef_pass_final(pass), m->B * m->T * mentor->model.dims.D * sizeof(float));
    for (size_t b = 0; b < m->B; b++) {
      double loss = 0.0;
      for (size_t t = 0; t < m->T; t++) loss += (double)m->row_losses[b * m->T + t];
      m->weights[b * m->count + i] = m->sharpness * loss / (double)m->T + mentor->cost;
    }
  }
  weigh(m);
  return EF_OK;
}

/* out (rows,V) += weight * softmax of teacher i on rows of one window. */
static void add_teacher(ef_mentors *m, const ef_kernels *k, size_t i, size_t row, size_t rows, double weight,
                        float *out) {
  const ef_mentor *mentor = &m->mentors[i];
  const float *final = mentor->final + row * mentor->model.dims.D;
  ef_head_logits(m->passes[mentor->entry], &mentor->model, final, rows, m->scratch);
  k->mix_softmax(rows, m->V, (float)weight, m->scratch, out);
}

static void mix_block(ef_mentors *m, const ef_kernels *k, size_t row, size_t rows, float *out) {
  const double *w = m->weights + row / m->T * m->count;
  memset(out, 0, rows * m->V * sizeof *out);
  for (size_t i = 0; i < m->count; i++) {
    if (w[i] >= LEAST_WEIGHT) add_teacher(m, k, i, row, rows, w[i], out);
  }
  for (size_t j = 0; j < rows * m->V; j++) out[j] = logf(out[j] + 1e-30f);
}

void ef_mentors_mixture(ef_mentors *m, size_t row, size_t rows, float *out) {
  for (size_t done = 0; done < rows;) {
    size_t window_left = m->T - (row + done) % m->T, n = rows - done;
    if (n > window_left) n = window_left;
    if (n > ROWS) n = ROWS;
    mix_block(m, m->kernels, row + done, n, out + done * m->V);
    done += n;
  }
}

double ef_mentors_flops(const ef_mentors *m) {
  double flops = 0.0;
  for (size_t i = 0; i < m->count; i++) flops += ef_forward_flops_per_token(&m->mentors[i].model.dims, m->T);
  return flops;
}
