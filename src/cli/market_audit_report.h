/* What `edgefuse market audit` prints: a table of claims for people, or one JSON object. */
#pragma once

#include "market/audit.h"
#include "market/solve.h"

typedef struct ef_market_audit {
  char name[EF_MARKET_NAME];
  size_t most_points;
  ef_audit audit;
} ef_market_audit;

/* Prints the audits of all markets on standard output. EF_DIFFERS, naming the first failing claim and its
 * example, if one that the mechanism makes fails. Local. */
ef_status ef_market_audit_print(const ef_audit_spec *spec, const ef_market_audit *audits, size_t count,
                                bool json);
