/* The report of inspect for people. Private to store/.
 */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* Prints the object that inspect --json prints: what the file is, its deck, its tree, then what it says of
 * expert load, lineage and ledger. Local. */
void ef_inspect_print(const json_t *report, FILE *out);

/* The last part: sections by meaning, each only where the file has it. Local. */
void ef_inspect_print_meaning(const json_t *report, FILE *out);
