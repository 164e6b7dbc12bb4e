/* What each member of a cluster counts in its proxy: equal shares as in the paper (Fig. 4), or, an extension,
 * more for a device whose model fits its own text better.
 */
#pragma once

#include <stddef.h>

/* weights[m] = exp(-sharpness * losses[m]) / sum, float32 as the mean is taken; sharpness 0 gives 1/n. A loss
 * that is not finite is not known: it stands at the mean of the known ones. n > 0, sharpness >= 0. Pure. */
void ef_proxy_weights(size_t n, const double *losses, double sharpness, float *weights);
