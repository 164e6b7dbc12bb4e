/* `plan --paper`: the formulas of methods/paper.h at N = 16 to 128 beside the paper's figures, for people as
 * Markdown tables and for programs as one JSON object. Bytes are plain bytes in JSON and GB (10^9) in tables.
 */
#pragma once

#include "plan/paper.h"
#include <jansson.h>
#include <stdio.h>

/* Tables, assumptions and what the figures imply. EF_MACHINE. Local. */
ef_status ef_paper_print(const ef_paper *paper, const ef_paper_settings *settings, FILE *out);

/* {"assumptions", "models", "cases", "memory", "bars_imply_experts_per_client"}; the caller owns it.
 * EF_MACHINE. Local. */
ef_status ef_paper_json(const ef_paper *paper, const ef_paper_settings *settings, json_t **json);
