#include "train/model_hash.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

typedef struct hashing {
  ef_h5 *file;
  XXH3_state_t *state;
  size_t tensors;
} hashing;

static ef_status add_tensor(void *ctx, const char *path, const ef_h5_array *array) {
  hashing *h = ctx;
  size_t count = 1;
  uint64_t shape[4] = {0};
  float *data = NULL;
  if (array->type != EF_H5_F32) return EF_OK;
  for (size_t i = 0; i < array->rank; i++) {
    shape[i] = array->shape[i];
    count *= array->shape[i];
  }
  EF_TRY(EF_NEW(data, count));
  ef_h5_array wanted = *array;
  wanted.path = path;
  ef_status status = ef_h5_read(h->file, &wanted, data);
  if (status == EF_OK) {
    XXH3_128bits_update(h->state, path, strlen(path) + 1);
    XXH3_128bits_update(h->state, shape, sizeof shape);
    XXH3_128bits_update(h->state, data, count * sizeof *data);
    h->tensors++;
  }
  ef_free(data);
  return status;
}

/* Models of equal tensors may still compute something else, with another number of experts per token. */
static ef_status add_config(hashing *h) {
  char *config = NULL;
  EF_TRY(ef_h5_get_text(h->file, "/model", "config", &config));
  XXH3_128bits_update(h->state, config, strlen(config));
  ef_free(config);
  return EF_OK;
}

static ef_status add_model(hashing *h) {
  EF_TRY(EF_CHECK(ef_h5_has(h->file, "/model"), EF_CHECKPOINT, "holds no model (group /model)"));
  EF_TRY(ef_h5_visit(h->file, "/model", add_tensor, h));
  EF_TRY(EF_CHECK(h->tensors > 0, EF_CHECKPOINT, "holds no tensors (group /model)"));
  return add_config(h);
}

ef_status ef_model_file_hash(ef_h5 *file, char out[EF_MODEL_HASH_BYTES]) {
  hashing h = {.file = file, .state = XXH3_createState()};
  EF_TRY(EF_CHECK(h.state, EF_MACHINE, "out of memory"));
  XXH3_128bits_reset(h.state);
  ef_status status = add_model(&h);
  XXH128_hash_t hash = XXH3_128bits_digest(h.state);
  XXH3_freeState(h.state);
  EF_TRY(status);
  snprintf(out, EF_MODEL_HASH_BYTES, "%016llx%016llx", (unsigned long long)hash.high64,
           (unsigned long long)hash.low64);
  return EF_OK;
}

ef_status ef_model_path_hash(const char *path, char out[EF_MODEL_HASH_BYTES]) {
  ef_h5 *file = NULL;
  EF_TRY(ef_h5_open(path, NULL, &file));
  ef_status status = ef_model_file_hash(file, out);
  ef_h5_close(file);
  return status == EF_OK ? status : ef_context(status, "%s", path);
}
