/* The setting of the DeepFusion paper (arXiv 2602.14301) at its true sizes, by closed formula: bytes on the
 * wire and device memory, beside its figures 7 (memory) and 8 (bytes). The paper gives neither the bytes per
 * number nor the rounds nor the experts per client, so they are settings; what the figures imply for them is
 * computed too. The figures' values were read from their bars. Nothing is trained or allocated.
 */
#pragma once

#include "model/dims.h"

enum { EF_PAPER_MODELS = 7, EF_PAPER_CASES = 2, EF_PAPER_FAMILIES = 3, EF_PAPER_SIZES = 4 };

typedef struct ef_paper_settings {
  double bytes;         /* b, of one number on the wire and in device memory */
  size_t rounds;        /* R, of the methods that have rounds; all devices take part in each */
  size_t experts;       /* E_c, routed experts of every MoE layer at a FedJETS client */
  double common_params; /* of FedJETS' common expert, sent to every client once */
  size_t public_tokens, public_samples; /* n_p scored tokens and |D_p| samples of the public set (FedMKT) */
  size_t top_k;                         /* k_t logits that FedMKT sends for a token */
  size_t embedding_bytes;               /* |e_n|, beside a DeepFusion upload */
  size_t batch, context;                /* B and T of local training */
} ef_paper_settings;

/* b = 2 (bfloat16), R = 1, E_c = 2, no common expert; n_p = 10^6 in 10^4 samples, k_t = 16; |e_n| = 32;
 * B = 1, T = 1024. */
ef_paper_settings ef_paper_defaults(void);

typedef struct ef_paper_model {
  const char *name;
  ef_dims dims;
  double memory_bar; /* bytes, figure 7; 0 for the global models, whose bar is of the FedJETS client */
} ef_paper_model;

/* Parameters that the formulas need. A FedJETS client holds client_base + E_c * expert. */
typedef struct ef_paper_counts {
  double device;      /* mean over the device models: the expected one, as each device draws its type */
  double global;      /* of the MoE */
  double client_base; /* of the MoE without routed experts: routers and shared experts are in */
  double expert;      /* of one routed expert in every MoE layer */
} ef_paper_counts;

typedef struct ef_paper_case {
  const char *name;
  size_t families[EF_PAPER_FAMILIES], global;                         /* indices of models */
  double deepfusion_bar[EF_PAPER_SIZES], fedjets_bar[EF_PAPER_SIZES]; /* bytes, figure 8 */
  ef_paper_counts counts;
} ef_paper_case;

typedef struct ef_paper {
  ef_paper_model models[EF_PAPER_MODELS];
  ef_paper_case cases[EF_PAPER_CASES];
} ef_paper;

extern const size_t ef_paper_sizes[EF_PAPER_SIZES]; /* N = 16, 32, 64, 128 */
extern const double ef_paper_bar_error;             /* bytes, reading error of a bar of figure 8: one pixel */
extern const double ef_paper_client_bar;            /* bytes, figure 7: FedJETS */
extern const double ef_paper_reduction;             /* 0.71, stated: fewer bytes than FedJETS */

/* EF_INPUT if the shapes contradict themselves. Local. */
ef_status ef_paper_make(ef_paper *paper);

/* The counts of devices that draw one of `families` models with equal chance, and of their MoE. Local. */
ef_paper_counts ef_paper_count(const ef_dims *const *models, size_t families, const ef_dims *global);
double ef_paper_client_params(const ef_paper_counts *counts, double experts);

typedef enum ef_paper_method {
  EF_PAPER_DEEPFUSION,
  EF_PAPER_FEDAVG, /* on the whole MoE */
  EF_PAPER_FEDJETS,
  EF_PAPER_FEDMKT,
  EF_PAPER_OFAKD, /* as the loss of phase II: the uploads are DeepFusion's */
  EF_PAPER_METHODS
} ef_paper_method;

const char *ef_paper_method_name(ef_paper_method method);

/* Bytes of one device: up and down in a round, and once before them. Delivery of the public set is charged to
 * no method. */
typedef struct ef_paper_traffic {
  double up, down, once;
  size_t rounds;
} ef_paper_traffic;

ef_paper_traffic ef_paper_traffic_of(ef_paper_method method, const ef_paper_counts *counts,
                                     const ef_paper_settings *settings);
double ef_paper_total(const ef_paper_traffic *traffic, size_t devices); /* bytes, all devices and rounds */

/* One place of figure 8: the formulas at N devices, and the share that DeepFusion saves against FedJETS. */
typedef struct ef_paper_row {
  size_t devices;
  double total[EF_PAPER_METHODS]; /* bytes */
  double saved, bar_saved;        /* by the formulas; by the bars */
} ef_paper_row;

ef_paper_row ef_paper_row_of(const ef_paper_case *c, const ef_paper_settings *settings, size_t size);

/* Bytes that a parameter has in the bars at N = 128, the least blurred ones, and the error of one pixel:
 * b for DeepFusion, R b for FedJETS (E_c of the settings, up and down, no common expert). */
typedef struct ef_paper_implied {
  double deepfusion, deepfusion_error, fedjets, fedjets_error;
} ef_paper_implied;

ef_paper_implied ef_paper_imply(const ef_paper_case *c, const ef_paper_settings *settings);

/* What would make DeepFusion send `reduction` less than FedJETS without a common expert, one setting changed
 * and the others as they are. Values that no run can have (R below 1, E_c below 0) come out as they are. */
typedef struct ef_paper_needed {
  double rounds, experts; /* R or E_c; both methods send numbers of the same size, which cancels */
  double bytes_ratio;     /* or: bytes per number of DeepFusion over those of FedJETS */
} ef_paper_needed;

ef_paper_needed ef_paper_need(const ef_paper_counts *counts, const ef_paper_settings *settings,
                              double reduction);

/* E_c at which the two cases' clients have sizes in the ratio `ratio`, first over second: what R, b and the
 * directions that were counted have no part in. Local. */
double ef_paper_experts_of_ratio(const ef_paper_counts *first, const ef_paper_counts *second, double ratio);

/* The same for the FedJETS bars at N = 128: E_c, and the least and the greatest that one pixel allows. */
typedef struct ef_paper_experts {
  double value, least, greatest;
} ef_paper_experts;

ef_paper_experts ef_paper_imply_experts(const ef_paper *paper);

/* Memory of local training, bytes. */
typedef struct ef_paper_memory {
  double params;      /* a number, not bytes */
  double states;      /* 4 b per parameter: parameters, gradients and two Adam moments */
  double activations; /* the buffers of this program's training pass at b bytes per number */
  double program;     /* what this program would hold: all of it in float32 */
} ef_paper_memory;

/* Of a model of which `experts` routed experts of every MoE layer are held and can be chosen. EF_MACHINE.
 * Local. */
ef_status ef_paper_memory_of(const ef_dims *dims, size_t experts, const ef_paper_settings *settings,
                             ef_paper_memory *memory);

/* The memory of every device model (its index) and, last, of the FedJETS client of each case. Local. */
enum { EF_PAPER_DEVICES = EF_PAPER_MODELS - EF_PAPER_CASES, EF_PAPER_MEMORIES = EF_PAPER_MODELS };
ef_status ef_paper_memories(const ef_paper *paper, const ef_paper_settings *settings,
                            ef_paper_memory memories[EF_PAPER_MEMORIES]);
