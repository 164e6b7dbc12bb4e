#include "cli/cli.h"
#include "cli/report.h"

#include "train/hf_folder.h"

static ef_status run_export(const ef_cli *cli, const char *path, const char *folder) {
  ef_model model;
  ef_model_source source;
  EF_TRY(ef_model_load(path, &model, &source));
  ef_status status = ef_model_export(&model, &source, folder);
  if (status == EF_OK) status = ef_cli_report_model(cli, folder, &model);
  ef_model_source_free(&source);
  ef_model_free(&model);
  return status;
}

ef_status ef_cli_export(ef_cli *cli, int argc, char **argv) {
  static const struct argp argp = {.args_doc = "IN.h5 DIR",
                                   .doc = "Writes the model of a checkpoint as a Hugging Face folder: "
                                          "config.json, model.safetensors and, if the "
                                          "checkpoint has one, tokenizer.model. A tensor that was imported "
                                          "gets its name, type and bytes back."};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, NULL, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 2, 2, argp.args_doc));
  if (!ef_par_root(cli->par)) return EF_OK;
  return run_export(cli, cli->arguments[0], cli->arguments[1]);
}
