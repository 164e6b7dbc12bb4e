/* The methods that train a global model from a federation, and the bounds they are measured by: one table,
 * one file each, the same outcome and report.
 */
#pragma once

#include "methods/outcome.h"

/* What a method does, for plans and reports. */
enum {
  EF_DOES_LOCAL = 1,     /* devices train models of their own families */
  EF_DOES_FUSION = 2,    /* proxies, distilled bases, a merge */
  EF_DOES_ROUNDS = 4,    /* devices train global models, or parts of them */
  EF_DOES_SERVER = 8,    /* the server trains on public text before the devices take part */
  EF_DOES_MENTORS = 16,  /* tuning may have teachers */
  EF_DOES_PRUNED = 32,   /* of those global models a device has rivals.experts experts of each layer alone,
                            chosen by a common expert that it is given once */
  EF_DOES_LOGITS = 64,   /* logits of public text cross, and server and devices learn from each other's */
  EF_DOES_CENTRAL = 128, /* the server sees the private text */
  EF_DOES_CONTROL = 256  /* trains the control beside it, if the deck asks for one */
};

typedef struct ef_method {
  const char *name, *help;
  unsigned does;
  const char *sections;                               /* of the deck that the result depends on */
  ef_status (*run)(ef_run *run, ef_outcome *outcome); /* Collective */
  size_t (*final_steps)(const ef_deck *deck);         /* of the last training on the server (recipes.h) */
  const char *const *settings; /* "section.key=value", ended by NULL: keys of the deck that make the method;
                                  they are set behind all that the user sets. NULL: none */
} ef_method;

/* Table of all methods, ended by a NULL name; a method by name, or NULL. Local. */
extern const ef_method ef_methods[];
const ef_method *ef_method_find(const char *name);
const char *ef_method_names(void); /* "deepfusion, ..."; in a buffer of the program */

/* DeepFusion (arXiv 2602.14301), phases I to III. Collective. */
ef_status ef_deepfusion(ef_run *run, ef_outcome *outcome);

/* Adds proxies, bases and the merged model of a finished fusion to the stages, and sets the cost. Local. */
ef_status ef_deepfusion_stages(const ef_run *run, ef_outcome *outcome);

/* OFA-KD (arXiv 2310.19444) in the place of view-aligned attention (fusion/ofa.h): DeepFusion with
 * fusion.features ofa. It has no routed distillation, so its tuning is plain: tune.kl 0. Everything else is
 * the deck's. Collective; EF_FAULT if the deck is not set so. */
ef_status ef_ofakd(ef_run *run, ef_outcome *outcome);
extern const char *const ef_ofakd_settings[];

/* Federated averaging of the whole model (McMahan et al., AISTATS 2017), from a model that the server trained
 * on public text: 2 R N |M| bytes. Collective. */
ef_status ef_fedavg(ef_run *run, ef_outcome *outcome);

/* FedJETS (Dun et al. 2023) as in deepfusion.md section 7: a device trains the rivals.experts experts of each
 * layer that weigh most on its own text, gated by a common expert that it is given once; experts are averaged
 * over their holders, the rest over all. Collective. */
ef_status ef_fedjets(ef_run *run, ef_outcome *outcome);

/* FedMKT (Fan et al., COLING 2025), called FedKMT by the paper on DeepFusion: in every round the devices send
 * the top-k logits of their own models on the public text, the global model learns from the best of every
 * window, and the devices learn from its logits where these are better than their own. The delivery of the
 * public text itself to the devices is charged to nobody. Collective. */
ef_status ef_fedkmt(ef_run *run, ef_outcome *outcome);

/* The upper bound: all parameters trained on public and private text in one place. Nothing crosses that is
 * counted: it is not a federated method. Collective. */
ef_status ef_central(ef_run *run, ef_outcome *outcome);

/* The lower bound: the same model trained on public text alone. Collective. */
ef_status ef_public_only(ef_run *run, ef_outcome *outcome);
