#include "base/rng.h"
#include "model/model.h"
#include <string.h>

static void draw(const ef_tensor *t, ef_rng *rng, float *p) {
  for (size_t i = 0; i < t->count; i++) {
    switch (t->init) {
    case EF_INIT_ZERO:
      p[i] = 0.0f;
      break;
    case EF_INIT_ONE:
      p[i] = 1.0f;
      break;
    case EF_INIT_NORMAL:
      p[i] = (float)((double)t->init_scale * ef_rng_normal(rng));
      break;
    case EF_INIT_UNIFORM:
      p[i] = (float)((double)t->init_scale * (2.0 * ef_rng_uniform(rng) - 1.0));
      break;
    }
  }
}

void ef_model_init(ef_model *model, uint64_t seed, uint64_t unit) {
  const ef_dims *d = &model->dims;
  for (size_t i = 0; i < model->table.count; i++) {
    const ef_tensor *t = &model->table.tensors[i];
    if (t->offset == SIZE_MAX) continue;
    ef_rng rng = ef_rng_stream(seed, EF_RNG_INIT, unit, (uint32_t)i);
    draw(t, &rng, model->params + t->offset);
    if (t->role == EF_T_EMBED && d->has_pad) {
      memset(model->params + t->offset + (size_t)d->pad * d->D, 0, d->D * sizeof(float));
    }
  }
}
