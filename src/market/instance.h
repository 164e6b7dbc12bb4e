/* An instance of the edge market: rules, workloads, providers, users (aeria.md, section 8).
 *
 * SI units. Strings and arrays are owned by the instance. Everything that reads JSON names file and path of
 * what is wrong ("market.json: users[3].deadline: ..."), as EF_INPUT.
 *
 * Limits, beyond which a file is refused so that no sum or product of a market overflows: value and bid
 * 1e300, unit_cost 1e250, margin, complexity, rate and tokens 1e30, every other quantity 1e100, capacity
 * 2^53. Absent and null are the same; a whole number may be written 1000.0; the fields comment, description,
 * name and source of the instance, and those that begin with _ or x-, are nobody's. An entry of workloads[]
 * may be a string: the name of a network (networks.h), or of a file beside the instance's.
 */
#pragma once

#include "market/workload.h"

typedef enum ef_variant { EF_VARIANT_T, EF_VARIANT_E, EF_VARIANT_D } ef_variant;
#define EF_VARIANT_NAMES "T|E|D"
const char *ef_variant_name(ef_variant variant); /* "T" */
bool ef_variant_find(const char *name, ef_variant *variant);

/* What is public and does not depend on bids. */
typedef struct ef_rules {
  double c;            /* ratio of the estimate's grid, > 1 */
  double u, v;         /* coins in [0,1): of the grid, of the Vickrey branch */
  bool has_u, has_v;   /* false: to be drawn from the seed (ef_coins_draw) */
  double vickrey_prob; /* [0,1) */
  ef_variant variant;
  bool pooled;       /* one market for all providers; else one each */
  double unit_flops; /* FLOP/s of one resource unit, > 0; default 1e9 */
  double unit_bytes; /* bytes/s of memory of one unit; 0: memory does not bound (autoregressive only) */
  int64_t capacity;  /* C, units, >= 0 */
  double unit_cost;  /* kappa >= 0, money per unit used */
  double margin;     /* gamma >= 0: reserve is (1 + gamma) kappa */
  double max_share;  /* (0,1]: largest demand of one user as a share of its market's capacity */
  double rtt;        /* s >= 0 */
} ef_rules;

typedef struct ef_provider {
  char *id;
  size_t workload; /* index */
  double share;    /* of the capacity, 0..1; the shares sum to at most 1 (in a pooled market: any) */
  bool number_id;  /* the id is a whole number in the file, or absent there: then it is the index */
} ef_provider;

typedef struct ef_user {
  char *id;
  size_t provider;                     /* index */
  double value, bid;                   /* money, >= 0 */
  double accuracy;                     /* least accuracy that is accepted */
  double deadline;                     /* s, > 0 */
  double device_flops;                 /* FLOP/s, >= 0; 0: the device computes nothing */
  double device_bytes;                 /* bytes/s of device memory; 0: does not bound (autoregressive only) */
  double uplink_bps;                   /* bit/s, > 0 */
  double complexity;                   /* multiplies FLOPs and data, > 0; default 1 */
  double rate;                         /* tasks per second, >= 0; default 0 */
  double prompt_tokens, decode_tokens; /* autoregressive; 0: those of the workload */
  bool number_id;                      /* as a provider's */
} ef_user;

typedef struct ef_instance {
  ef_rules rules;
  size_t workload_count, provider_count, user_count;
  ef_workload *workloads;
  ef_provider *providers;
  ef_user *users;
} ef_instance;

/* Rules with every default: c 2, variant T, per provider, unit 1e9 FLOP/s, max_share 1. Local. */
ef_rules ef_rules_default(void);

/* Reads and checks a file. An unknown field is refused with the nearest known one. One user at a time stands
 * in memory as JSON: 10^6 users take some 350 bytes each beside the text. On failure nothing is left to free.
 * EF_INPUT, EF_MACHINE. Local. */
ef_status ef_instance_read(const char *path, ef_instance *instance);
/* The same from memory; `name` stands in messages. Local. */
ef_status ef_instance_parse(const char *name, const char *json, size_t bytes, ef_instance *instance);
/* Checks an instance that was made in memory: the same faults, the same paths. Local. */
ef_status ef_instance_check(const ef_instance *instance);
/* Writes a file that reads back to the same bits (17 digits). Local. */
ef_status ef_instance_write(const ef_instance *instance, const char *path);
void ef_instance_free(ef_instance *instance);

/* Draws the coins that the rules do not have from (seed, EF_RNG_COIN, 0, 0). Local. */
void ef_coins_draw(ef_rules *rules, uint64_t seed);

/* Units of the market of provider k, floor(share * C), or C in a pooled market. Local. */
int64_t ef_market_capacity(const ef_instance *instance, size_t provider);
