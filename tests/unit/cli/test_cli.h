/* Shared by the tests of the commands: running one inside the test, and small models in folders. */
#pragma once

#include "base/memory.h"
#include "cli/cli.h"
#include "support/support.h"
#include "text/tokenizer.h"
#include "train/hf_folder.h"
#include <criterion/criterion.h>

enum { PATH = 512 };

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Runs "edgefuse ARGUMENTS" (NULL ends them) as the only rank; what it prints on standard output goes to
 * `out` (NULL: dropped). Asserts that it leaves no memory behind. */
ef_status run_command(char *out, size_t size, const char *const *arguments);
#define RUN(out, ...) run_command(out, sizeof out, (const char *const[]){__VA_ARGS__, NULL})
#define RUN_QUIET(...) run_command(NULL, 0, (const char *const[]){__VA_ARGS__, NULL})

/* A small qwen2_moe with experts, parameters from `seed`, in a new model; the caller frees it. */
void make_moe(uint64_t seed, ef_model *model);

/* The file PATH with a model of these dims, parameters from `seed`, and the tokenizer (NULL: none). */
void write_model(const char *path, const ef_dims *dims, uint64_t seed, const ef_tokenizer *tokenizer);

/* The same with all parameters zero: every token has the probability 1/V. */
void write_zeros(const char *path, const ef_dims *dims, const ef_tokenizer *tokenizer);

/* Some 20 kB of text of a few words, and a tokenizer of 300 tokens for it; the caller frees it. */
const char *sample_text(void);
ef_tokenizer *sample_tokenizer(void);

/* Writes config.json and one model.safetensors with every tensor as `dtype` into a folder. */
void write_folder(const ef_model *model, const char *folder, ef_dtype dtype);

/* Asserts that two folders have the same config.json and the same bytes, type and shape in each tensor. */
void expect_same_folders(const char *a, const char *b);

/* "<folder>/<name>" in a ring of static buffers. */
const char *in(const char *folder, const char *name);
