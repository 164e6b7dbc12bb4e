#include "cli/report.h"

#include "base/log.h"

ef_status ef_cli_print_json(json_t *object) {
  if (!object) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: the JSON result");
  int rc = json_dumpf(object, stdout, JSON_REAL_PRECISION(17));
  json_decref(object);
  putchar('\n');
  return EF_CHECK(rc == 0, EF_MACHINE, "standard output could not be written");
}

ef_status ef_cli_report_model(const ef_cli *cli, const char *path, const ef_model *model) {
  size_t params = ef_dims_params(&model->dims), active = ef_dims_active_params(&model->dims);
  const char *family = ef_family_name(model->dims.family);
  if (cli->json) {
    return ef_cli_print_json(json_pack("{s:s, s:s, s:I, s:I, s:I}", "path", path, "family", family, "tensors",
                                       (json_int_t)model->table.count, "parameters", (json_int_t)params,
                                       "active_parameters", (json_int_t)active));
  }
  ef_log(EF_LOG_INFO, "%s: %s, %zu tensors, %zu parameters (%zu active)", path, family, model->table.count,
         params, active);
  return EF_OK;
}
