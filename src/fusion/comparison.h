/* What a loss on features of phase II compares: stages of student and teacher and, where a loss looks at
 * logits, the networks behind them. All borrowed, of one batch.
 */
#pragma once

#include "train/trainer.h"

typedef struct ef_comparison {
  const float *const *student; /* (J) of (B,T,D_S) */
  const float *const *teacher; /* (J) of (B,T,D_T) */
  const ef_teacher *logits;    /* of the teacher */
  const ef_lesson *lesson;     /* the student, the labels, and the places of gradients */
  float scale;                 /* of the loss in the gradients */
  float *const *dtaps;         /* (J) of (B,T,D_S), overwritten; not read where no gradient is wanted */
} ef_comparison;
