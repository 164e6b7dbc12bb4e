#include "train/schedule.h"

#include <math.h>

double ef_schedule_lr(const ef_schedule *s, size_t step) {
  size_t warmup = s->warmup < s->steps ? s->warmup : s->steps;
  if (step < warmup) return s->lr * (double)(step + 1) / (double)warmup;
  double low = s->lr * s->min_share;
  if (s->steps <= warmup + 1) return s->lr;
  double progress = (double)(step - warmup) / (double)(s->steps - 1 - warmup);
  if (progress > 1.0) progress = 1.0;
  return low + 0.5 * (s->lr - low) * (1.0 + cos(3.14159265358979323846 * progress));
}

ef_adamw ef_adamw_of(double lr, double decay, size_t step) {
  return (ef_adamw){.lr = (float)lr,
                    .beta1 = 0.9f,
                    .beta2 = 0.95f,
                    .eps = 1e-8f,
                    .decay = (float)decay,
                    .grad_scale = 1.0f,
                    .step = step};
}
