#include "fusion/features.h"
#include "methods/methods.h"

/* An experiment on the loss of phase II alone: devices, clusters, proxies and merge are DeepFusion's own
 * code, on the public text, and the deck in the run folder shows the three keys. */
const char *const ef_ofakd_settings[] = {"fusion.features=ofa", "tune.kl=0", "fusion.transfer=public", NULL};

ef_status ef_ofakd(ef_run *run, ef_outcome *outcome) {
  EF_TRY(EF_CHECK(ef_features_ofa(run->deck) && run->deck->tune.kl == 0.0, EF_FAULT,
                  "ofakd without its settings of the deck"));
  return ef_deepfusion(run, outcome);
}
