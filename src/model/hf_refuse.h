/* What a config.json may ask for and this program does not do: refused by the name of the field, never passed
 * over.
 */
#pragma once

#include "model/dims.h"
#include <jansson.h>

/* EF_INPUT with the field and the value that is supported. Local. */
ef_status ef_hf_refuse_unsupported(const json_t *config, ef_family family);

/* Dropout is taken as 0 by design; fields that say otherwise are named at EF_LOG_VERBOSE. Local. */
void ef_hf_note_dropout(const json_t *config);
