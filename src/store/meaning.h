/* What a file says about a run beyond its arrays, as JSON values: what it is, the load of the experts, which
 * device shaped which expert, the bytes that crossed, and the plot that viewers open. Private to store/.
 *
 * Everything is read from the file; shares and sums are made of what is read. A value is null where the file
 * has nothing of the kind.
 */
#pragma once

#include "store/h5_internal.h"
#include <jansson.h>

/* {"kind", "method", "phase", "unit", "index", "step", "state", "seed", "random", "deck_hash", "text_hash",
 * "ranks", "code_version", "code_revision"}: from the attributes of the root. The caller owns the value.
 * Local. */
json_t *ef_meaning_identity(const json_t *root);

/* True if ef_meaning_identity has this attribute of the root. Local. */
bool ef_meaning_is_identity(const char *attribute);

/* Path of the dataset that viewers draw by NXroot -> NXentry -> NXdata, or null. `objects`: attributes of
 * every object (ef_report_attributes). The caller owns the value. Local. */
json_t *ef_meaning_plot(const json_t *objects);

/* {"path", "layers": [{"layer", "tokens", "shares": [...], "imbalance", "busiest", "idle"}]}: imbalance is
 * the largest share times the number of experts, 1 if all get the same; null, as busiest, for a layer without
 * tokens. idle counts the experts without tokens. The caller owns `*load`. EF_CHECKPOINT, EF_MACHINE. Local.
 */
ef_status ef_meaning_load(ef_h5 *file, json_t **load);

/* {"path", "experts", "devices", "groups": [{"experts": [...], "sum", "devices": [{"device", "share"}]}]}:
 * experts in a row that have the same shares are a group; its devices have shares above 0, the largest first,
 * sum adds them. The caller owns `*lineage`. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_meaning_lineage(ef_h5 *file, json_t **lineage);

/* {"up_bytes", "down_bytes", "classes": [{"class", "up_bytes", "down_bytes"}], "devices": [{"device",
 * "up_bytes", "down_bytes"}]}; classes is empty where the file counts by device alone. The caller owns
 * `*ledger`. EF_CHECKPOINT, EF_MACHINE. Local. */
ef_status ef_meaning_ledger(ef_h5 *file, json_t **ledger);
