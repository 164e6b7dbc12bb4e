#include "methods/global_rounds.h"
#include "methods/methods.h"

ef_status ef_fedavg(ef_run *run, ef_outcome *o) {
  return ef_global_rounds(run, o, (size_t)run->deck->global.experts, false);
}
