/* Early exits: heads behind inner layers, each with a norm of its own and the output matrix of the model.
 *
 * The dims name them (dims.h: ef_dims_exit_count, ef_dims_exit_after); the last head is not one of them. All
 * calls read the last ef_forward of a pass that keeps its residuals: EF_PASS_TRAIN, or keep_residuals. A pass
 * holds one exit at a time, in its arena. All calls are local.
 */
#pragma once

#include "model/loss.h"

/* Norms the residual stream behind the layers before early exit `exit`, from 0. */
void ef_exit_hidden(ef_pass *pass, const ef_model *model, size_t exit);

/* (B,T,D) the normed hidden states of the last ef_exit_hidden or ef_exit_loss. Owned by the pass. */
const float *ef_exit_final(const ef_pass *pass);

/* Logits (rows,V) of rows [row, row+rows) of those states. */
void ef_exit_logits(ef_pass *pass, const ef_model *model, size_t row, size_t rows, float *logits);

/* Losses of early exit `exit`, as ef_loss those of the last head; what ef_exit_hidden makes is made here.
 * With grads != NULL (TRAIN only) the gradients of the output matrix and of the exit's norm are added into
 * grads, and that of the residual stream into tap (R,D): a tap of ef_backward at layer
 * ef_dims_exit_after(exit). */
void ef_exit_loss(ef_pass *pass, const ef_model *model, size_t exit, const ef_loss_spec *spec, float *grads,
                  float *tap, float *row_losses, ef_loss_sums *sums);
