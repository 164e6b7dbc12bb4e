/* The output head on any normed hidden states: that of the whole model and those of its early exits share the
 * matrix and differ only in the rows they read. Callers use loss.h and exits.h; those of fusion/ofa.h, whose
 * branches end in this head too, and of fusion/mentors.h, which keeps rows of many models, bring their own.
 */
#pragma once

#include "model/loss.h"

/* Logits (rows,V) of `rows` rows of normed hidden states (rows,D). Local. */
void ef_head_logits(const ef_pass *pass, const ef_model *model, const float *hidden, size_t rows,
                    float *logits);

/* As ef_loss, for the normed hidden states `hidden` (R,D) of the last forward: with grads != NULL the head's
 * gradient (grads +=) and dhidden (R,D), overwritten. Local. */
void ef_head_loss(ef_pass *pass, const ef_model *model, const ef_loss_spec *spec, const float *hidden,
                  float *grads, float *dhidden, float *row_losses, ef_loss_sums *sums);
