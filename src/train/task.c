#include "train/task.h"

#include "base/memory.h"
#include "train/spread.h"
#include <stdlib.h>

/* A row of the message: nats and hits of a part. Scored rows of the head are computed BLOCK at a time. */
enum { FIELDS = 2, BLOCK = 64 };

/* The tokens from .. end-1 of a window, of which those before `begin` belong to the parts before. */
typedef struct part {
  size_t window, from, begin, end;
} part;

typedef struct scorer {
  ef_par *par;
  const ef_kernels *k;
  const ef_model *model;
  size_t B, T, window_count, count;
  ef_task_window *windows; /* (window_count) one of each candidate */
  part *parts;             /* (count) longest first: a batch is as long as its first part */
  ef_spread spread;
  float *logits;      /* (BLOCK,V) */
  double *mine, *all; /* (slots,B,FIELDS) of this rank; of all ranks */
} scorer;

/* ---- windows ------------------------------------------------------------------------------------------ */

static int compare(const void *a, const void *b) {
  const part *x = a, *y = b;
  size_t n = x->end - x->from, m = y->end - y->from;
  if (n != m) return n > m ? -1 : 1;
  if (x->window != y->window) return x->window < y->window ? -1 : 1;
  return x->begin < y->begin ? -1 : 1;
}

/* A part of T inputs has T+1 tokens; the parts behind the first one move on by half. */
static size_t step_of(size_t T) { return T > 1 ? T / 2 : 1; }

static size_t parts_of(size_t count, size_t T) {
  return count <= T + 1 ? 1 : 1 + (count - T - 1 + step_of(T) - 1) / step_of(T);
}

static part part_of(const scorer *s, size_t window, size_t p) {
  size_t count = s->windows[window].count, reach = s->T + 1 + p * step_of(s->T);
  size_t end = reach < count ? reach : count;
  return (part){.window = window,
                .from = end > s->T + 1 ? end - s->T - 1 : 0,
                .begin = p > 0 ? reach - step_of(s->T) : 1,
                .end = end};
}

static ef_status make_windows(scorer *s, const ef_tokenizer *tokenizer, const ef_task *task,
                              ef_task_scores *scores) {
  for (size_t i = 0; i < task->count; i++) scores->count += task->items[i].candidate_count;
  EF_TRY(EF_NEW(scores->quality, scores->count));
  EF_TRY(EF_NEW(scores->cut, task->count));
  EF_TRY(EF_NEW(s->windows, scores->count));
  for (size_t i = 0; i < task->count; i++) {
    size_t cut, n = task->items[i].candidate_count;
    ef_task_window *w = s->windows + s->window_count;
    EF_TRY(ef_task_windows(tokenizer, &task->items[i], s->T + 1, w, &cut));
    s->window_count += n;
    scores->cut[i] = cut > 0;
    for (size_t c = 0; c < n; c++) scores->cut[i] |= w[c].count > s->T + 1;
  }
  return EF_OK;
}

static ef_status make_parts(scorer *s) {
  size_t count = 0;
  for (size_t w = 0; w < s->window_count; w++) count += parts_of(s->windows[w].count, s->T);
  EF_TRY(EF_NEW(s->parts, count));
  for (size_t w = 0; w < s->window_count; w++) {
    size_t n = parts_of(s->windows[w].count, s->T);
    for (size_t p = 0; p < n; p++) s->parts[s->count++] = part_of(s, w, p);
  }
  qsort(s->parts, s->count, sizeof *s->parts, compare);
  return EF_OK;
}

/* ---- buffers ------------------------------------------------------------------------------------------ */

static size_t slots_of(const scorer *s) {
  size_t batches = (s->count + s->B - 1) / s->B, size = (size_t)s->par->size;
  return (batches + size - 1) / size;
}

static ef_status create_buffers(scorer *s) {
  size_t row = slots_of(s) * s->B * FIELDS;
  EF_TRY(EF_NEW(s->logits, BLOCK * s->model->dims.V));
  EF_TRY(EF_NEW(s->mine, row));
  return EF_NEW(s->all, row * (size_t)s->par->size);
}

static ef_status prepare(scorer *s, const ef_tokenizer *tokenizer, const ef_task *task,
                         ef_task_scores *scores) {
  size_t positions = s->model->dims.max_positions;
  EF_TRY(EF_CHECK(s->T <= positions, EF_INPUT, "a context of %zu tokens, but the model has %zu positions",
                  s->T, positions));
  EF_TRY(make_windows(s, tokenizer, task, scores));
  EF_TRY(make_parts(s));
  return create_buffers(s);
}

static void release(scorer *s) {
  ef_spread_free(&s->spread);
  if (s->windows) ef_task_windows_free(s->windows, s->window_count);
  void *blocks[] = {s->windows, s->parts, s->logits, s->mine, s->all};
  for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) ef_free(blocks[i]);
}

/* ---- one batch ---------------------------------------------------------------------------------------- */

static size_t inputs_of(const part *p) { return p->end - p->from - 1; }

/* Inputs and targets of a part as row b of a batch of T inputs; what is not scored is EF_IGNORE. */
static void place_part(const scorer *s, const part *p, size_t b, size_t T) {
  const ef_task_window *w = &s->windows[p->window];
  int32_t *ids = s->spread.evaluator.ids + b * T, *targets = s->spread.evaluator.targets + b * T;
  for (size_t t = 0; t < T; t++) {
    size_t next = p->from + t + 1;
    bool inside = next < p->end;
    ids[t] = inside ? w->ids[next - 1] : EF_TOKEN_BOS;
    targets[t] = inside && next >= p->begin && w->scored[next] ? w->ids[next] : EF_IGNORE;
  }
}

/* Nats and hits of the T rows from `row` on: the head is computed for the run of scored rows alone. */
static void score_rows(const scorer *s, size_t row, size_t T, double *result) {
  const int32_t *targets = s->spread.evaluator.targets;
  size_t end = row + T, V = s->model->dims.V;
  while (row < end && targets[row] == EF_IGNORE) row++;
  while (end > row && targets[end - 1] == EF_IGNORE) end--;
  for (; row < end; row += BLOCK) {
    size_t n = end - row < BLOCK ? end - row : BLOCK;
    float losses[BLOCK];
    uint8_t hits[BLOCK];
    ef_logits(s->spread.evaluator.pass, s->model, row, n, s->logits);
    s->k->cross_entropy(n, V, s->logits, targets + row, 1.0f, losses, hits, NULL);
    for (size_t r = 0; r < n; r++) {
      result[0] += (double)losses[r];
      result[1] += hits[r];
    }
  }
}

static ef_status score_batch(scorer *s, size_t first, double *results) {
  size_t n = s->count - first < s->B ? s->count - first : s->B, T = inputs_of(&s->parts[first]);
  for (size_t b = 0; b < n; b++) place_part(s, &s->parts[first + b], b, T);
  EF_TRY(ef_forward(s->spread.evaluator.pass, s->model, s->spread.evaluator.ids, n, T));
  for (size_t b = 0; b < n; b++) score_rows(s, b * T, T, results + b * FIELDS);
  return EF_OK;
}

/* ---- all batches -------------------------------------------------------------------------------------- */

/* Every rank has one batch of the slot, or none and then serves its experts. */
static ef_status run_slot(scorer *s, size_t batch, double *results) {
  bool mine = batch * s->B < s->count;
  EF_TRY(ef_exchange_slot(s->spread.exchange, mine ? batch : SIZE_MAX, NULL));
  if (mine) {
    EF_TRY(score_batch(s, batch * s->B, results));
  } else {
    EF_TRY(ef_exchange_serve(s->spread.exchange, false));
  }
  return ef_exchange_close(s->spread.exchange);
}

static ef_status run(scorer *s) {
  size_t size = (size_t)s->par->size, slots = slots_of(s), row = s->B * FIELDS;
  ef_status status = EF_OK;
  for (size_t slot = 0; status == EF_OK && slot < slots; slot++) {
    status = run_slot(s, slot * size + (size_t)s->par->rank, s->mine + slot * row);
  }
  EF_TRY(ef_agree(s->par, status)); /* without experts the ranks meet here first */
  return ef_allgather_f64(s->par, s->mine, slots * row, s->all);
}

/* Back from batches to candidates: the parts of one are added in their order. */
static void collect(const scorer *s, ef_quality *quality) {
  size_t size = (size_t)s->par->size, slots = slots_of(s);
  for (size_t w = 0; w < s->window_count; w++) {
    const ef_task_window *window = &s->windows[w];
    quality[w].bytes = (int64_t)window->bytes;
    for (size_t t = 1; t < window->count; t++) quality[w].tokens += window->scored[t];
  }
  for (size_t i = 0; i < s->count; i++) {
    size_t batch = i / s->B, place = (batch % size) * slots + batch / size;
    const double *result = s->all + (place * s->B + i % s->B) * FIELDS;
    quality[s->parts[i].window].nll += result[0];
    quality[s->parts[i].window].hits += (size_t)result[1];
  }
}

ef_status ef_task_score(ef_par *par, const ef_kernels *kernels, const ef_model *shard,
                        const ef_tokenizer *tokenizer, const ef_task *task, size_t B, size_t T,
                        ef_task_scores *scores) {
  *scores = (ef_task_scores){0};
  scorer s = {.par = par, .k = kernels, .model = shard, .B = B, .T = T};
  ef_status status = ef_agree(par, prepare(&s, tokenizer, task, scores));
  if (status == EF_OK) {
    size_t longest = s.count > 0 ? inputs_of(&s.parts[0]) : 1;
    status = ef_spread_create(par, kernels, shard, B, longest, &s.spread);
  }
  if (status == EF_OK) status = run(&s);
  if (status == EF_OK) collect(&s, scores->quality);
  release(&s);
  if (status != EF_OK) ef_task_scores_free(scores);
  return status;
}

void ef_task_scores_free(ef_task_scores *scores) {
  ef_free(scores->quality);
  ef_free(scores->cut);
  *scores = (ef_task_scores){0};
}

/* ---- results ------------------------------------------------------------------------------------------ */

typedef enum norm { PLAIN, PER_TOKEN, PER_BYTE } norm;

static double length_of(const ef_quality *q, norm by) {
  if (by == PLAIN) return 1.0;
  return by == PER_TOKEN ? (double)q->tokens : (double)q->bytes;
}

/* Whether the right candidate is the first with the fewest nats per length. */
static bool wins(const ef_task_item *item, const ef_quality *q, norm by) {
  size_t best = 0;
  for (size_t c = 1; c < item->candidate_count; c++) {
    if (q[c].nll / length_of(&q[c], by) < q[best].nll / length_of(&q[best], by)) best = c;
  }
  return best == item->right;
}

void ef_task_result_add(ef_task_result *sum, const ef_task_result *other) {
  sum->items += other->items;
  sum->cut += other->cut;
  sum->plain += other->plain;
  sum->per_token += other->per_token;
  sum->per_byte += other->per_byte;
  sum->chance += other->chance;
  ef_quality_add(&sum->right, &other->right);
}

void ef_task_sum(const ef_task *task, const ef_task_scores *scores, ef_task_result *by_domain) {
  const ef_quality *q = scores->quality;
  for (size_t d = 0; d < task->domain_count; d++) by_domain[d] = (ef_task_result){0};
  for (size_t i = 0; i < task->count; i++) {
    const ef_task_item *item = &task->items[i];
    ef_task_result one = {.items = 1,
                          .cut = scores->cut[i],
                          .plain = wins(item, q, PLAIN),
                          .per_token = wins(item, q, PER_TOKEN),
                          .per_byte = wins(item, q, PER_BYTE),
                          .chance = 1.0 / (double)item->candidate_count,
                          .right = q[item->right]};
    ef_task_result_add(&by_domain[item->domain], &one);
    q += item->candidate_count;
  }
}
