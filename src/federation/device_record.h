/* Records of devices as rows (train/record.h): what travels with a device's part and over the ranks.
 */
#pragma once

#include "federation/device.h"
#include "train/record.h"

typedef struct ef_device_rows {
  ef_devices *devices; /* borrowed */
  size_t domains;
} ef_device_rows;

/* The records of rows->devices, of device unit % N for unit round * N + n; borrows `rows`. Pure. */
ef_records ef_device_records(ef_device_rows *rows);
