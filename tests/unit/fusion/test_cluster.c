#include "base/rng.h"
#include "fusion/cluster.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_N = 128, MAX_D = 16 };

static void random_points(size_t n, size_t d, uint64_t unit, float *points) {
  ef_rng rng = ef_rng_stream(77, EF_RNG_TEST, unit, 0);
  for (size_t i = 0; i < n * d; i++) points[i] = (float)ef_rng_normal(&rng);
}

/* Sum over clusters of the length of the sum of their unit vectors: the total cosine to the best centres. */
static double total_cosine(size_t n, size_t d, const float *points, size_t k, const int32_t *assignment) {
  double total = 0.0;
  for (size_t c = 0; c < k; c++) {
    double sum[MAX_D] = {0}, squares = 0.0;
    for (size_t i = 0; i < n; i++) {
      double length = 0.0;
      for (size_t j = 0; j < d; j++) length += pow((double)points[i * d + j], 2.0);
      if (assignment[i] != (int32_t)c || length == 0.0) continue;
      for (size_t j = 0; j < d; j++) sum[j] += (double)points[i * d + j] / sqrt(length);
    }
    for (size_t j = 0; j < d; j++) squares += sum[j] * sum[j];
    total += sqrt(squares);
  }
  return total;
}

static bool all_used(size_t n, size_t k, const int32_t *assignment) {
  for (size_t c = 0; c < k; c++) {
    bool used = false;
    for (size_t i = 0; i < n; i++) used |= assignment[i] == (int32_t)c;
    if (!used) return false;
  }
  return true;
}

static bool numbered_by_lowest_point(size_t n, const int32_t *assignment) {
  int32_t next = 0;
  for (size_t i = 0; i < n; i++) {
    if (assignment[i] > next) return false;
    next += assignment[i] == next;
  }
  return true;
}

/* Best total over all k^n assignments that use every cluster. */
static double brute_force(size_t n, size_t d, const float *points, size_t k) {
  int32_t assignment[8] = {0};
  size_t cases = 1;
  for (size_t i = 0; i < n; i++) cases *= k;
  double best = 0.0;
  for (size_t number = 0; number < cases; number++) {
    size_t rest = number;
    for (size_t i = 0; i < n; i++, rest /= k) assignment[i] = (int32_t)(rest % k);
    if (all_used(n, k, assignment)) best = fmax(best, total_cosine(n, d, points, k, assignment));
  }
  return best;
}

Test(cluster, planted_clusters_are_recovered_for_200_seeds) {
  enum { K = 4, EACH = 8, N = K * EACH, D = 16 };
  for (uint64_t seed = 0; seed < 200; seed++) {
    ef_rng rng = ef_rng_stream(seed, EF_RNG_TEST, 1, 0);
    float axis[K][D], points[N * D];
    int32_t planted[N], assignment[N];
    for (size_t c = 0; c < K; c++)
      for (size_t j = 0; j < D; j++) axis[c][j] = (float)(j % K == c ? 1.0 : 0.1 * ef_rng_normal(&rng));
    for (size_t i = 0; i < N; i++) {
      planted[i] = (int32_t)(ef_rng_below(&rng, K));
      float length = (float)(0.1 + 10.0 * ef_rng_uniform(&rng));
      for (size_t j = 0; j < D; j++)
        points[i * D + j] = length * (axis[planted[i]][j] + 0.25f * (float)ef_rng_normal(&rng));
    }
    for (size_t c = 0; c < K; c++) planted[c] = (int32_t)c; /* none is empty */
    for (size_t c = 0; c < K; c++) memcpy(points + c * D, axis[c], sizeof axis[c]);
    cr_assert_eq(ef_spherical_kmeans(N, D, points, K, 10, false, seed, 3, assignment, NULL), EF_OK);
    for (size_t i = 0; i < N; i++) cr_assert_eq(assignment[i], planted[i], "seed %zu", (size_t)seed);
    cr_assert_eq(ef_purity(N, assignment, planted), 1.0);
    cr_assert_float_eq(ef_nmi(N, assignment, planted), 1.0, 1e-12);
  }
}

Test(cluster, the_best_total_is_the_optimum_over_all_partitions) {
  for (size_t n = 3; n <= 8; n++) {
    for (size_t k = 2; k <= 3; k++) {
      for (uint64_t unit = 0; unit < (n < 7 ? 20 : 6); unit++) {
        float points[8 * 3];
        int32_t assignment[8];
        random_points(n, 3, unit + 100 * n, points);
        cr_assert_eq(ef_spherical_kmeans(n, 3, points, k, 50, false, 5, unit, assignment, NULL), EF_OK);
        cr_assert(all_used(n, k, assignment) && numbered_by_lowest_point(n, assignment));
        cr_assert_float_eq(total_cosine(n, 3, points, k, assignment), brute_force(n, 3, points, k), 1e-9,
                           "n %zu k %zu unit %zu", n, k, (size_t)unit);
      }
    }
  }
}

Test(cluster, even_a_single_run_leaves_no_move_of_one_point_that_gains) {
  enum { N = 30, D = 3, K = 5 };
  for (uint64_t unit = 0; unit < 40; unit++) {
    float points[N * D];
    int32_t assignment[N];
    random_points(N, D, 500 + unit, points);
    cr_assert_eq(ef_spherical_kmeans(N, D, points, K, 1, false, 2, unit, assignment, NULL), EF_OK);
    double total = total_cosine(N, D, points, K, assignment);
    for (size_t i = 0; i < N; i++) {
      int32_t own = assignment[i];
      for (assignment[i] = 0; assignment[i] < K; assignment[i]++)
        cr_assert_leq(total_cosine(N, D, points, K, assignment), total + 1e-9, "unit %zu point %zu",
                      (size_t)unit, i);
      assignment[i] = own;
    }
  }
}

Test(cluster, centres_are_the_unit_means_of_their_points) {
  enum { N = 40, D = 5, K = 6 };
  float points[N * D], centres[K * D];
  int32_t assignment[N];
  random_points(N, D, 9, points);
  cr_assert_eq(ef_spherical_kmeans(N, D, points, K, 5, false, 1, 1, assignment, centres), EF_OK);
  double total = 0.0;
  for (size_t i = 0; i < N; i++) {
    double length = 0.0, own = 0.0, highest = -1.0;
    for (size_t j = 0; j < D; j++) length += pow((double)points[i * D + j], 2.0);
    for (size_t c = 0; c < K; c++) {
      double cosine = 0.0;
      for (size_t j = 0; j < D; j++)
        cosine += (double)(points[i * D + j] * centres[c * D + j]) / sqrt(length);
      highest = fmax(highest, cosine);
      if ((size_t)assignment[i] == c) own = cosine;
    }
    cr_assert_float_eq(own, highest, 1e-6);
    total += own;
  }
  cr_assert_float_eq(total, total_cosine(N, D, points, K, assignment), 1e-5);
}

Test(cluster, the_result_does_not_depend_on_lengths_and_repeats) {
  enum { N = 30, D = 4, K = 3 };
  float points[N * D], scaled[N * D];
  int32_t a[N], b[N], c[N];
  random_points(N, D, 4, points);
  for (size_t i = 0; i < N * D; i++) scaled[i] = points[i] * (float)(1u << (i / D % 8));
  cr_assert_eq(ef_spherical_kmeans(N, D, points, K, 7, false, 2, 2, a, NULL), EF_OK);
  cr_assert_eq(ef_spherical_kmeans(N, D, points, K, 7, false, 2, 2, b, NULL), EF_OK);
  cr_assert_eq(ef_spherical_kmeans(N, D, scaled, K, 7, false, 2, 2, c, NULL), EF_OK);
  cr_assert_eq(memcmp(a, b, sizeof a), 0);
  cr_assert_eq(memcmp(a, c, sizeof a), 0);
}

Test(cluster, centring_separates_what_a_common_offset_hides) {
  enum { N = 24, D = 6 };
  float points[N * D];
  int32_t assignment[N];
  ef_rng rng = ef_rng_stream(3, EF_RNG_TEST, 0, 0);
  for (size_t i = 0; i < N; i++) {
    for (size_t j = 0; j < D; j++)
      points[i * D + j] = (float)(0.05 * ef_rng_normal(&rng)) + (j == 0 ? 5.0f : 0);
    points[i * D + 1] += i % 2 ? 1.0f : -1.0f;
  }
  cr_assert_eq(ef_spherical_kmeans(N, D, points, 2, 5, true, 0, 0, assignment, NULL), EF_OK);
  for (size_t i = 0; i < N; i++) cr_assert_eq(assignment[i], (int32_t)(i % 2));
}

Test(cluster, zero_vectors_join_the_first_cluster_or_fill_empty_ones) {
  float points[6][2] = {{0, 0}, {0, 1}, {1, 0}, {0, 0}, {0, 2}, {3, 0}};
  int32_t assignment[6];
  float centres[4][2];
  cr_assert_eq(ef_spherical_kmeans(6, 2, &points[0][0], 2, 5, false, 0, 0, assignment, &centres[0][0]),
               EF_OK);
  cr_assert_arr_eq(assignment, ((int32_t[]){0, 0, 1, 0, 0, 1}), sizeof assignment);
  cr_assert_float_eq((double)centres[0][1], 1.0, 1e-7);
  cr_assert_float_eq((double)centres[1][0], 1.0, 1e-7);
  float sparse[4][2] = {{0, 0}, {0, 1}, {0, 0}, {0, 0}};
  cr_assert_eq(ef_spherical_kmeans(4, 2, &sparse[0][0], 3, 5, false, 0, 0, assignment, &centres[0][0]),
               EF_OK);
  cr_assert_arr_eq(assignment, ((int32_t[]){1, 0, 2, 0}), 4 * sizeof *assignment);
  cr_assert(centres[1][0] == 0.0f && centres[1][1] == 0.0f && centres[2][1] == 0.0f);
  float nothing[3][2] = {{0, 0}, {0, 0}, {0, 0}};
  cr_assert_eq(ef_spherical_kmeans(3, 2, &nothing[0][0], 2, 5, true, 0, 0, assignment, NULL), EF_OK);
  cr_assert_arr_eq(assignment, ((int32_t[]){0, 1, 0}), 3 * sizeof *assignment);
}

Test(cluster, no_cluster_is_empty_with_duplicates_or_as_many_clusters_as_points) {
  float same[MAX_N][3], distinct[16 * MAX_D];
  int32_t assignment[MAX_N];
  for (size_t i = 0; i < MAX_N; i++)
    memcpy(same[i], (float[3]){1.0f, 2.0f, i < 120 ? 3.0f : -3.0f}, sizeof same[i]);
  for (size_t k = 1; k <= 20; k++) {
    cr_assert_eq(ef_spherical_kmeans(MAX_N, 3, &same[0][0], k, 3, false, 1, k, assignment, NULL), EF_OK);
    cr_assert(all_used(MAX_N, k, assignment) && numbered_by_lowest_point(MAX_N, assignment), "k %zu", k);
  }
  random_points(16, MAX_D, 8, distinct);
  cr_assert_eq(ef_spherical_kmeans(16, MAX_D, distinct, 16, 2, false, 1, 0, assignment, NULL), EF_OK);
  for (size_t i = 0; i < 16; i++) cr_assert_eq(assignment[i], (int32_t)i);
}

Test(cluster, wrong_counts_are_errors_of_the_deck) {
  float points[2] = {1, 2};
  int32_t assignment[2];
  cr_assert_eq(ef_spherical_kmeans(2, 1, points, 3, 1, false, 0, 0, assignment, NULL), EF_DECK);
  cr_assert_eq(ef_spherical_kmeans(2, 1, points, 0, 1, false, 0, 0, assignment, NULL), EF_DECK);
  cr_assert_eq(ef_spherical_kmeans(2, 1, points, 1, 0, false, 0, 0, assignment, NULL), EF_DECK);
}

/* Shares by hand: clusters * present / devices, then the largest remainders. */
Test(cluster, quotas_follow_largest_remainders_and_both_bounds) {
  static const struct {
    size_t present[4], clusters, quota[4];
  } cases[] = {
      {{8, 8, 0, 0}, 4, {2, 2, 0, 0}},    /* 2, 2 */
      {{7, 5, 4, 0}, 8, {4, 2, 2, 0}},    /* 3.5, 2.5, 2: tie, the lower index */
      {{10, 6, 4, 0}, 7, {4, 2, 1, 0}},   /* 3.5, 2.1, 1.4 */
      {{61, 1, 1, 1}, 16, {13, 1, 1, 1}}, /* 15.25, .25, .25, .25: at least one each */
      {{1, 2, 13, 0}, 16, {1, 2, 13, 0}}, /* all */
      {{3, 0, 1, 5}, 3, {1, 0, 1, 1}},    /* 1, -, .33, 1.67: one each */
      {{3, 2, 2, 1}, 7, {2, 2, 2, 1}},    /* 2.625, 1.75, 1.75, .875: floors 2 1 1 0 */
      {{5, 5, 5, 1}, 5, {2, 1, 1, 1}},    /* 1.5625 x 3, .3125 -> 1 */
  };
  for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
    size_t quota[4];
    cr_assert_eq(ef_cluster_quota(4, cases[c].present, cases[c].clusters, quota), EF_OK);
    for (size_t a = 0; a < 4; a++)
      cr_assert_eq(quota[a], cases[c].quota[a], "case %zu family %zu: %zu", c, a, quota[a]);
  }
}

Test(cluster, quotas_sum_and_stay_within_bounds) {
  ef_rng rng = ef_rng_stream(6, EF_RNG_TEST, 0, 0);
  for (int repeat = 0; repeat < 2000; repeat++) {
    size_t present[5], quota[5], devices = 0, used = 0, sum = 0;
    for (size_t a = 0; a < 5; a++) {
      present[a] = (size_t)ef_rng_below(&rng, 12);
      devices += present[a];
      used += present[a] > 0;
    }
    if (devices == 0) continue;
    size_t clusters = used + (size_t)ef_rng_below(&rng, devices - used + 1);
    cr_assert_eq(ef_cluster_quota(5, present, clusters, quota), EF_OK);
    for (size_t a = 0; a < 5; a++) {
      cr_assert(quota[a] <= present[a] && (quota[a] > 0) == (present[a] > 0));
      sum += quota[a];
    }
    cr_assert_eq(sum, clusters);
  }
}

Test(cluster, impossible_quotas_are_errors_of_the_deck) {
  size_t quota[3], present[3] = {3, 2, 1};
  cr_assert_eq(ef_cluster_quota(3, present, 2, quota), EF_DECK);
  cr_assert_eq(ef_cluster_quota(3, present, 7, quota), EF_DECK);
  cr_assert_eq(ef_cluster_quota(3, (size_t[]){0, 0, 0}, 0, quota), EF_DECK);
}

/* 6 points, clusters {0,1,2},{3,4,5}, labels 0 0 1 | 1 1 1 : purity 5/6; a point without label changes
 * nothing. */
Test(cluster, purity_and_nmi_by_hand) {
  int32_t assignment[7] = {0, 0, 0, 1, 1, 1, 1}, labels[7] = {0, 0, 1, 1, 1, 1, -1};
  double hc = log(2.0), hl = -(2.0 / 6 * log(2.0 / 6) + 4.0 / 6 * log(4.0 / 6));
  double mutual = 2.0 / 6 * log((2.0 / 6) / (0.5 * 2 / 6)) + 1.0 / 6 * log((1.0 / 6) / (0.5 * 4 / 6)) +
                  3.0 / 6 * log((3.0 / 6) / (0.5 * 4 / 6));
  cr_assert_float_eq(ef_purity(7, assignment, labels), 5.0 / 6, 1e-15);
  cr_assert_float_eq(ef_nmi(7, assignment, labels), mutual / ((hc + hl) / 2), 1e-12);
  int32_t one[4] = {0, 0, 0, 0}, halves[4] = {3, 3, 9, 9}, crossed[4] = {0, 1, 0, 1},
          none[4] = {-1, -1, -1, -1};
  cr_assert_float_eq(ef_purity(4, one, halves), 0.5, 0.0);
  cr_assert_float_eq(ef_nmi(4, one, halves), 0.0, 1e-15);
  cr_assert_float_eq(ef_nmi(4, crossed, halves), 0.0, 1e-15);
  cr_assert_float_eq(ef_nmi(4, one, one), 1.0, 0.0);
  cr_assert_float_eq(ef_purity(4, one, none), 0.0, 0.0);
  cr_assert_float_eq(ef_nmi(4, one, none), 0.0, 0.0);
}
