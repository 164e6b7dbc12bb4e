#include "fusion/answers_internal.h"

#include "base/memory.h"
#include "model/topk.h"
#include <math.h>

enum { ROWS = 32 }; /* of the mixture at a time */

typedef struct context {
  ef_run *run;
  const ef_population *population;
  const ef_clusters *clusters;
  ef_reading readings[EF_ANSWERED_TEXTS];
  ef_mentors mentors;     /* of one window; loaded for the first piece that is not there, as what follows */
  int32_t *ids, *targets; /* (T) */
  float *row, *top;       /* (ROWS,V), (V) */
} context;

/* ---- a piece under way --------------------------------------------------------------------------------- */

typedef struct work {
  ef_answer_table table;
  size_t asked; /* windows of the piece */
} work;

static ef_status write_work(void *ctx, ef_h5 *file) {
  const work *w = ctx;
  EF_TRY(ef_answer_table_write(&w->table, file));
  return ef_h5_set_int(file, "/answers", "windows", (int64_t)w->asked);
}

static ef_status read_work(const ef_run *run, const ef_part_key *key, work *w) {
  int64_t asked;
  ef_h5 *file;
  if (!ef_part_usable(run, key, true)) return EF_OK;
  EF_TRY(ef_part_open(run, key, true, &file));
  ef_status status = ef_answer_table_read(&w->table, file);
  if (status == EF_OK) status = ef_h5_get_int(file, "/answers", "windows", &asked);
  if (status == EF_OK) w->asked = (size_t)asked;
  ef_h5_close(file);
  return status;
}

/* ---- asking -------------------------------------------------------------------------------------------- */

static void encode(size_t n, const float *log_probability, uint8_t *code) {
  for (size_t i = 0; i < n; i++) {
    float steps = -log_probability[i] * EF_ANSWER_STEPS + 0.5f;
    code[i] = steps < 255.0f ? (uint8_t)steps : 255;
  }
}

/* One row of the mixture (V), logarithms, as answer i of the table. */
static void keep_row(const context *c, const ef_answer_table *t, size_t i, const float *row) {
  uint8_t *code = t->code + i * t->width;
  if (!t->token) {
    encode(t->width, row, code);
    return;
  }
  double left = 1.0;
  ef_top_k(c->mentors.V, t->width, row, t->token + i * t->width, c->top);
  encode(t->width, c->top, code);
  for (size_t k = 0; k < t->width; k++) left -= exp((double)c->top[k]);
  t->rest[i] = (float)log(fmax(left, 1e-30));
}

static ef_status ask_window(context *c, const ef_piece *p, size_t w, const ef_answer_table *t) {
  const ef_reading *r = p->reading;
  size_t start = w * r->stride, end = ef_answers_from(r, w + 1), V = c->mentors.V;
  ef_stream_ring(r->stream, start % r->stream->count, r->T, c->ids, c->targets);
  EF_TRY(ef_mentors_begin(&c->mentors, c->ids, c->targets));
  for (size_t at = ef_answers_from(r, w); at < end; at += ROWS) {
    size_t rows = end - at < ROWS ? end - at : ROWS;
    ef_mentors_mixture(&c->mentors, at - start, rows, c->row);
    for (size_t i = 0; i < rows; i++) keep_row(c, t, at + i - p->from, c->row + i * V);
  }
  return EF_OK;
}

/* At least one window in each start of the program, then until it is told to stop. */
static ef_status ask_windows(context *c, const ef_piece *p, work *w, ef_effort *effort) {
  size_t windows = p->end - p->first;
  while (w->asked < windows) {
    EF_TRY(ask_window(c, p, p->first + w->asked, &w->table));
    w->asked++;
    ef_stop_reached(&c->run->stop, ef_unit_name(EF_UNIT_ANSWERS), w->asked, windows);
    effort->tokens += (double)p->reading->T;
    effort->flops += (double)p->reading->T * ef_mentors_flops(&c->mentors);
    if (ef_run_told_to_stop(c->run)) return EF_STOPPED;
  }
  return EF_OK;
}

/* A run that goes on behind this phase needs no teacher. */
static ef_status load_teachers(context *c) {
  size_t T = (size_t)c->run->deck->global.context;
  if (c->row) return EF_OK;
  EF_TRY(EF_CHECK(c->run->public_text.count >= 2, EF_INPUT,
                  "a public text of %zu tokens cannot be trained on", c->run->public_text.count));
  EF_TRY(ef_mentors_create(c->run, c->population, c->clusters, 1, T, &c->mentors));
  EF_TRY(EF_NEW(c->ids, T));
  EF_TRY(EF_NEW(c->targets, T));
  EF_TRY(EF_NEW(c->top, c->mentors.V));
  return EF_NEW(c->row, ROWS * c->mentors.V);
}

static ef_status ask_piece(void *ctx, size_t unit, ef_effort *effort) {
  context *c = ctx;
  ef_part_key key = ef_answers_part(unit);
  if (ef_part_exists(c->run, &key)) return EF_OK;
  ef_piece p = ef_answers_piece(c->readings, unit);
  work w = {0};
  ef_status status = EF_OK;
  EF_GO(load_teachers(c));
  EF_GO(ef_answer_table_create(c->run, p.count, &w.table));
  EF_GO(read_work(c->run, &key, &w));
  status = ask_windows(c, &p, &w, effort);
  if (status != EF_OK && status != EF_STOPPED) goto done;
  ef_status written = ef_part_write(c->run, &key, status == EF_STOPPED, &(ef_part_content){&w, write_work});
  if (written != EF_OK) status = written;
done:
  ef_answer_table_free(&w.table);
  return status;
}

ef_status ef_answers_make(ef_run *run, const ef_population *population, const ef_clusters *clusters,
                          const ef_stream *generated) {
  context c = {.run = run, .population = population, .clusters = clusters};
  ef_answers_readings(run, generated, c.readings);
  size_t units = ef_answers_pieces(c.readings);
  double *cost = NULL;
  int *owner = NULL;
  ef_status status = EF_OK;
  EF_GO(ef_agree(run->par, EF_NEW(cost, units)));
  EF_GO(ef_agree(run->par, EF_NEW(owner, units)));
  for (size_t u = 0; u < units; u++) {
    ef_piece p = ef_answers_piece(c.readings, u);
    cost[u] = (double)(p.end - p.first);
  }
  ef_phase phase = {"teachers' answers", units, cost, owner, &c, ask_piece, EF_ON_SERVER};
  EF_GO(ef_phase_run(run, &phase));
done:
  ef_mentors_free(&c.mentors);
  ef_free(c.ids);
  ef_free(c.targets);
  ef_free(c.row);
  ef_free(c.top);
  ef_free(cost);
  ef_free(owner);
  return status;
}
