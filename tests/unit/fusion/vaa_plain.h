/* The view-aligned attention written down from the formulas (deepfusion.md section 6.1), in double, as plain
 * loops. */
#pragma once

#include "fusion/vaa.h"

/* L_FM. `block` in the order of vaa_internal.h. */
double vaa_plain_loss(const ef_vaa_shape *shape, size_t B, size_t T, const float *block,
                      float *const *student, float *const *teacher);
