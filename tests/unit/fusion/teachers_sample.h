/* A tiny run with made-up teachers of the merged model, and a batch of its public text with what each teacher
 * says about it.
 */
#pragma once

#include "fusion/mentors.h"
#include "support/tiny_run.h"

enum {
  TEACH_B = 3,
  TEACH_T = 40, /* windows straddle the blocks of 32 rows */
  TEACH_R = TEACH_B * TEACH_T,
  TEACH_MOST = 3
};

typedef struct teachers_sample {
  tiny_run t;
  ef_population population;
  ef_clusters clusters;
  ef_cluster list[TEACH_MOST];
  int32_t ids[TEACH_R], targets[TEACH_R];
  size_t count; /* teachers */
  size_t devices[TEACH_MOST];
  double holdout_losses[TEACH_MOST];          /* of each teacher, made up */
  float logits[TEACH_MOST][TEACH_R * TINY_V]; /* of each teacher, row by row */
} teachers_sample;

/* `count` proxies of different families, each a cluster of its own. `override` of the deck, or NULL. */
void teachers_sample_proxies(teachers_sample *s, size_t count, float scale, double sharpness,
                             const char *override);
/* Uploads of devices 0 | 1, 2 in two clusters, after a second round. */
void teachers_sample_uploads(teachers_sample *s, float scale, double sharpness, const char *override);
void teachers_sample_close(teachers_sample *s);
