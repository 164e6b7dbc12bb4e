#include "cli/cli.h"
#include "cli/report.h"

#include "train/hf_folder.h"

static ef_status run_import(const ef_cli *cli, const char *folder, const char *path) {
  ef_model model;
  ef_model_source source;
  EF_TRY(ef_model_import(folder, &model, &source));
  ef_status status = ef_model_save(path, &model, &source);
  if (status == EF_OK) status = ef_cli_report_model(cli, path, &model);
  ef_model_source_free(&source);
  ef_model_free(&model);
  return status;
}

ef_status ef_cli_import(ef_cli *cli, int argc, char **argv) {
  static const struct argp argp = {
      .args_doc = "DIR OUT.h5",
      .doc = "Reads a Hugging Face folder (config.json with model.safetensors or its sharded index, and "
             "tokenizer.model if it is there) and writes a checkpoint. Families: gpt2, llama, qwen2, olmo, "
             "bloom, "
             "qwen2_moe, deepseek (version 1)."};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, NULL, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 2, 2, argp.args_doc));
  if (!ef_par_root(cli->par)) return EF_OK;
  return run_import(cli, cli->arguments[0], cli->arguments[1]);
}
