#include "report/run_ledger.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

/* ---- ledger ------------------------------------------------------------------------------------------- */

static ef_status write_direction(ef_h5 *out, const ef_ledger *ledger, ef_direction direction,
                                 int64_t *values) {
  size_t N = ledger->devices;
  bool up = direction == EF_UP;
  for (size_t n = 0; n < N; n++) {
    for (size_t c = 0; c < EF_MESSAGE_COUNT; c++)
      values[n * EF_MESSAGE_COUNT + c] = (int64_t)ledger->bytes[n][direction][c];
  }
  ef_h5_array array = {.path = up ? "/ledger/up_bytes" : "/ledger/down_bytes",
                       .type = EF_H5_I64,
                       .rank = 2,
                       .shape = {N, EF_MESSAGE_COUNT},
                       .description = up ? "bytes that the device sent to the server, by class of message"
                                         : "bytes that the server sent to the device, by class of message",
                       .units = "byte",
                       .dims = "device,class"};
  return ef_h5_write(out, &array, values);
}

static ef_status write_formula(ef_h5 *out, const uint64_t *formula) {
  const int64_t values[EF_DIRECTION_COUNT] = {(int64_t)formula[EF_UP], (int64_t)formula[EF_DOWN]};
  return ef_h5_write_vector(out, "/ledger/formula_bytes", EF_H5_I64, EF_DIRECTION_COUNT, "direction",
                            "bytes of all devices by the closed formula of the method: up, down", "byte",
                            values);
}

static ef_status write_classes(ef_h5 *out) {
  char names[128] = "";
  for (size_t c = 0; c < EF_MESSAGE_COUNT; c++) {
    size_t n = strlen(names);
    snprintf(names + n, sizeof names - n, "%s%s", c ? "," : "", ef_message_name((ef_message_class)c));
  }
  EF_TRY(ef_h5_set_text(out, "/ledger", "classes", names));
  return ef_h5_write_axis(out, "/ledger", "class", EF_MESSAGE_COUNT, 0,
                          "place in the attribute classes of this group, from 0", true);
}

ef_status ef_report_write_ledger(const ef_report *r, ef_h5 *out) {
  const ef_ledger *ledger = &r->outcome->ledger;
  int64_t *values = NULL;
  if (ledger->devices == 0) return EF_OK;
  EF_TRY(EF_NEW(values, ledger->devices * EF_MESSAGE_COUNT));
  ef_status status = EF_OK;
  EF_GO(write_direction(out, ledger, EF_UP, values));
  EF_GO(write_direction(out, ledger, EF_DOWN, values));
  EF_GO(write_formula(out, r->outcome->formula));
  EF_GO(ef_h5_write_axis(out, "/ledger", "device", ledger->devices, 0, "number of the device", true));
  EF_GO(write_classes(out));
  EF_GO(ef_h5_set_nxdata(out, "/ledger", "up_bytes", "device,class",
                         "bytes up, by device and class of message"));
done:
  ef_free(values);
  return status;
}

/* ---- lineage ------------------------------------------------------------------------------------------ */

static ef_status copy_shares(ef_h5 *in, ef_h5 *out) {
  ef_h5_array array = {0};
  float *shares = NULL;
  EF_TRY(ef_h5_describe(in, "/lineage/expert_device", &array));
  size_t E = array.shape[0], N = array.shape[1];
  array.path = "/lineage/expert_device";
  array.description = "share of each device's model in what each expert was made of";
  array.units = "1";
  array.dims = "expert,device";
  ef_status status = EF_OK;
  EF_GO(EF_NEW(shares, E * N));
  EF_GO(ef_h5_read(in, &array, shares));
  EF_GO(ef_h5_write(out, &array, shares));
  EF_GO(ef_h5_write_axis(out, "/lineage", "expert", E, 0, "number of the expert", true));
  EF_GO(ef_h5_write_axis(out, "/lineage", "device", N, 0, "number of the device", true));
  EF_GO(ef_h5_set_nxdata(out, "/lineage", "expert_device", "expert,device",
                         "which device shaped which expert"));
done:
  ef_free(shares);
  return status;
}

ef_status ef_report_copy_lineage(const char *path, ef_h5 *out) {
  ef_h5 *in = NULL;
  EF_TRY(ef_h5_open(path, NULL, &in));
  ef_status status = ef_h5_has(in, "/lineage/expert_device") ? copy_shares(in, out) : EF_OK;
  ef_h5_close(in);
  return status;
}
