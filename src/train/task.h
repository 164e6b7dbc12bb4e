/* Tasks scored with a trained model: log-likelihoods of candidates behind their prompts, and what follows
 * from them. For multiple choice the choice of the greatest likelihood is the model's letter: the sum over
 * its tokens (plain), or that sum per token or per byte, which do not favour short choices. Ties go to the
 * first choice.
 */
#pragma once

#include "par/par.h"
#include "text/task.h"
#include "train/evaluate.h"

/* Every candidate of a task, item by item. */
typedef struct ef_task_scores {
  size_t count; /* candidates of all items */
  ef_quality
      *quality; /* (count) of the scored tokens: nats, tokens, hits, bytes of the continuation; owned */
  bool *cut;    /* (items) too long for T: prompt cut, or a candidate scored in parts; owned */
} ef_task_scores;

/* Scores every candidate with `shard` (experts spread over ranks as ef_exchange wants them): up to B windows
 * of at most T inputs in a forward pass, windows of like length together, padded behind with targets that are
 * not scored. A window of more than T inputs is scored in parts: T inputs each, of which all but the first
 * part score the last T/2 (at least one). The same bits on any number of ranks. EF_INPUT: T above the model's
 * positions; EF_MACHINE. On failure nothing is left behind. Collective. */
ef_status ef_task_score(ef_par *par, const ef_kernels *kernels, const ef_model *shard,
                        const ef_tokenizer *tokenizer, const ef_task *task, size_t B, size_t T,
                        ef_task_scores *scores);
void ef_task_scores_free(ef_task_scores *scores);

/* Sums that add up over items and domains. */
typedef struct ef_task_result {
  size_t items, cut;                 /* items; of them, those too long for a window */
  size_t plain, per_token, per_byte; /* items whose right candidate scores best; qa: all items */
  double chance;                     /* of guessing right, summed over items: 1 / candidates */
  ef_quality right;                  /* the right candidates */
} ef_task_result;

/* by_domain (task->domain_count), overwritten, added up in the order of the items. Local. */
void ef_task_sum(const ef_task *task, const ef_task_scores *scores, ef_task_result *by_domain);
void ef_task_result_add(ef_task_result *sum, const ef_task_result *other);
