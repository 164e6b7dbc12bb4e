#include "step/optimiser.h"

ef_adamw ef_adamw_of(double lr, double decay, size_t step) {
  return (ef_adamw){.lr = (float)lr,
                    .beta1 = 0.9f,
                    .beta2 = 0.95f,
                    .eps = 1e-8f,
                    .decay = (float)decay,
                    .grad_scale = 1.0f,
                    .step = step};
}
