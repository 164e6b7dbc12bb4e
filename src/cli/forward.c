#include "cli/cli.h"

#include "base/log.h"
#include "base/memory.h"
#include "model/loss.h"
#include "train/block_file.h"
#include "train/model_file.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_IDS = 0x20001, KEY_OUT, KEY_GRAD, KEY_BACKEND };

typedef struct forward_options {
  const char *ids, *out, *backend;
  bool grad;
} forward_options;

/* One batch and all that is made from it. */
typedef struct batch {
  size_t B, T;
  int32_t *ids, *targets; /* (B,T) owned; targets NULL: the file has no labels */
  float *logits;          /* (B,T,V) owned */
  float *grads, *dfinal;  /* (table.floats), (B,T,D) owned; NULL without --grad */
  ef_pass *pass;          /* owned */
  ef_loss_sums sums;
} batch;

static void batch_free(batch *b) {
  ef_free(b->ids);
  ef_free(b->targets);
  ef_free(b->logits);
  ef_free(b->grads);
  ef_free(b->dfinal);
  ef_pass_free(b->pass);
  *b = (batch){0};
}

/* ---- input ---------------------------------------------------------------------------------- */

/* Reads an integer tensor (B,T) whose values lie in [0,V), or are EF_IGNORE if that is allowed. */
static ef_status read_tokens(const ef_st *reader, const ef_st_tensor *tensor, size_t V, bool ignore,
                             int32_t **out) {
  int64_t *wide = NULL;
  ef_status status;
  EF_GO(EF_NEW(wide, tensor->count));
  EF_GO(EF_NEW(*out, tensor->count));
  EF_GO(ef_st_read_i64(reader, tensor, wide));
  for (size_t i = 0; i < tensor->count; i++) {
    bool good = (wide[i] >= 0 && (uint64_t)wide[i] < V) || (ignore && wide[i] == EF_IGNORE);
    EF_GO(EF_CHECK(good, EF_INPUT, "%s[%zu]: %lld is no token of a vocabulary of %zu", tensor->name, i,
                   (long long)wide[i], V));
    (*out)[i] = (int32_t)wide[i];
  }
done:
  ef_free(wide);
  return status;
}

static ef_status read_labels(const ef_st *reader, const ef_st_tensor *labels, const ef_st_tensor *ids,
                             size_t V, batch *b) {
  bool same = labels->rank == 2 && labels->shape[0] == ids->shape[0] && labels->shape[1] == ids->shape[1];
  EF_TRY(EF_CHECK(same, EF_INPUT, "labels: their shape is not that of input_ids"));
  int32_t *unshifted = NULL;
  ef_status status;
  EF_GO(read_tokens(reader, labels, V, true, &unshifted));
  EF_GO(EF_NEW(b->targets, labels->count));
  ef_shift_labels(b->B, b->T, unshifted, b->targets);
done:
  ef_free(unshifted);
  return status;
}

static ef_status read_tensors(const ef_st *reader, size_t V, bool grad, batch *b) {
  const ef_st_tensor *ids = ef_st_find(reader, "input_ids"), *labels = ef_st_find(reader, "labels");
  EF_TRY(EF_CHECK(ids != NULL, EF_INPUT, "no tensor input_ids (I64, B x T)"));
  EF_TRY(EF_CHECK(ids->rank == 2 && ids->count > 0, EF_INPUT, "input_ids: wants two dimensions, B x T"));
  EF_TRY(EF_CHECK(labels || !grad, EF_INPUT, "no tensor labels (I64, B x T): --grad needs them"));
  b->B = ids->shape[0];
  b->T = ids->shape[1];
  EF_TRY(read_tokens(reader, ids, V, false, &b->ids));
  return labels ? read_labels(reader, labels, ids, V, b) : EF_OK;
}

static ef_status read_batch(const char *path, size_t V, bool grad, batch *b) {
  ef_st *reader = NULL;
  EF_TRY(ef_st_open(path, &reader));
  ef_status status = read_tensors(reader, V, grad, b);
  ef_st_close(reader);
  return status == EF_OK || strstr(ef_message(), path) ? status : ef_context(status, "%s", path);
}

/* ---- computation ---------------------------------------------------------------------------- */

static size_t counted(const batch *b) {
  size_t n = 0;
  for (size_t i = 0; i < b->B * b->T; i++) n += b->targets[i] != EF_IGNORE;
  return n;
}

static ef_status run_loss(const ef_model *model, bool grad, batch *b) {
  size_t tokens = counted(b);
  EF_TRY(EF_CHECK(tokens > 0, EF_INPUT, "labels: no token is counted"));
  ef_loss_spec spec = {.targets = b->targets, .ce_scale = 1.0f / (float)tokens, .tau = 1.0f};
  if (grad) {
    EF_TRY(EF_NEW(b->grads, model->table.floats));
    EF_TRY(EF_NEW(b->dfinal, b->B * b->T * model->dims.D));
  }
  ef_loss(b->pass, model, &spec, b->grads, b->dfinal, NULL, &b->sums);
  EF_TRY(EF_CHECK(isfinite(b->sums.ce), EF_NUMBERS, "the loss is not a finite number"));
  return grad ? ef_backward(b->pass, model, b->dfinal, NULL, 1.0f, b->grads) : EF_OK;
}

static ef_status run_batch(const ef_model *model, const ef_kernels *kernels, bool grad, batch *b) {
  EF_TRY(ef_pass_create(&model->dims, kernels, EF_PASS_TRAIN, b->B, b->T, true, NULL, &b->pass));
  EF_TRY(ef_forward(b->pass, model, b->ids, b->B, b->T));
  EF_TRY(EF_NEW(b->logits, b->B * b->T * model->dims.V));
  ef_logits(b->pass, model, 0, b->B * b->T, b->logits);
  return b->targets ? run_loss(model, grad, b) : EF_OK;
}

/* ---- output --------------------------------------------------------------------------------- */

static ef_status write_scalar(ef_h5 *file, const char *path, const char *description, double value) {
  ef_h5_array array = {
      .path = path, .type = EF_H5_F64, .description = description, .units = "nat", .dims = ""};
  return ef_h5_write(file, &array, &value);
}

static ef_status write_losses(ef_h5 *file, const batch *b) {
  EF_TRY(write_scalar(file, "/aux_loss", "load-balancing loss as Hugging Face reports it",
                      ef_pass_aux(b->pass)));
  if (!b->targets) return EF_OK;
  double ce = b->sums.ce / (double)b->sums.tokens;
  EF_TRY(write_scalar(file, "/loss_ce", "mean cross-entropy of the counted tokens", ce));
  return write_scalar(file, "/loss_total", "cross-entropy plus weighted auxiliary loss: what /grad derives",
                      ce + ef_pass_aux_weighted(b->pass));
}

static ef_status write_hidden(ef_h5 *file, const ef_model *model, const batch *b) {
  size_t L = model->dims.L;
  char path[64];
  ef_h5_array array = {.path = path,
                       .type = EF_H5_F32,
                       .rank = 3,
                       .shape = {b->B, b->T, model->dims.D},
                       .description = "input of the layer; the last one is the output of the final norm",
                       .units = "1",
                       .dims = "sequence,token,width"};
  for (size_t l = 0; l <= L; l++) {
    snprintf(path, sizeof path, "/hidden/%zu", l);
    EF_TRY(ef_h5_write(file, &array, l < L ? ef_pass_residual(b->pass, l) : ef_pass_final(b->pass)));
  }
  snprintf(path, sizeof path, "/hidden_prenorm");
  array.description = "output of the last layer, before the final norm";
  return ef_h5_write(file, &array, ef_pass_residual(b->pass, L));
}

static ef_status write_router(ef_h5 *file, const ef_model *model, const batch *b, size_t layer) {
  ef_router_view view = ef_pass_router(b->pass, layer);
  char path[64];
  ef_h5_array array = {.path = path, .rank = 2, .shape = {b->B * b->T, 0}, .units = "1"};
  snprintf(path, sizeof path, "/router/%zu/logits", layer);
  array.type = EF_H5_F32, array.shape[1] = model->dims.E, array.dims = "row,expert";
  array.description = "router logits; row = sequence * T + token";
  EF_TRY(ef_h5_write(file, &array, view.logits));
  snprintf(path, sizeof path, "/router/%zu/weights", layer);
  array.shape[1] = model->dims.K, array.dims = "row,choice";
  array.description = "weights of the chosen experts";
  EF_TRY(ef_h5_write(file, &array, view.weights));
  snprintf(path, sizeof path, "/router/%zu/experts", layer);
  array.type = EF_H5_I32;
  array.description = "chosen experts by descending probability";
  return ef_h5_write(file, &array, view.experts);
}

static ef_status write_results(ef_h5 *file, const ef_model *model, const batch *b) {
  ef_h5_array logits = {.path = "/logits",
                        .type = EF_H5_F32,
                        .rank = 3,
                        .shape = {b->B, b->T, model->dims.V},
                        .description = "logits of the next token",
                        .units = "1",
                        .dims = "sequence,token,vocabulary"};
  EF_TRY(ef_h5_write(file, &logits, b->logits));
  EF_TRY(write_losses(file, b));
  EF_TRY(write_hidden(file, model, b));
  for (size_t l = 0; l < model->dims.L; l++) {
    if (ef_dims_is_moe(&model->dims, l)) EF_TRY(write_router(file, model, b, l));
  }
  if (!b->grads) return EF_OK;
  return ef_block_write(file, "/grad", &model->table, b->grads, EF_BLOCK_ALL, true, "gradient of loss_total");
}

static ef_status write_file(const char *path, const ef_model *model, const batch *b) {
  ef_h5_header header = {.kind = "tensors", .deck = "", .seed = 0, .ranks = 1};
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_create(path, MPI_COMM_NULL, &header, &file));
  ef_status status = write_results(file, model, b);
  if (status == EF_OK) return ef_h5_commit(file);
  ef_h5_close(file);
  return status;
}

/* ---- command -------------------------------------------------------------------------------- */

static ef_status run_forward(const char *checkpoint, const forward_options *options) {
  const ef_kernels *kernels;
  ef_model model = {0};
  batch b = {0};
  ef_status status;
  EF_TRY(ef_cli_backend(options->backend, &kernels));
  EF_GO(ef_model_load(checkpoint, &model, NULL));
  EF_GO(read_batch(options->ids, model.dims.V, options->grad, &b));
  EF_GO(run_batch(&model, kernels, options->grad, &b));
  EF_GO(write_file(options->out, &model, &b));
  ef_log(EF_LOG_INFO, "%s: %zu x %zu tokens", options->out, b.B, b.T);
  if (b.targets)
    ef_log(EF_LOG_INFO, "loss %.6f nat per token over %zu tokens", b.sums.ce / (double)b.sums.tokens,
           b.sums.tokens);
done:
  batch_free(&b);
  ef_model_free(&model);
  return status;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  forward_options *options = state->input;
  switch (key) {
  case KEY_IDS:
    options->ids = arg;
    return 0;
  case KEY_OUT:
    options->out = arg;
    return 0;
  case KEY_GRAD:
    options->grad = true;
    return 0;
  case KEY_BACKEND:
    options->backend = arg;
    return 0;
  default:
    return ARGP_ERR_UNKNOWN;
  }
}

ef_status ef_cli_forward(ef_cli *cli, int argc, char **argv) {
  static const struct argp_option list[] = {
      {"ids", KEY_IDS, "FILE.safetensors", 0,
       "tensor input_ids, and labels for losses (I64, B x T; -100: not counted)", 0},
      {"out", KEY_OUT, "FILE.h5", 0, "file that is written", 0},
      {"grad", KEY_GRAD, NULL, 0, "also the gradient of loss_total for every parameter", 0},
      {"backend", KEY_BACKEND, "NAME", 0, "kernels: blas (default), ref, guard, guard:ref", 0},
      {0}};
  static const struct argp argp = {
      .options = list,
      .parser = parse,
      .args_doc = "CHECKPOINT",
      .doc = "Runs one batch and writes /logits, /loss_ce, /aux_loss, /loss_total, /hidden/N, "
             "/hidden_prenorm, /router/N/logits, "
             "/router/N/experts, /router/N/weights and, with --grad, /grad/<tensor>."};
  forward_options options = {.backend = "blas"};
  bool help;
  EF_TRY(ef_cli_parse(cli, &argp, argc, argv, &options, &help));
  if (help) return EF_OK;
  EF_TRY(ef_cli_arguments(cli, argv[0], 1, 1, argp.args_doc));
  EF_TRY(EF_CHECK(options.ids && options.out, EF_USAGE,
                  "forward: wants --ids FILE.safetensors and --out FILE.h5"));
  if (!ef_par_root(cli->par)) return EF_OK;
  return run_forward(cli->arguments[0], &options);
}
