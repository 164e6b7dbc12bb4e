/* A model on this rank and the text that it is looked at with: what eval and profile share.
 */
#pragma once

#include "cli/cli.h"
#include "text/corpus.h"
#include "text/tokenizer.h"
#include "text/tokens.h"
#include "train/model_file.h"

typedef struct ef_model_text {
  ef_model model; /* this rank's shard of the experts */
  ef_model_source source;
  ef_tokenizer *tokenizer;
  ef_corpus corpus;
  ef_stream *streams; /* (corpus.domain_count) owned */
} ef_model_text;

/* Loads the model of `checkpoint` and the `count` text files (0: the model alone), BOS before every document.
 * EF_CHECKPOINT (also a tokenizer with more tokens than the model), EF_INPUT (no tokenizer in the file, bad
 * text), EF_MACHINE: the same on all ranks. Freed by ef_model_text_free, also after a failure. Collective. */
ef_status ef_model_text_load(ef_par *par, const char *checkpoint, const char *const *files, size_t count,
                             ef_model_text *m);
void ef_model_text_free(ef_model_text *m);
