/* Models as Hugging Face folders: config.json, model.safetensors (or its shards and their index),
 * tokenizer.model.
 *
 * What is imported and exported again is the same: the text of config.json, and name, type and bytes of every
 * tensor (F32, BF16 or F16).
 */
#pragma once

#include "train/model_file.h"

/* Reads the folder into a new model with all experts; the caller frees both. EF_INPUT names the file and the
 * first tensor that is missing, unknown, doubled, of another shape or not finite. Local. */
ef_status ef_model_import(const char *folder, ef_model *model, ef_model_source *source);

/* Writes the folder (made if needed). EF_MACHINE. Local. */
ef_status ef_model_export(const ef_model *model, const ef_model_source *source, const char *folder);
