/* A model on this rank and the text that it is looked at with: what eval and profile share, from their
 * command line on.
 */
#pragma once

#include "cli/cli.h"
#include "text/corpus.h"
#include "text/tokenizer.h"
#include "text/tokens.h"
#include "train/model_file.h"

/* CHECKPOINT --text FILE... [--context N] [--batch N] [--backend NAME]. The texts are argv's. */
typedef struct ef_model_text_options {
  const char *checkpoint, *backend;
  int64_t context, batch; /* tokens of a window (0: the longest that the model takes); windows of a batch */
  const char **files;     /* (file_count), with room for every word of the command line; owned */
  size_t file_count;
} ef_model_text_options;

/* Keys of these options in a command's table; its own keys begin at EF_MODEL_TEXT_KEYS. */
enum { EF_KEY_TEXT = 0x20001, EF_KEY_CONTEXT, EF_KEY_BATCH, EF_KEY_BACKEND, EF_MODEL_TEXT_KEYS };

/* The defaults, for a command line of argc words; freed by ef_free of files. EF_MACHINE. Local. */
ef_status ef_model_text_defaults(int argc, ef_model_text_options *options);

/* Takes one option or word for the command's parser; ARGP_ERR_UNKNOWN if it is none of these. Local. */
error_t ef_model_text_parse(int key, char *value, ef_model_text_options *options);

typedef struct ef_model_text {
  ef_model model; /* this rank's shard of the experts */
  ef_model_source source;
  ef_tokenizer *tokenizer;
  ef_corpus corpus;
  ef_stream *streams; /* (corpus.domain_count) owned */
} ef_model_text;

/* Loads the model of the checkpoint and, if `with_text`, the files, BOS before every document.
 * EF_CHECKPOINT (also a tokenizer with more tokens than the model), EF_INPUT (no tokenizer in the file, bad
 * text), EF_MACHINE: the same on all ranks. Freed by ef_model_text_free, also after a failure. Collective. */
ef_status ef_model_text_load(ef_par *par, const ef_model_text_options *options, bool with_text,
                             ef_model_text *m);
void ef_model_text_free(ef_model_text *m);

/* Tokens of a window. Pure. */
size_t ef_model_text_window(const ef_model_text *m, const ef_model_text_options *options);
