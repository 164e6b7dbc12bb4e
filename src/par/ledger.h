/* The byte ledger: every byte that crosses between a device and the server, by device, direction and class.
 *
 * It counts what is handed to the transport, not what a formula says; the formula of the method is compared
 * with it in the report and must be equal (deepfusion.md section 7).
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>

typedef enum ef_direction { EF_UP, EF_DOWN, EF_DIRECTION_COUNT } ef_direction;
typedef enum ef_message_class {
  EF_MSG_WEIGHTS,
  EF_MSG_EMBEDDING,
  EF_MSG_LOGITS,
  EF_MSG_TEXT,
  EF_MSG_LOSS,
  EF_MESSAGE_COUNT
} ef_message_class;

typedef struct ef_ledger {
  size_t devices;
  uint64_t (*bytes)[EF_DIRECTION_COUNT][EF_MESSAGE_COUNT]; /* (devices), owned */
} ef_ledger;

/* An empty ledger; released by ef_ledger_free. EF_MACHINE. Local. */
ef_status ef_ledger_create(size_t devices, ef_ledger *ledger);
void ef_ledger_free(ef_ledger *ledger);

/* Adds `bytes` that crossed between `device` (0 .. devices-1) and the server. Local. */
void ef_ledger_count(ef_ledger *ledger, size_t device, ef_direction direction, ef_message_class message,
                     uint64_t bytes);

/* Adds what `other` counted, of as many devices. Local. */
void ef_ledger_add(ef_ledger *ledger, const ef_ledger *other);

/* Sums in bytes: of one device, of all devices, of one class of message. Local. */
uint64_t ef_ledger_device(const ef_ledger *ledger, size_t device, ef_direction direction);
uint64_t ef_ledger_total(const ef_ledger *ledger, ef_direction direction);
uint64_t ef_ledger_class(const ef_ledger *ledger, ef_direction direction, ef_message_class message);

/* "weights", "embedding", "logits", "text", "loss". Local. */
const char *ef_message_name(ef_message_class message);
