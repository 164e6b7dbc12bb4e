/* Mutual transfer of FedMKT: which model's logits are learnt from, and how (Fan et al., COLING 2025,
 * selective transfer with the "greater" strategy; deepfusion.md section 7, "Baseline losses").
 *
 * A learner is trained on the samples themselves, drawn at random, with
 *   L = (1 - lambda) CE(labels) + lambda CE(q),
 * q being the softmax over the k logits that were kept of the chosen teacher and 0 elsewhere. CE(q) = KL(q ||
 * p) + H(q), and H(q) does not depend on the learner: both have the same gradient, so the KL loss of the
 * model is used, and it is the KL that is reported. Where no teacher is better than the learner, q is the
 * label itself: the loss of that window is CE alone.
 */
#pragma once

#include "model/loss.h"
#include "rivals/logits.h"
#include "train/feed.h"
#include "train/trainer.h"

enum { EF_WON_BY_SERVER = -1 };

/* Windows on which `candidate`, the set of `device`, has a lower loss than `best` become its own: logits and
 * loss go into `best`, the device into winner (windows). Ties and losses that are no number change nothing.
 * Local. */
void ef_logits_choose(const ef_samples *samples, const ef_logit_set *candidate, int32_t device,
                      ef_logit_set *best, int32_t *winner);

/* A set as the teacher of batches of samples. */
typedef struct ef_soft_labels {
  const ef_samples *samples; /* borrowed */
  const ef_logit_set *set;   /* borrowed */
  const float *own;          /* (windows) borrowed: teaches where set->loss is lower; NULL: everywhere */
  size_t V, B;
  float lambda;
  size_t *drawn; /* (B) samples of the current batch; owned */
  size_t *token; /* (B*T) number of the scored token of each row, SIZE_MAX: not scored; owned */
  ef_teacher teacher;
  ef_text_feed text; /* of ef_soft_labels_feed */
} ef_soft_labels;

/* For batches of B samples. `labels` must not move afterwards. EF_MACHINE. Local. */
ef_status ef_soft_labels_create(const ef_samples *samples, const ef_logit_set *set, const float *own,
                                size_t V, size_t B, double lambda, ef_soft_labels *labels);
void ef_soft_labels_free(ef_soft_labels *labels);

/* Samples of steps of the unit `unit`, drawn into labels->drawn: for a trainer. Borrows `labels`. Pure. */
ef_source ef_soft_labels_source(const ef_soft_labels *labels, uint64_t seed, uint64_t unit);
/* L for a trainer that draws from that source. Borrows `labels`. Pure. */
ef_objective ef_soft_labels_objective(ef_soft_labels *labels);
/* L for the global model, on samples of steps of the unit `unit`. Borrows `labels`. Local. */
ef_feed ef_soft_labels_feed(ef_soft_labels *labels, uint64_t seed, uint64_t unit);
