/* Made-up samples, sets and models for the tests of logits. */
#pragma once

#include "rivals/logits.h"
#include "support/tiny_run.h"

enum { SAMPLE_K = 5, SAMPLE_WINDOWS = 26 };

/* Windows of TINY_T tokens of a text of 203 with a BOS now and then: 26 windows, the last one short. */
void sample_open(ef_stream *text, ef_samples *samples);
void sample_close(ef_stream *text, ef_samples *samples);

/* A model with vocabulary TINY_V: dense (GPT-2) or with four experts (Qwen2-MoE). */
ef_model sample_model(bool experts, uint64_t seed);

/* A set of random numbers: k distinct tokens a row in any order, losses in 0 .. 1. */
ef_logit_set sample_set(const ef_samples *samples, unsigned seed);

/* Softmax over the k logits of a token, 0 elsewhere: q (TINY_V), by the definition. */
void sample_target(const ef_logit_set *set, size_t token, double *q);
