#include "plan/paper_report.h"

#include "base/markdown.h"
#include <math.h>

#define EF_GB 1e9

static const char *client_name(const ef_paper *paper, size_t index) {
  return paper->models[paper->cases[index - EF_PAPER_DEVICES].global].name;
}

/* ---- parts of the page -------------------------------------------------------------------------------- */

static void print_assumptions(const ef_paper_settings *s, FILE *out) {
  fprintf(
      out,
      "The setting of DeepFusion (arXiv 2602.14301) at its true sizes, by closed formula.\n\n"
      "Assumed, as the paper states none of it: %g bytes per number (--bytes); %zu round%s up and down of "
      "the\nmethods that have rounds, with all devices in each (--rounds); %zu routed experts of a layer "
      "at a\nFedJETS client, its routers and shared experts whole (--experts-per-client), its common "
      "expert not\ncounted. Devices draw one of three models with equal chance: the expected mean counts. "
      "DeepFusion:\none upload, %zu bytes of embedding. FedMKT: %zu public tokens in %zu samples, %zu "
      "logits of each.\nDelivery of the public text is charged to nobody. GB are 10^9 bytes. Bars: read "
      "from figures 7 and 8;\nerror %.1f GB in figure 8.\n\n",
      s->bytes, s->rounds, s->rounds == 1 ? "" : "s", s->experts, s->embedding_bytes, s->public_tokens,
      s->public_samples, s->top_k, ef_paper_bar_error / EF_GB);
}

static ef_status print_models(const ef_paper *paper, FILE *out) {
  ef_md_table t = ef_md_table_make("model|parameters|active for a token");
  for (size_t i = 0; i < EF_PAPER_MODELS; i++) {
    ef_md_cell(&t, "%s", paper->models[i].name);
    ef_md_count(&t, ef_dims_params(&paper->models[i].dims));
    ef_md_count(&t, ef_dims_active_params(&paper->models[i].dims));
  }
  return ef_md_print(&t, out);
}

/* Formula, bar, and the first over the second. */
static void compare(ef_md_table *t, double formula, double bar, int digits) {
  ef_md_real(t, formula / EF_GB, digits);
  ef_md_real(t, bar / EF_GB, 1);
  ef_md_real(t, formula / bar, 2);
}

static ef_status print_bytes(const ef_paper *paper, const ef_paper_case *c, const ef_paper_settings *s,
                             FILE *out) {
  fprintf(out, "Bytes, %s: ", c->name);
  for (size_t i = 0; i < EF_PAPER_FAMILIES; i++) fprintf(out, "%s, ", paper->models[c->families[i]].name);
  fprintf(out, "into %s. GB of all devices; figure 8.\n\n", paper->models[c->global].name);
  ef_md_table t =
      ef_md_table_make("N|DeepFusion|bar|ratio|FedJETS|bar|ratio|saved|by bars|FedAvg|FedMKT|OFA-KD");
  for (size_t i = 0; i < EF_PAPER_SIZES; i++) {
    ef_paper_row row = ef_paper_row_of(c, s, i);
    ef_md_cell(&t, "%zu", row.devices);
    compare(&t, row.total[EF_PAPER_DEEPFUSION], c->deepfusion_bar[i], 1);
    compare(&t, row.total[EF_PAPER_FEDJETS], c->fedjets_bar[i], 1);
    ef_md_cell(&t, "%.1f %%", 100.0 * row.saved);
    ef_md_cell(&t, "%.1f %%", 100.0 * row.bar_saved);
    ef_md_real(&t, row.total[EF_PAPER_FEDAVG] / EF_GB, 0);
    ef_md_real(&t, row.total[EF_PAPER_FEDMKT] / EF_GB, 1);
    ef_md_real(&t, row.total[EF_PAPER_OFAKD] / EF_GB, 1);
  }
  return ef_md_print(&t, out);
}

static ef_status print_memory(const ef_paper *paper, const ef_paper_settings *s,
                              const ef_paper_memory *memories, FILE *out) {
  fprintf(out,
          "Device memory, GB: 4 x %g bytes per parameter (parameters, gradients, two Adam moments) and the "
          "buffers\nof this program's training pass at %g bytes per number, batch %zu, %zu tokens; figure 7. "
          "Last column: what\nthis program would hold, all in float32.\n\n",
          s->bytes, s->bytes, s->batch, s->context);
  ef_md_table t = ef_md_table_make("trained|parameters|states|activations|sum|bar|ratio|edgefuse, float32");
  for (size_t i = 0; i < EF_PAPER_MEMORIES; i++) {
    const ef_paper_memory *m = &memories[i];
    bool client = i >= EF_PAPER_DEVICES;
    ef_md_cell(&t, client ? "FedJETS of %s" : "%s", client ? client_name(paper, i) : paper->models[i].name);
    ef_md_count(&t, (size_t)m->params);
    ef_md_real(&t, m->states / EF_GB, 2);
    ef_md_real(&t, m->activations / EF_GB, 2);
    compare(&t, m->states + m->activations, client ? ef_paper_client_bar : paper->models[i].memory_bar, 2);
    ef_md_real(&t, m->program / EF_GB, 2);
  }
  return ef_md_print(&t, out);
}

static void print_memory_ratio(const ef_paper *paper, const ef_paper_memory *memories, FILE *out) {
  fputs("Memory of a FedJETS client over that of a device (the paper: 3.3 to 9.3 times):\n\n", out);
  for (size_t c = 0; c < EF_PAPER_CASES; c++) {
    double least = INFINITY, most = 0.0;
    const ef_paper_memory *client = &memories[EF_PAPER_DEVICES + c];
    for (size_t i = 0; i < EF_PAPER_FAMILIES; i++) {
      const ef_paper_memory *m = &memories[paper->cases[c].families[i]];
      double ratio = (client->states + client->activations) / (m->states + m->activations);
      least = fmin(least, ratio);
      most = fmax(most, ratio);
    }
    fprintf(out, "  %s: %.1f to %.1f times\n", paper->cases[c].name, least, most);
  }
  fputc('\n', out);
}

static void print_implied(const ef_paper *paper, const ef_paper_settings *s, FILE *out) {
  ef_paper_experts e = ef_paper_imply_experts(paper);
  fprintf(
      out,
      "What the bars imply. Those of FedJETS have the ratio, case 1 over case 2, that E_c = %.2f gives\n"
      "(%.2f to %.2f within the reading error), whatever b and R are if both cases share them. Bytes of a\n"
      "number at N = %zu (bfloat16 has 2, NF4 0.5 and its scales):\n\n",
      e.value, e.least, e.greatest, ef_paper_sizes[EF_PAPER_SIZES - 1]);
  for (size_t c = 0; c < EF_PAPER_CASES; c++) {
    ef_paper_implied b = ef_paper_imply(&paper->cases[c], s);
    fprintf(out, "  %s: DeepFusion b = %.3f (+- %.3f); FedJETS R b = %.3f (+- %.3f) with E_c = %zu\n",
            paper->cases[c].name, b.deepfusion, b.deepfusion_error, b.fedjets, b.fedjets_error, s->experts);
  }
  fputc('\n', out);
}

static void print_needed(const ef_paper *paper, const ef_paper_settings *s, FILE *out) {
  fprintf(
      out,
      "For the stated reduction of %.0f %% against FedJETS one of these would have to hold (b has no part\n"
      "in it while both methods send numbers of one size):\n\n",
      100.0 * ef_paper_reduction);
  for (size_t c = 0; c < EF_PAPER_CASES; c++) {
    ef_paper_needed n = ef_paper_need(&paper->cases[c].counts, s, ef_paper_reduction);
    fprintf(out, "  %s: R = %.2f%s; or E_c = %.2f%s; or a b of DeepFusion %.2f times FedJETS'\n",
            paper->cases[c].name, n.rounds, n.rounds < 1.0 ? " (less than one round)" : "", n.experts,
            n.experts < 0.0 ? " (impossible)" : "", n.bytes_ratio);
  }
}

ef_status ef_paper_print(const ef_paper *paper, const ef_paper_settings *s, FILE *out) {
  ef_paper_memory memories[EF_PAPER_MEMORIES];
  EF_TRY(ef_paper_memories(paper, s, memories));
  print_assumptions(s, out);
  EF_TRY(print_models(paper, out));
  for (size_t c = 0; c < EF_PAPER_CASES; c++) EF_TRY(print_bytes(paper, &paper->cases[c], s, out));
  EF_TRY(print_memory(paper, s, memories, out));
  print_memory_ratio(paper, memories, out);
  print_implied(paper, s, out);
  print_needed(paper, s, out);
  return EF_OK;
}
