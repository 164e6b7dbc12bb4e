#include "methods/methods.h"

#include "methods/recipes.h"
#include <stdio.h>
#include <string.h>

static const char FUSION[] = "text,federation,fusion,global,ensemble,tune,exits,eval";
static const char RIVAL[] = "text,federation,fusion,global,tune,exits,eval,control,rivals";

const ef_method ef_methods[] = {
    {"deepfusion", "one upload per device, knowledge clusters, view-aligned distillation, merge, tuning",
     EF_DOES_LOCAL | EF_DOES_FUSION | EF_DOES_MENTORS | EF_DOES_CONTROL, FUSION, ef_deepfusion,
     ef_recipe_tune_steps, NULL},
    {"ofakd",
     "DeepFusion with OFA-KD in phase II (sets fusion.features ofa) and plain tuning (sets tune.kl 0)",
     EF_DOES_LOCAL | EF_DOES_FUSION | EF_DOES_CONTROL, FUSION, ef_ofakd, ef_recipe_tune_steps,
     ef_ofakd_settings},
    {"fedavg", "rounds of the whole global model on every device, averaged by private tokens",
     EF_DOES_ROUNDS | EF_DOES_SERVER | EF_DOES_CONTROL, RIVAL, ef_fedavg, ef_recipe_final_steps, NULL},
    {"fedjets", "rounds of the global model pruned to a device's own experts, averaged over their holders",
     EF_DOES_ROUNDS | EF_DOES_PRUNED | EF_DOES_SERVER | EF_DOES_CONTROL, RIVAL, ef_fedjets,
     ef_recipe_final_steps, NULL},
    {"fedkmt",
     "rounds of top-k logits on public text, both ways; its delivery to the devices is charged to nobody",
     EF_DOES_LOCAL | EF_DOES_SERVER | EF_DOES_LOGITS | EF_DOES_CONTROL, RIVAL, ef_fedkmt,
     ef_recipe_mutual_steps, NULL},
    {"central", "upper bound: public and private text trained on in one place",
     EF_DOES_CONTROL | EF_DOES_CENTRAL, RIVAL, ef_central, ef_recipe_central_steps, NULL},
    {"public_only", "lower bound: public text alone", 0, RIVAL, ef_public_only, ef_recipe_control_steps,
     NULL},
    {0},
};

const ef_method *ef_method_find(const char *name) {
  for (const ef_method *m = ef_methods; m->name; m++) {
    if (strcmp(m->name, name) == 0) return m;
  }
  return NULL;
}

const char *ef_method_names(void) {
  static char names[256];
  size_t used = 0;
  for (const ef_method *m = ef_methods; m->name && used < sizeof names; m++) {
    used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used > 0 ? ", " : "", m->name);
  }
  return names;
}
