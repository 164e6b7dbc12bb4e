/* Spherical k-means. Points are unit vectors in double; a cluster is kept as the sum of its points, whose
 * direction is the centre and whose length is the cluster's total cosine.
 */
#include "base/arena.h"
#include "base/rng.h"
#include "fusion/cluster.h"

#include <math.h>
#include <string.h>

enum { MAX_STEPS = 100 };
static const double LEAST_GAIN = 1e-12; /* of a move of one point; below it is rounding */

typedef struct kmeans {
  size_t n, m, d, k; /* points, non-zero points, width, clusters among the non-zero points */
  double *x;         /* (m,d) unit vectors */
  double *sums;      /* (k,d) sum of each cluster's points */
  double *lengths;   /* (k) lengths of the sums */
  double *distance;  /* (m) 1 - cosine to the nearest seed, then to the own centre */
  size_t *row;       /* (m) number of the point */
  size_t *size;      /* (max(k, clusters)) points of each cluster */
  int32_t *own;      /* (m) cluster of each point */
  int32_t *best;     /* (m) of the best run */
  int32_t *number;   /* (clusters) new number of each cluster */
} kmeans;

static double dot(size_t d, const double *a, const double *b) {
  double s = 0.0;
  for (size_t i = 0; i < d; i++) s += a[i] * b[i];
  return s;
}

static void carve(ef_arena *arena, size_t clusters, kmeans *q) {
  q->x = ef_arena_take(arena, q->n * q->d, sizeof *q->x);
  q->sums = ef_arena_take(arena, clusters * q->d, sizeof *q->sums);
  q->lengths = ef_arena_take(arena, clusters, sizeof *q->lengths);
  q->distance = ef_arena_take(arena, q->n, sizeof *q->distance);
  q->row = ef_arena_take(arena, q->n, sizeof *q->row);
  q->size = ef_arena_take(arena, clusters, sizeof *q->size);
  q->own = ef_arena_take(arena, q->n, sizeof *q->own);
  q->best = ef_arena_take(arena, q->n, sizeof *q->best);
  q->number = ef_arena_take(arena, clusters, sizeof *q->number);
}

/* Unit vectors of the non-zero points. `mean` is scratch (d). */
static void normalise(kmeans *q, const float *points, bool centre, double *mean) {
  memset(mean, 0, q->d * sizeof *mean);
  for (size_t i = 0; centre && i < q->n; i++) {
    for (size_t c = 0; c < q->d; c++) mean[c] += (double)points[i * q->d + c] / (double)q->n;
  }
  for (size_t i = 0; i < q->n; i++) {
    double *x = q->x + q->m * q->d, raw = 0.0;
    for (size_t c = 0; c < q->d; c++) {
      double value = (double)points[i * q->d + c];
      raw += value * value;
      x[c] = value - mean[c];
    }
    double length = sqrt(dot(q->d, x, x));
    if (!(length > 1e-12 * sqrt(raw))) continue; /* zero, or what rounding leaves of x - mean */
    for (size_t c = 0; c < q->d; c++) x[c] /= length;
    q->row[q->m++] = i;
  }
}

/* k-means++ (Arthur and Vassilvitskii 2007): each next seed is drawn with a probability proportional to its
 * squared distance 2 (1 - cosine) from the nearest seed. */
static void seed_centres(kmeans *q, ef_rng *rng) {
  size_t pick = (size_t)ef_rng_below(rng, q->m);
  for (size_t i = 0; i < q->m; i++) q->distance[i] = 2.0;
  for (size_t c = 0; c < q->k; c++) {
    memcpy(q->sums + c * q->d, q->x + pick * q->d, q->d * sizeof *q->sums);
    q->lengths[c] = 1.0;
    double total = 0.0;
    for (size_t i = 0; i < q->m; i++) {
      double distance = fmax(1.0 - dot(q->d, q->x + i * q->d, q->x + pick * q->d), 0.0);
      q->distance[i] = fmin(q->distance[i], distance);
      total += q->distance[i];
    }
    double left = ef_rng_uniform(rng) * total;
    for (pick = 0; pick + 1 < q->m && left >= q->distance[pick]; pick++) left -= q->distance[pick];
  }
}

/* Each point to its nearest centre (ties: the lower); returns the points that changed. */
static size_t assign(kmeans *q) {
  size_t changed = 0;
  memset(q->size, 0, q->k * sizeof *q->size);
  for (size_t i = 0; i < q->m; i++) {
    int32_t nearest = 0;
    double highest = -2.0;
    for (size_t c = 0; c < q->k; c++) {
      double length = q->lengths[c];
      double cosine = length > 0.0 ? dot(q->d, q->x + i * q->d, q->sums + c * q->d) / length : 0.0;
      if (cosine > highest) {
        highest = cosine;
        nearest = (int32_t)c;
      }
    }
    q->distance[i] = 1.0 - highest;
    changed += q->own[i] != nearest;
    q->own[i] = nearest;
    q->size[nearest]++;
  }
  return changed;
}

/* An empty cluster takes the point farthest from its centre among clusters with more than one (ties: the
 * lowest). */
static void fill_empty(kmeans *q) {
  for (size_t c = 0; c < q->k; c++) {
    if (q->size[c] > 0) continue;
    size_t farthest = q->m;
    for (size_t i = 0; i < q->m; i++) {
      if (q->size[q->own[i]] < 2) continue;
      if (farthest == q->m || q->distance[i] > q->distance[farthest]) farthest = i;
    }
    q->size[q->own[farthest]]--;
    q->size[c] = 1;
    q->own[farthest] = (int32_t)c;
    q->distance[farthest] = 0.0;
  }
}

/* Sums and lengths of the clusters; returns the total cosine. */
static double update_centres(kmeans *q) {
  double total = 0.0;
  memset(q->sums, 0, q->k * q->d * sizeof *q->sums);
  for (size_t i = 0; i < q->m; i++) {
    double *sum = q->sums + (size_t)q->own[i] * q->d;
    for (size_t c = 0; c < q->d; c++) sum[c] += q->x[i * q->d + c];
  }
  for (size_t c = 0; c < q->k; c++) {
    q->lengths[c] = sqrt(dot(q->d, q->sums + c * q->d, q->sums + c * q->d));
    total += q->lengths[c];
  }
  return total;
}

/* Length of sum + sign * x, x a unit vector with this product with the sum. */
static double length_with(double length, double product, double sign) {
  return sqrt(fmax(length * length + sign * 2.0 * product + 1.0, 0.0));
}

/* Moves point i to the cluster where the total cosine gains most, if it gains. */
static bool move_point(kmeans *q, size_t i) {
  const double *x = q->x + i * q->d;
  size_t from = (size_t)q->own[i], to = from;
  if (q->size[from] < 2) return false;
  double product = dot(q->d, x, q->sums + from * q->d), best = LEAST_GAIN;
  double loss = q->lengths[from] - length_with(q->lengths[from], product, -1.0);
  for (size_t c = 0; c < q->k; c++) {
    if (c == from) continue;
    double with = length_with(q->lengths[c], dot(q->d, x, q->sums + c * q->d), +1.0);
    if (with - q->lengths[c] - loss > best) {
      best = with - q->lengths[c] - loss;
      to = c;
    }
  }
  if (to == from) return false;
  double *a = q->sums + from * q->d, *b = q->sums + to * q->d;
  for (size_t c = 0; c < q->d; c++) {
    a[c] -= x[c];
    b[c] += x[c];
  }
  q->lengths[from] = sqrt(dot(q->d, a, a));
  q->lengths[to] = sqrt(dot(q->d, b, b));
  q->size[from]--;
  q->size[to]++;
  q->own[i] = (int32_t)to;
  return true;
}

/* Local search after the alternating steps (Dhillon, Guan and Kogan 2002): it leaves their poor fixed points.
 */
static void refine(kmeans *q) {
  for (int step = 0; step < MAX_STEPS; step++) {
    bool moved = false;
    for (size_t i = 0; i < q->m; i++) moved |= move_point(q, i);
    if (!moved) return;
  }
}

static double run(kmeans *q, ef_rng *rng) {
  seed_centres(q, rng);
  for (size_t i = 0; i < q->m; i++) q->own[i] = -1;
  for (int step = 0; step < MAX_STEPS && assign(q) > 0; step++) {
    fill_empty(q);
    update_centres(q);
  }
  fill_empty(q);
  update_centres(q);
  refine(q);
  return update_centres(q);
}

static void best_run(kmeans *q, size_t restarts, uint64_t seed, uint64_t unit) {
  double best = -1.0;
  for (size_t r = 0; q->m > 0 && r < restarts; r++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_KMEANS, unit, (uint32_t)r);
    double total = run(q, &rng);
    if (!(total > best)) continue;
    best = total;
    memcpy(q->best, q->own, q->m * sizeof *q->own);
  }
}

/* Numbers the clusters by their lowest non-zero point and puts the zero vectors in. */
static void number_clusters(kmeans *q, size_t clusters, int32_t *assignment) {
  int32_t next = 0;
  for (size_t c = 0; c < clusters; c++) q->number[c] = -1;
  for (size_t i = 0; i < q->n; i++) assignment[i] = -1;
  for (size_t i = 0; i < q->m; i++) {
    int32_t *number = &q->number[q->best[i]];
    if (*number < 0) *number = next++;
    assignment[q->row[i]] = q->best[i] = *number;
  }
  for (size_t i = 0; i < q->n; i++) {
    if (assignment[i] < 0) assignment[i] = (size_t)next < clusters ? next++ : 0;
  }
}

static void write_centres(kmeans *q, size_t clusters, float *centres) {
  memcpy(q->own, q->best, q->m * sizeof *q->own);
  update_centres(q);
  memset(centres, 0, clusters * q->d * sizeof *centres);
  for (size_t c = 0; c < q->k; c++) {
    for (size_t i = 0; i < q->d && q->lengths[c] > 0.0; i++)
      centres[c * q->d + i] = (float)(q->sums[c * q->d + i] / q->lengths[c]);
  }
}

ef_status ef_spherical_kmeans(size_t n, size_t d, const float *points, size_t k, size_t restarts, bool centre,
                              uint64_t seed, uint64_t unit, int32_t *assignment, float *centres) {
  EF_TRY(EF_CHECK(
      k >= 1 && k <= n && restarts >= 1, EF_DECK,
      "k-means: %zu clusters of %zu points in %zu restarts: 1 <= clusters <= points and at least one "
      "restart are needed",
      k, n, restarts));
  kmeans q = {.n = n, .d = d};
  ef_arena arena = {0};
  carve(&arena, k, &q);
  EF_TRY(ef_arena_place(&arena));
  carve(&arena, k, &q);
  normalise(&q, points, centre, q.sums);
  q.k = k < q.m ? k : q.m;
  best_run(&q, restarts, seed, unit);
  number_clusters(&q, k, assignment);
  if (centres) write_centres(&q, k, centres);
  ef_arena_free(&arena);
  return EF_OK;
}
