#include "base/memory.h"
#include "market/files/json_write.h"
#include "market/solve.h"
#include <math.h>
#include <string.h>

/* ---- a stream into counted memory -----------------------------------------------------------------------
 */

typedef struct ef_text {
  char *bytes; /* NUL-terminated */
  size_t used, room;
} ef_text;

static ssize_t text_write(void *cookie, const char *bytes, size_t count) {
  ef_text *text = cookie;
  if (text->used + count + 1 > text->room) {
    size_t room = 2 * text->room + count + 1;
    char *grown = ef_realloc(text->bytes, room, 1);
    if (!grown) return 0;
    text->bytes = grown;
    text->room = room;
  }
  memcpy(text->bytes + text->used, bytes, count);
  text->used += count;
  return (ssize_t)count;
}

/* ---- values ---------------------------------------------------------------------------------------------
 */

/* JSON knows no infinity: what overflowed is null. */
static void put_number(FILE *out, const char *before, double value) {
  fputs(before, out);
  if (!isfinite(value))
    fputs("null", out);
  else if (value == 0)
    fputc('0', out);
  else
    fprintf(out, "%.17g", value);
}

static void put_expected(FILE *out, const ef_expectation *e) {
  put_number(out, ", \"expected\": {\"profit\": ", e->profit);
  put_number(out, ", \"revenue\": ", e->revenue);
  put_number(out, ", \"winners\": ", e->winners);
  put_number(out, ", \"used\": ", e->used);
  put_number(out, ", \"consensus\": ", e->consensus);
  put_number(out, ", \"bound\": ", e->bound);
  fprintf(out, ", \"pieces\": %zu}", e->pieces);
}

static void put_market(FILE *out, const ef_market_summary *m, bool expected) {
  fprintf(out, "{\"market\": \"%s\", \"capacity\": %lld, \"users\": %zu, \"kept\": %zu", m->name,
          (long long)m->capacity, m->users, m->kept);
  put_number(out, ", \"floor\": ", m->floor);
  put_number(out, ", \"F\": ", m->f);
  put_number(out, ", \"F2\": ", m->f2);
  fputs(", \"estimates\": [", out);
  for (size_t e = 0; e < m->estimate_count; e++) {
    put_number(out, e > 0 ? ", [" : "[", m->estimates[e].value);
    fprintf(out, ", %zu]", m->estimates[e].count);
  }
  fprintf(out, "], \"consensus\": %s, \"vickrey\": %s, \"winners\": %zu, \"used\": %lld",
          m->consensus ? "true" : "false", m->vickrey ? "true" : "false", m->sale.winners,
          (long long)m->sale.used);
  put_number(out, ", \"revenue\": ", m->sale.revenue);
  put_number(out, ", \"profit\": ", m->sale.profit);
  if (expected) put_expected(out, &m->expected);
  fputc('}', out);
}

static ef_status put_id(FILE *out, const ef_user *user) {
  if (user->id && !user->number_id) return ef_json_put_string(out, user->id);
  fputs(user->id ? user->id : "null", out);
  return EF_OK;
}

/* An index, or null where there is none. */
static void put_index(FILE *out, const char *before, size_t index) {
  if (index == SIZE_MAX) {
    fprintf(out, "%snull", before);
  } else {
    fprintf(out, "%s%zu", before, index);
  }
}

/* Of exit and policy the one that the workload offers has a number. */
static ef_status put_user(FILE *out, const ef_user *asked, bool policies, const ef_user_outcome *user) {
  const ef_demand *d = &user->demand;
  fputs("{\"id\": ", out);
  EF_TRY(put_id(out, asked));
  fprintf(out, ", \"demand\": %lld", (long long)d->units);
  put_index(out, ", \"exit\": ", policies ? SIZE_MAX : d->choice);
  put_index(out, ", \"policy\": ", policies ? d->choice : SIZE_MAX);
  put_index(out, ", \"partition\": ", d->partition);
  fprintf(out, ", \"status\": \"%s\"", ef_user_status_name(user->status));
  put_number(out, ", \"unit_price\": ", user->unit_price);
  put_number(out, ", \"payment\": ", user->payment);
  double none = d->need == EF_NEED_INFEASIBLE ? NAN : 0; /* null where there is no choice */
  put_number(out, ", \"device_s\": ", none + d->device_s);
  put_number(out, ", \"network_s\": ", none + d->network_s);
  put_number(out, ", \"edge_s\": ", none + d->edge_s);
  put_number(out, ", \"accuracy\": ", none + d->accuracy);
  fputc('}', out);
  return EF_OK;
}

/* ---- the whole ------------------------------------------------------------------------------------------
 */

static void put_head(FILE *out, const ef_rules *rules, const ef_market_outcome *outcome) {
  fprintf(out, "{\"schema\": \"aeria-outcome/1\", \"variant\": \"%s\", \"mode\": \"%s\"",
          ef_variant_name(rules->variant), rules->pooled ? "pooled" : "per_provider");
  put_number(out, ", \"c\": ", rules->c);
  put_number(out, ", \"coin\": {\"u\": ", outcome->coin.u);
  put_number(out, ", \"v\": ", outcome->coin.v);
  put_number(out, "}, \"seconds\": ", outcome->seconds);
  put_number(out, ",\n \"revenue\": ", outcome->revenue);
  put_number(out, ", \"profit\": ", outcome->profit);
  put_number(out, ", \"infrastructure_income\": ", outcome->infrastructure_income);
}

static ef_status put_outcome(FILE *out, const ef_instance *instance, const ef_market_outcome *outcome) {
  put_head(out, &instance->rules, outcome);
  fputs(",\n \"markets\": [", out);
  for (size_t m = 0; m < outcome->market_count; m++) {
    fputs(m > 0 ? ",\n  " : "\n  ", out);
    put_market(out, &outcome->markets[m], outcome->expected);
  }
  fputs("],\n \"users\": [", out);
  for (size_t i = 0; i < outcome->user_count; i++) {
    const ef_user *user = &instance->users[i];
    const ef_workload *w = &instance->workloads[instance->providers[user->provider].workload];
    fputs(i > 0 ? ",\n  " : "\n  ", out);
    EF_TRY(put_user(out, user, w->policy_count > 0, &outcome->users[i]));
  }
  fputs("]}\n", out);
  return EF_OK;
}

ef_status ef_market_outcome_json(const ef_instance *instance, const ef_market_outcome *outcome, char **json) {
  ef_text text = {0};
  *json = NULL;
  FILE *out = fopencookie(&text, "w", (cookie_io_functions_t){.write = text_write});
  EF_TRY(EF_CHECK(out != NULL, EF_MACHINE, "out of memory: the outcome's text"));
  ef_status status = put_outcome(out, instance, outcome);
  bool whole = fflush(out) == 0 && ferror(out) == 0;
  fclose(out);
  if (status == EF_OK) status = EF_CHECK(whole, EF_MACHINE, "out of memory: the outcome's text");
  if (status != EF_OK) {
    ef_free(text.bytes);
    return status;
  }
  text.bytes[text.used] = 0;
  *json = text.bytes;
  return EF_OK;
}
