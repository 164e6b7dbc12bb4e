/* The Hugging Face side of a model: config.json to dims and back. File formats are store/'s; names of tensors
 * are the table's own.
 */
#pragma once

#include "model/dims.h"

/* Reads the text of a config.json. Every field that changes the computation is honoured or refused by name
 * ("rope_scaling", "use_sliding_window", another activation, "mlp_bias", "clip_qkv", ...; hf_refuse.c has the
 * list); missing and contradictory fields are EF_INPUT with the field's name. Absent fields have the defaults
 * of the configuration classes of transformers 4.44. Dropout is taken as 0. ALiBi has no longest position:
 * bloom's max_positions is "seq_length", 2048 when absent. Local. */
ef_status ef_hf_read_config(const char *json, ef_dims *dims);

/* A config.json for these dims, in counted memory; the caller frees it. Layers of another width (dims.first)
 * go into fields of this program's own, "edgefuse_first_layers" and "edgefuse_first_size"; so do early exits:
 * "edgefuse_exits" lists the numbers of layers before each, ascending; and "edgefuse_held" where only the
 * first experts are held. EF_INPUT for dims that no config.json
 * of the family can say. Local. */
ef_status ef_hf_write_config(const ef_dims *dims, char **json);

/* Hub variants of a name: gpt2 and bloom files may lack "transformer."; true if `stored` names `tensor`.
 * Local. */
bool ef_hf_same_name(const ef_dims *dims, const char *stored, const char *tensor);

/* Names that a file may hold beside the parameters (mask buffers, rotary inverse frequencies, a tied head):
 * they are passed over. */
bool ef_hf_ignored_name(const ef_dims *dims, const char *stored);
