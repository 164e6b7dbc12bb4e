#include "cli/eval.h"

#include "base/log.h"
#include "base/memory.h"
#include "cli/report.h"
#include "report/quality_json.h"
#include "train/task.h"
#include <math.h>

/* What is scored, and how it did. */
typedef struct evaluation {
  ef_model_text text; /* the model alone, without a text */
  ef_task task;
  ef_task_scores scores;
  ef_task_result *results; /* (domains + 1) the last one is their sum; owned */
} evaluation;

static void release(evaluation *e) {
  ef_free(e->results);
  ef_task_scores_free(&e->scores);
  ef_task_free(&e->task);
  ef_model_text_free(&e->text);
}

static const char *name_of(const ef_task *task, size_t d) {
  return d < task->domain_count ? task->domains[d] : "all";
}

static double share(double part, size_t items) { return items > 0 ? part / (double)items : NAN; }

/* ---- JSON --------------------------------------------------------------------------------------------- */

static void add_number(json_t *object, const char *key, double value) {
  json_object_set_new(object, key, ef_number_json(value));
}

/* The quality of the right candidates, and for multiple choice the accuracies. */
static json_t *result_json(ef_task_kind kind, const ef_task_result *r) {
  json_t *object = ef_quality_json(&r->right);
  json_object_set_new(object, "items", json_integer((json_int_t)r->items));
  json_object_set_new(object, "cut", json_integer((json_int_t)r->cut));
  if (kind != EF_TASK_MCQ) return object;
  add_number(object, "accuracy", share((double)r->plain, r->items));
  add_number(object, "accuracy_normalised", share((double)r->per_token, r->items));
  add_number(object, "accuracy_normalised_bytes", share((double)r->per_byte, r->items));
  add_number(object, "chance", share(r->chance, r->items));
  add_number(object, "nll", share(r->right.nll, r->items));
  return object;
}

static ef_status print_json(const evaluation *e) {
  const ef_task *task = &e->task;
  json_t *domains = json_object();
  for (size_t d = 0; d < task->domain_count; d++) {
    json_object_set_new(domains, task->domains[d], result_json(task->kind, &e->results[d]));
  }
  return ef_cli_print_json(json_pack("{s:s, s:o, s:o}", "task", ef_task_kind_name(task->kind), "domains",
                                     domains, "all",
                                     result_json(task->kind, &e->results[task->domain_count])));
}

/* ---- tables ------------------------------------------------------------------------------------------- */

static void print_mcq(const evaluation *e) {
  printf("%-24s %8s %10s %10s %10s %8s %10s\n", "domain", "items", "accuracy", "per token", "per byte",
         "chance", "nll");
  for (size_t d = 0; d <= e->task.domain_count; d++) {
    const ef_task_result *r = &e->results[d];
    printf("%-24s %8zu %10.4f %10.4f %10.4f %8.4f %10.4f\n", name_of(&e->task, d), r->items,
           share((double)r->plain, r->items), share((double)r->per_token, r->items),
           share((double)r->per_byte, r->items), share(r->chance, r->items), share(r->right.nll, r->items));
  }
}

static void print_qa(const evaluation *e) {
  printf("%-24s %8s %15s %12s %10s %10s\n", "domain", "items", "log_perplexity", "perplexity", "accuracy",
         "tokens");
  for (size_t d = 0; d <= e->task.domain_count; d++) {
    const ef_task_result *r = &e->results[d];
    double nll = ef_log_perplexity(&r->right);
    printf("%-24s %8zu %15.4f %12.3f %10.4f %10zu\n", name_of(&e->task, d), r->items, nll, exp(nll),
           ef_token_accuracy(&r->right), r->right.tokens);
  }
}

static ef_status print(const ef_cli *cli, const evaluation *e) {
  const ef_task_result *all = &e->results[e->task.domain_count];
  if (all->cut > 0) {
    ef_log(EF_LOG_INFO,
           "%zu of %zu items are too long for a window: the head of the prompt was cut, or an answer "
           "was scored in parts",
           all->cut, all->items);
  }
  if (cli->json) return print_json(e);
  if (e->task.kind == EF_TASK_MCQ) {
    print_mcq(e);
  } else {
    print_qa(e);
  }
  return EF_OK;
}

/* ---- the command -------------------------------------------------------------------------------------- */

static ef_status read_files(const char *task, const ef_model_text_options *options, evaluation *e) {
  EF_TRY(ef_task_kind_find(task, &e->task.kind));
  for (size_t i = 0; i < options->file_count; i++) EF_TRY(ef_task_read(&e->task, options->files[i]));
  return EF_NEW(e->results, e->task.domain_count + 1);
}

static ef_status evaluate(const ef_cli *cli, const char *task, const ef_model_text_options *options,
                          evaluation *e) {
  const ef_kernels *kernels;
  EF_TRY(ef_cli_backend(options->backend, &kernels));
  EF_TRY(ef_agree(cli->par, read_files(task, options, e)));
  EF_TRY(ef_model_text_load(cli->par, options, false, &e->text));
  const ef_model *model = &e->text.model;
  size_t T = ef_model_text_window(&e->text, options);
  EF_TRY(ef_task_score(cli->par, kernels, model, e->text.tokenizer, &e->task, (size_t)options->batch, T,
                       &e->scores));
  ef_task_sum(&e->task, &e->scores, e->results);
  size_t domains = e->task.domain_count;
  for (size_t d = 0; d < domains; d++) ef_task_result_add(&e->results[domains], &e->results[d]);
  return ef_agree(cli->par, ef_par_root(cli->par) ? print(cli, e) : EF_OK);
}

ef_status ef_cli_eval_task(const ef_cli *cli, const char *task, const ef_model_text_options *options) {
  evaluation e = {0};
  ef_status status = evaluate(cli, task, options, &e);
  release(&e);
  return status;
}
