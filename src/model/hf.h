/* The Hugging Face side of a model: config.json to dims and back. File formats are store/'s; names of tensors are
 * the table's own.
 */
#pragma once

#include "model/dims.h"

/* Reads the text of a config.json. Every field that changes the computation is honoured or refused by name
 * ("rope_scaling", "sliding_window" in use, another activation, attention_bias where unsupported, clip_qkv, ...);
 * missing and contradictory fields are EF_INPUT with the field's name. Local. */
ef_status ef_hf_read_config(const char *json, ef_dims *dims);

/* A config.json for these dims, in counted memory; the caller frees it. Local. */
ef_status ef_hf_write_config(const ef_dims *dims, char **json);

/* Hub variants of a name: gpt2 files may lack the prefix "transformer."; true if `stored` names `tensor`. */
bool ef_hf_same_name(const ef_dims *dims, const char *stored, const char *tensor);

/* Names that a file may hold beside the parameters (mask buffers, rotary inverse frequencies, a tied head): they
 * are passed over. */
bool ef_hf_ignored_name(const ef_dims *dims, const char *stored);
