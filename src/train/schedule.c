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
