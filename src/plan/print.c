/* A plan as text, as JSON, and in the run log. */
#include "base/duration.h"
#include "plan/plan_internal.h"
#include "train/events.h"
#include <math.h>
#include <stdlib.h>

/* ef_plan_place. */
static const char *const place_names[] = {"root", "owner", "all"};

static void print_spans(const ef_plan *plan, FILE *out) {
  for (size_t i = 0; i < plan->span_count; i++) {
    const ef_plan_span *s = &plan->spans[i];
    fprintf(out, "%s{\"name\": \"%s\", \"events\": \"%s\", \"flops\": %.6g, \"seconds\": %.6g}",
            i ? ", " : "", s->name, s->events, s->flops, s->seconds);
  }
}

static void print_json(const ef_plan *p, FILE *out) {
  fprintf(
      out,
      "{\"ranks\": %d, \"nodes\": %d, \"params\": %zu, \"active_params\": %zu, \"peak_bytes\": %zu, "
      "\"peak_phase\": \"%s\", "
      "\"peak_place\": \"%s\", \"start_bytes\": %zu, "
      "\"device_bytes\": %zu, \"upload_bytes\": %llu, \"download_bytes\": %llu, \"checkpoint_bytes\": %zu, "
      "\"part_bytes\": %zu, "
      "\"total_steps\": %zu, \"sequential_steps\": %zu, \"device_tokens\": %.0f, \"server_tokens\": %.0f, "
      "\"flops\": %.6g, \"seconds\": ",
      p->layout.ranks, p->layout.nodes, p->params, p->active_params, p->peak_bytes, p->peak_phase,
      place_names[p->peak_place], p->start_bytes, p->device_bytes, (unsigned long long)p->upload_bytes,
      (unsigned long long)p->download_bytes, p->checkpoint_bytes, p->part_bytes, p->total_steps,
      p->sequential_steps, p->device_tokens, p->server_tokens, p->flops);
  fprintf(out, isfinite(p->seconds) ? "%.6g, \"phases\": [" : "null, \"phases\": [", p->seconds);
  if (isfinite(p->seconds)) print_spans(p, out);
  fputs("]}\n", out);
}

/* The spans as the inside of a JSON array, owned by the caller; empty if no time was planned. */
static ef_status spans_text(const ef_plan *plan, char **text) {
  size_t bytes;
  FILE *out = open_memstream(text, &bytes);
  EF_TRY(EF_CHECK(out, EF_MACHINE, "out of memory: a plan"));
  if (isfinite(plan->seconds)) print_spans(plan, out);
  return EF_CHECK(fclose(out) == 0, EF_MACHINE, "out of memory: a plan");
}

ef_status ef_plan_event(const ef_run *run, const ef_plan *plan) {
  char *spans = NULL;
  ef_status status = spans_text(plan, &spans);
  if (status == EF_OK)
    status =
        ef_event(run, "plan",
                 "\"ranks\": %d, \"peak_bytes\": %zu, \"peak_phase\": \"%s\", \"peak_place\": \"%s\", "
                 "\"phases\": [%s]",
                 run->par->size, plan->peak_bytes, plan->peak_phase, place_names[plan->peak_place], spans);
  free(spans);
  return status;
}

static void print_time(const ef_plan *p, FILE *out) {
  char text[EF_DURATION_BYTES];
  if (!isfinite(p->seconds)) return;
  fprintf(out, "time             %s at most, early stopping, files and the market aside\n",
          ef_duration_about(p->seconds, text));
  for (size_t i = 0; i < p->span_count; i++) {
    const ef_plan_span *s = &p->spans[i];
    if (s->seconds > 0.0)
      fprintf(out, "                 %-20s %s\n", s->name, ef_duration_about(s->seconds, text));
  }
}

void ef_plan_print(const ef_plan *p, bool json, FILE *out) {
  if (json) {
    print_json(p, out);
    return;
  }
  fprintf(out, "global model     %zu parameters, %zu active for a token\n", p->params, p->active_params);
  static const char *const on[] = {"rank 0", "the rank that has the largest unit", "every rank"};
  fprintf(out, "ranks            %d on %d node%s\n", p->layout.ranks, p->layout.nodes,
          p->layout.nodes == 1 ? "" : "s");
  fprintf(out, "memory           %.1f MB on the largest rank, reached in: %s, on %s\n",
          (double)p->peak_bytes / 1e6, p->peak_phase, on[p->peak_place]);
  fprintf(out, "                 of which %.1f MB are there from the start (libraries, MPI, text)\n",
          (double)p->start_bytes / 1e6);
  if (p->device_bytes > 0) {
    fprintf(out, "largest device   %.1f MB while it trains\n", (double)p->device_bytes / 1e6);
  }
  fprintf(out, "traffic          %llu bytes up from all devices, %llu bytes down\n",
          (unsigned long long)p->upload_bytes, (unsigned long long)p->download_bytes);
  fprintf(out, "disk             %.1f MB for a checkpoint, %.1f MB for all parts\n",
          (double)p->checkpoint_bytes / 1e6, (double)p->part_bytes / 1e6);
  fprintf(out, "server steps     %zu in all, %zu in sequence, %.0f tokens\n", p->total_steps,
          p->sequential_steps, p->server_tokens);
  fprintf(out, "devices          %.0f tokens at most\n", p->device_tokens);
  fprintf(out, "work             %.3g FLOP at most, evaluation aside\n", p->flops);
  print_time(p, out);
}
