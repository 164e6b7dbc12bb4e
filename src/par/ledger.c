#include "par/ledger.h"

#include "base/memory.h"

ef_status ef_ledger_create(size_t devices, ef_ledger *ledger) {
  *ledger = (ef_ledger){.devices = devices};
  return EF_NEW(ledger->bytes, devices);
}

void ef_ledger_free(ef_ledger *ledger) {
  ef_free(ledger->bytes);
  *ledger = (ef_ledger){0};
}

void ef_ledger_count(ef_ledger *ledger, size_t device, ef_direction direction, ef_message_class message,
                     uint64_t bytes) {
  ledger->bytes[device][direction][message] += bytes;
}

void ef_ledger_add(ef_ledger *ledger, const ef_ledger *other) {
  for (size_t n = 0; n < ledger->devices; n++) {
    for (int d = 0; d < EF_DIRECTION_COUNT; d++) {
      for (int c = 0; c < EF_MESSAGE_COUNT; c++) ledger->bytes[n][d][c] += other->bytes[n][d][c];
    }
  }
}

uint64_t ef_ledger_device(const ef_ledger *ledger, size_t device, ef_direction direction) {
  uint64_t sum = 0;
  for (int c = 0; c < EF_MESSAGE_COUNT; c++) sum += ledger->bytes[device][direction][c];
  return sum;
}

uint64_t ef_ledger_total(const ef_ledger *ledger, ef_direction direction) {
  uint64_t sum = 0;
  for (size_t d = 0; d < ledger->devices; d++) sum += ef_ledger_device(ledger, d, direction);
  return sum;
}

uint64_t ef_ledger_class(const ef_ledger *ledger, ef_direction direction, ef_message_class message) {
  uint64_t sum = 0;
  for (size_t d = 0; d < ledger->devices; d++) sum += ledger->bytes[d][direction][message];
  return sum;
}

const char *ef_message_name(ef_message_class message) {
  static const char *const names[EF_MESSAGE_COUNT] = {"weights", "embedding", "logits", "text", "loss"};
  return names[message];
}
