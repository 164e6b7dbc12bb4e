/* A model in an HDF5 file: /model/<Hugging Face name> for each tensor (float32), attribute `config` of /model
 * (the text of config.json), attributes `dtype`, `layer`, `expert` of each tensor, and /tokenizer (the bytes
 * of a SentencePiece model) when there is one.
 *
 * Every file with /model can be read, whatever its kind; tensors are addressed by name, so a file does not
 * depend on how many ranks wrote it. A file of kind "model" holds nothing else.
 */
#pragma once

#include "model/model.h"
#include "par/par.h"
#include "store/h5.h"
#include "store/safetensors.h"

/* How a tensor stood in the file that it was imported from. */
typedef struct ef_origin {
  ef_dtype dtype;
  char name[sizeof(((ef_tensor *)0)->name)];
} ef_origin;

/* What a model carries beside its numbers, so that an export gives back what was imported. */
typedef struct ef_model_source {
  char *config;       /* text of config.json; owned */
  ef_origin *tensors; /* (table.count), owned */
  void *tokenizer;    /* bytes of a SentencePiece model, owned; NULL: none */
  size_t tokenizer_bytes;
} ef_model_source;

/* The source of a model that was made here: config.json written anew, float32, the table's names, no
 * tokenizer. EF_MACHINE. Local. */
ef_status ef_model_source_make(const ef_model *model, ef_model_source *source);
void ef_model_source_free(ef_model_source *source);

/* Writes /model, and /tokenizer if the source has one. `model` gives the table. params: the block of this
 * rank, NULL if it passes no data; shared_too: this rank passes the shared tensors too (one rank of a
 * collective file; true in a serial file). A routed expert is passed by the rank that holds it. EF_MACHINE.
 * Collective in a collective file. */
ef_status ef_model_file_write(ef_h5 *file, const ef_model *model, const float *params, bool shared_too,
                              const ef_model_source *source);

/* The same for a model that was made here and has no tokenizer, in a serial file. Local. */
ef_status ef_model_file_write_made(ef_h5 *file, const ef_model *model);

/* Dims of the model in a file. EF_CHECKPOINT if it holds none. Local. */
ef_status ef_model_file_dims(ef_h5 *file, ef_dims *dims);
/* Parameters of a model whose dims are those of the file; of a shard only the experts that it holds are read,
 * but every tensor of the table must be there with its shape, and no other. EF_CHECKPOINT names the first
 * tensor that is missing, foreign, of another shape or not finite. Local. */
ef_status ef_model_file_read(ef_h5 *file, ef_model *model);
/* Makes and reads this rank's shard of the model in a file: the shared tensors and the experts
 * ef_block_first(E, size, rank) on. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_model_file_shard(ef_h5 *file, const ef_par *par, ef_model *shard);
/* The same of the file at PATH, of any kind; errors name it. Local. */
ef_status ef_model_load_shard(const char *path, const ef_par *par, ef_model *shard);
/* What it carries beside; `table` is that of the model. Local. */
ef_status ef_model_file_source(ef_h5 *file, const ef_table *table, ef_model_source *source);

/* The whole of a file: opens PATH (any kind), makes the model and reads it. `source` may be NULL. The caller
 * frees both. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_model_load(const char *path, ef_model *model, ef_model_source *source);
/* Writes a file of kind "model" with all tensors. Local. */
ef_status ef_model_save(const char *path, const ef_model *model, const ef_model_source *source);
