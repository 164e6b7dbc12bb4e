#include "fusion/answers_internal.h"

#include "base/memory.h"
#include "base/rng.h"
#include <math.h>
#include <string.h>

static const char SECTIONS[] = "text,federation,global,eval,fusion,ensemble";

/* ---- pieces of the texts ------------------------------------------------------------------------------- */

void ef_answers_readings(const ef_run *run, const ef_stream *generated, ef_reading *readings) {
  size_t T = (size_t)run->deck->global.context;
  readings[EF_READ_PUBLIC] = (ef_reading){&run->public_text, T, (T + 1) / 2};
  readings[EF_READ_GENERATED] = (ef_reading){generated, T, T};
}

static size_t windows_of(const ef_reading *r) {
  if (!r->stream) return 0;
  size_t behind = r->stream->count > r->T ? r->stream->count - r->T : 0;
  return 1 + (behind + r->stride - 1) / r->stride;
}

static size_t pieces_of(const ef_reading *r) {
  return (windows_of(r) + EF_ANSWERS_PIECE - 1) / EF_ANSWERS_PIECE;
}

size_t ef_answers_from(const ef_reading *r, size_t w) {
  size_t from = w == 0 ? 0 : r->T + (w - 1) * r->stride;
  return from < r->stream->count ? from : r->stream->count;
}

size_t ef_answers_pieces(const ef_reading *readings) {
  return pieces_of(&readings[EF_READ_PUBLIC]) + pieces_of(&readings[EF_READ_GENERATED]);
}

ef_piece ef_answers_piece(const ef_reading *readings, size_t unit) {
  size_t before = pieces_of(&readings[EF_READ_PUBLIC]);
  bool public = unit < before;
  const ef_reading *r = &readings[public ? EF_READ_PUBLIC : EF_READ_GENERATED];
  size_t first = (public ? unit : unit - before) * EF_ANSWERS_PIECE, end = first + EF_ANSWERS_PIECE;
  if (end > windows_of(r)) end = windows_of(r);
  size_t from = ef_answers_from(r, first);
  return (ef_piece){r, first, end, from, ef_answers_from(r, end) - from};
}

ef_part_key ef_answers_part(size_t unit) {
  return (ef_part_key){.kind = EF_UNIT_ANSWERS, .index = unit, .sections = SECTIONS};
}

/* ---- tables -------------------------------------------------------------------------------------------- */

/* Tokens of an answer that are named; 0: it is the whole distribution. */
static size_t named(const ef_run *run) {
  size_t k = (size_t)run->deck->ensemble.top_k;
  return k < run->tokens.vocabulary ? k : 0;
}

ef_status ef_answer_table_create(const ef_run *run, size_t count, ef_answer_table *t) {
  size_t k = named(run);
  *t = (ef_answer_table){.width = k > 0 ? k : run->tokens.vocabulary, .count = count};
  EF_TRY(EF_NEW(t->code, count * t->width));
  if (k == 0) return EF_OK;
  EF_TRY(EF_NEW(t->token, count * k));
  return EF_NEW(t->rest, count);
}

void ef_answer_table_free(ef_answer_table *t) {
  ef_free(t->code);
  ef_free(t->token);
  ef_free(t->rest);
}

typedef ef_status transfer_fn(ef_h5 *file, const ef_h5_array *array, void *data);

static ef_status each_array(const ef_answer_table *t, ef_h5 *file, transfer_fn *transfer) {
  const ef_h5_array code = {.path = "/answers/code",
                            .type = EF_H5_U8,
                            .rank = 2,
                            .shape = {t->count, t->width},
                            .description =
                                "-log p of a next token by the teachers' mixture, 255: at least that",
                            .units = "1/16 nat",
                            .dims = "position,token"};
  const ef_h5_array token = {.path = "/answers/token",
                             .type = EF_H5_I32,
                             .rank = 2,
                             .shape = {t->count, t->width},
                             .description = "the most likely next tokens, to which the codes belong",
                             .units = "1",
                             .dims = "position,token"};
  const ef_h5_array rest = {.path = "/answers/rest",
                            .type = EF_H5_F32,
                            .rank = 1,
                            .shape = {t->count},
                            .description = "log p of all other tokens together",
                            .units = "nat",
                            .dims = "position"};
  EF_TRY(transfer(file, &code, t->code));
  if (!t->token) return EF_OK;
  EF_TRY(transfer(file, &token, t->token));
  return transfer(file, &rest, t->rest);
}

static ef_status write_array(ef_h5 *file, const ef_h5_array *array, void *data) {
  return ef_h5_write(file, array, data);
}

ef_status ef_answer_table_write(const ef_answer_table *t, ef_h5 *file) {
  return each_array(t, file, write_array);
}

ef_status ef_answer_table_read(const ef_answer_table *t, ef_h5 *file) {
  return each_array(t, file, ef_h5_read);
}

/* ---- for plans ----------------------------------------------------------------------------------------- */

static size_t table_bytes(const ef_run *run, size_t tokens) {
  size_t k = named(run);
  return tokens * (k > 0 ? k * (1 + sizeof(int32_t)) + sizeof(float) : run->tokens.vocabulary);
}

size_t ef_answers_read(const ef_run *run, size_t generated) {
  const ef_stream text = {.count = generated};
  ef_reading readings[EF_ANSWERED_TEXTS];
  ef_answers_readings(run, generated > 0 ? &text : NULL, readings);
  return (windows_of(&readings[EF_READ_PUBLIC]) + windows_of(&readings[EF_READ_GENERATED])) *
         (size_t)run->deck->global.context;
}

size_t ef_answers_bytes(const ef_run *run, size_t generated) {
  return table_bytes(run, run->public_text.count + generated);
}

size_t ef_answers_piece_bytes(const ef_run *run, size_t generated) {
  const ef_stream text = {.count = generated};
  ef_reading readings[EF_ANSWERED_TEXTS];
  size_t most = 0;
  ef_answers_readings(run, generated > 0 ? &text : NULL, readings);
  for (size_t unit = 0; unit < ef_answers_pieces(readings); unit++) {
    size_t count = ef_answers_piece(readings, unit).count;
    most = count > most ? count : most;
  }
  return table_bytes(run, most);
}

/* ---- reading them back --------------------------------------------------------------------------------- */

static ef_status read_piece(const ef_run *run, size_t unit, const ef_answer_table *t) {
  ef_part_key key = ef_answers_part(unit);
  ef_h5 *file;
  EF_TRY(ef_part_open(run, &key, false, &file));
  ef_status status = ef_answer_table_read(t, file);
  ef_h5_close(file);
  return status;
}

/* The tokens of the generated text stand behind those of the public one. */
static ef_status read_pieces(const ef_run *run, ef_answers *a) {
  ef_reading readings[EF_ANSWERED_TEXTS];
  const ef_answer_table *all = &a->table;
  ef_answers_readings(run, a->texts[EF_READ_GENERATED], readings);
  for (size_t unit = 0; unit < ef_answers_pieces(readings); unit++) {
    ef_piece p = ef_answers_piece(readings, unit);
    size_t at = p.from + (p.reading == readings ? 0 : a->texts[EF_READ_PUBLIC]->count);
    ef_answer_table own = {.width = all->width, .count = p.count, .code = all->code + at * all->width};
    if (all->token) own.token = all->token + at * all->width;
    if (all->token) own.rest = all->rest + at;
    EF_TRY(read_piece(run, unit, &own));
  }
  return EF_OK;
}

static ef_status load(const ef_run *run, ef_answers *a) {
  const ef_stream *generated = a->texts[EF_READ_GENERATED];
  size_t tokens = a->texts[EF_READ_PUBLIC]->count + (generated ? generated->count : 0);
  EF_TRY(ef_answer_table_create(run, tokens, &a->table));
  EF_TRY(EF_NEW(a->drawn, a->B));
  EF_TRY(EF_NEW(a->probs, a->V));
  if (generated && !run->deck->fusion.generated_ce) EF_TRY(EF_NEW(a->labels, a->B * a->T));
  return read_pieces(run, a);
}

static void answer_logits(void *ctx, size_t row, size_t rows, const float *student, float *out);

ef_status ef_answers_load(const ef_run *run, const ef_stream *generated, uint64_t unit, ef_answers *a) {
  const ef_deck *deck = run->deck;
  *a = (ef_answers){.texts = {&run->public_text, generated},
                    .generated_share = generated ? deck->fusion.generated_share : 0.0,
                    .seed = (uint64_t)deck->run.seed,
                    .unit = unit,
                    .B = (size_t)deck->tune.micro_batch,
                    .T = (size_t)deck->global.context,
                    .V = run->tokens.vocabulary,
                    .kernels = run->kernels,
                    .teacher = {.ctx = a, .logits = answer_logits}};
  ef_status status = load(run, a);
  if (status != EF_OK) ef_answers_free(a);
  return status;
}

void ef_answers_free(ef_answers *a) {
  ef_answer_table_free(&a->table);
  ef_free(a->drawn);
  ef_free(a->probs);
  ef_free(a->labels);
  *a = (ef_answers){0};
}

/* ---- the feed ------------------------------------------------------------------------------------------ */

static ef_window draw(const ef_answers *a, size_t step, size_t window) {
  ef_rng rng = ef_rng_stream(a->seed, EF_RNG_BATCH, a->unit, (uint32_t)step);
  rng.counter[0] = (uint32_t)window; /* a window does not depend on those before it */
  size_t text = ef_rng_uniform(&rng) < a->generated_share ? EF_READ_GENERATED : EF_READ_PUBLIC;
  return (ef_window){text, (size_t)ef_rng_below(&rng, a->texts[text]->count)};
}

static ef_status feed_batch(void *ctx, size_t step, size_t micro, int32_t *ids, int32_t *targets) {
  ef_answers *a = ctx;
  for (size_t b = 0; b < a->B; b++) {
    ef_window *window = &a->drawn[b];
    *window = draw(a, step, micro * a->B + b);
    ef_stream_ring(a->texts[window->text], window->start, a->T, ids + b * a->T, targets + b * a->T);
    for (size_t i = b * a->T; a->labels && i < (b + 1) * a->T; i++)
      a->labels[i] = window->text == EF_READ_PUBLIC ? targets[i] : EF_TOKEN_IGNORE;
  }
  return EF_OK;
}

/* Row of the table behind row `row` of the batch. */
static size_t answer_of(const ef_answers *a, size_t row) {
  const ef_window *window = &a->drawn[row / a->T];
  size_t at = (window->start + row % a->T) % a->texts[window->text]->count;
  return window->text == EF_READ_PUBLIC ? at : a->texts[EF_READ_PUBLIC]->count + at;
}

static float decode(uint8_t code) { return -(float)code / EF_ANSWER_STEPS; }

/* The student's probabilities, without those of the tokens that the answer names, times the constant that
 * gives them the mass of the answer's rest: as logits. */
static void shape_rest(ef_answers *a, size_t at, const float *student, float *out) {
  const ef_answer_table *t = &a->table;
  const int32_t *token = t->token + at * t->width;
  size_t top = 0;
  double rest = 0.0;
  for (size_t v = 1; v < a->V; v++) top = student[v] > student[top] ? v : top;
  memcpy(out, student, a->V * sizeof *out);
  memset(a->probs, 0, a->V * sizeof *a->probs);
  a->kernels->mix_softmax(1, a->V, 1.0f, out, a->probs);
  float to_log = logf(a->probs[top]) - student[top];
  for (size_t i = 0; i < t->width; i++) a->probs[token[i]] = 0.0f;
  for (size_t v = 0; v < a->V; v++) rest += (double)a->probs[v];
  float shift = to_log + t->rest[at] - (float)log(fmax(rest, 1e-30));
  for (size_t v = 0; v < a->V; v++) out[v] = student[v] + shift;
}

static void answer_logits(void *ctx, size_t row, size_t rows, const float *student, float *out) {
  ef_answers *a = ctx;
  const ef_answer_table *t = &a->table;
  for (size_t r = row; r < row + rows; r++, student += a->V, out += a->V) {
    size_t at = answer_of(a, r);
    const uint8_t *code = t->code + at * t->width;
    if (!t->token) {
      for (size_t v = 0; v < a->V; v++) out[v] = decode(code[v]);
    } else {
      shape_rest(a, at, student, out);
      for (size_t i = 0; i < t->width; i++) out[t->token[at * t->width + i]] = decode(code[i]);
    }
  }
}

ef_feed ef_answers_feed(const ef_run *run, ef_answers *a) {
  return (ef_feed){.ctx = a,
                   .batch = feed_batch,
                   .teacher = &a->teacher,
                   .ce = 1.0f,
                   .kl = (float)run->deck->tune.kl,
                   .tau = (float)run->deck->tune.tau,
                   .labels = a->labels};
}
