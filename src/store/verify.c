#include "store/inspect.h"
#include "store/report.h"

static ef_status verify_one(const char *path) {
  ef_h5 *file = NULL;
  ef_status status = ef_h5_open(path, NULL, &file);
  if (status == EF_OK) status = ef_h5_verify(file);
  ef_h5_close(file);
  return status;
}

static void print_one(const char *path, bool whole, FILE *out) {
  if (whole) {
    fprintf(out, "whole    %s\n", path);
  } else {
    fprintf(out, "DAMAGED  %s\n", ef_message());
  }
}

ef_status ef_verify_files(size_t count, const char *const *paths, bool json, FILE *out) {
  json_t *rows = json_array();
  size_t damaged = 0;
  for (size_t i = 0; i < count; i++) {
    bool whole = verify_one(paths[i]) == EF_OK;
    damaged += !whole;
    if (!json) print_one(paths[i], whole, out);
    json_array_append_new(rows, json_pack("{s:s, s:b, s:s?}", "file", paths[i], "whole", whole, "reason",
                                          whole ? NULL : ef_message()));
  }
  json_t *report = json_pack("{s:o}", "files", rows);
  ef_status status = json ? ef_report_print(report, out) : EF_OK;
  json_decref(report);
  EF_TRY(status);
  return EF_CHECK(damaged == 0, EF_CHECKPOINT, "%zu of %zu files are not whole", damaged, count);
}
