#include "base/memory.h"
#include "market/networks/networks_internal.h"
#include <string.h>

/* ---- the table ---------------------------------------------------------------------------------------- */

static ef_status make_alexnet(double bytes, ef_workload *w) {
  return ef_architecture_make(&ef_alexnet, bytes, w);
}
static ef_status make_vgg16(double bytes, ef_workload *w) {
  return ef_architecture_make(&ef_vgg16, bytes, w);
}
static ef_status make_resnet34(double bytes, ef_workload *w) {
  return ef_architecture_make(&ef_resnet34, bytes, w);
}
static ef_status make_resnet50(double bytes, ef_workload *w) {
  return ef_architecture_make(&ef_resnet50, bytes, w);
}
static ef_status make_mobilenet_v2(double bytes, ef_workload *w) {
  return ef_architecture_make(&ef_mobilenet_v2, bytes, w);
}

const ef_network ef_networks[] = {
    {"alexnet", "image classifier, 1.43 GFLOP, 4 exits, confidence policies", make_alexnet},
    {"vgg16", "image classifier, 30.9 GFLOP, 4 exits, confidence policies", make_vgg16},
    {"resnet34", "image classifier, 7.3 GFLOP, 4 exits, confidence policies", make_resnet34},
    {"resnet50", "image classifier, 8.19 GFLOP, 4 exits fixed in advance", make_resnet50},
    {"mobilenet_v2", "image classifier, 0.60 GFLOP, 4 exits fixed in advance", make_mobilenet_v2},
    {"bart_base", "translation, 32 to 32 tokens, 8.9 GFLOP with its head, 3 exits, confidence policies",
     ef_bart_make},
    {0}};

const ef_network *ef_network_find(const char *name) {
  for (const ef_network *n = ef_networks; n->name; n++) {
    if (strcmp(n->name, name) == 0) return n;
  }
  return NULL;
}

const char *ef_network_names(void) { return "alexnet|vgg16|resnet34|resnet50|mobilenet_v2|bart_base"; }

/* ---- what all share ----------------------------------------------------------------------------------- */

ef_status ef_network_begin(ef_workload *w, const char *name, const char *source, size_t layers,
                           size_t exits) {
  EF_TRY(EF_CHECK((w->name = ef_strdup(name)) && (w->source = ef_strdup(source)), EF_MACHINE,
                  "out of memory: %s", name));
  EF_TRY(EF_NEW(w->layers, layers));
  w->layer_count = layers;
  EF_TRY(EF_NEW(w->exits, exits));
  w->exit_count = exits;
  return EF_OK;
}

ef_status ef_network_add_policies(ef_workload *w, double change) {
  static const struct {
    double threshold, early;
  } points[] = {{1.0, 0.0}, {0.9, 0.18}, {0.8, 0.28}, {0.7, 0.38}, {0.6, 0.48}};
  enum { POINTS = sizeof points / sizeof *points };
  size_t last = w->exit_count - 1;
  double full = w->exits[last].accuracy, most = points[POINTS - 1].early;
  EF_TRY(EF_NEW(w->policies, POINTS));
  w->policy_count = POINTS;
  for (size_t p = 0; p < POINTS; p++) {
    ef_policy *policy = &w->policies[p];
    EF_TRY(EF_NEW(policy->leave, w->exit_count));
    policy->threshold = points[p].threshold;
    policy->accuracy = full * (1 + change / 100 * points[p].early / most);
    for (size_t e = 0; e < last; e++) policy->leave[e] = points[p].early / (double)last;
    policy->leave[last] = 1 - points[p].early;
  }
  return EF_OK;
}
