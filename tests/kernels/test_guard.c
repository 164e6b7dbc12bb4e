/* The guard backend: each violation ends the process with a message that says where it is. */
#include "kernels/guard/guard.h"
#include "kernels/ref/ref.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a guard around a backend with planted errors ---- */

static void forgetful_gelu(size_t n, const float *x, float *y) { ef_ref_gelu(n - 1, x, y); }

/* Reads C though beta is 0. */
static void hasty_matmul(int transA, int transB, size_t M, size_t N, size_t K, const float *A, size_t lda,
                         const float *B, size_t ldb, float beta, float *C, size_t ldc) {
  (void)beta;
  ef_ref_matmul(transA, transB, M, N, K, A, lda, B, ldb, 1.0f, C, ldc);
}

/* Leaves the gradient of the last key alone. */
static void lazy_attention_backward(const ef_attention *a, const float *q, const float *k, const float *v,
                                    const float *out, const float *lse, const float *dout, float *dq,
                                    float *dk, float *dv, float *work) {
  float kept = dk[a->Tk - 1];
  ef_ref_attention_backward(a, q, k, v, out, lse, dout, dq, dk, dv, work);
  dk[a->Tk - 1] = kept;
}

static void doubling_router(size_t R, size_t E, size_t K, int normalise, float norm_eps, const float *logits,
                            float *probs, int32_t *experts, float *weights) {
  ef_ref_router(R, E, K, normalise, norm_eps, logits, probs, experts, weights);
  experts[1] = experts[0];
}

static void unstable_sort(size_t R, size_t E, size_t K, const int32_t *experts, size_t *count,
                          int32_t *source, int32_t *position) {
  ef_ref_moe_sort(R, E, K, experts, count, source, position);
  source[0] = source[1];
}

static const ef_kernels *inner(void) {
  static const ef_kernels faulty = {
      .name = "faulty",
      .matmul = hasty_matmul,
      .attention_workspace = ef_ref_attention_workspace,
      .attention_backward = lazy_attention_backward,
      .gelu = forgetful_gelu,
      .router = doubling_router,
      .moe_sort = unstable_sort,
  };
  return &faulty;
}

#define GUARD_NAME "guard:faulty"
#include "kernels/guard/wrap.inc"

/* ---- what a call leaves on stderr ---- */

/* Runs `call` in a child: it must end by SIGABRT after a message that contains `text`. */
static void assert_aborts(void (*call)(const ef_kernels *), const ef_kernels *k, const char *text) {
  int ends[2], status = 0;
  char message[512] = "";
  cr_assert_eq(pipe(ends), 0);
  pid_t child = fork();
  cr_assert_geq(child, 0);
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    signal(SIGABRT, SIG_DFL);
    call(k);
    _exit(0);
  }
  close(ends[1]);
  ssize_t length = read(ends[0], message, sizeof message - 1);
  close(ends[0]);
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "no abort; wanted '%s'", text);
  cr_assert(length > 0 && strstr(message, text), "'%s' does not say '%s'", message, text);
}

/* ---- preconditions ---- */

static void short_rows(const ef_kernels *k) {
  float A[6] = {0}, B[6] = {0}, C[4];
  k->matmul(0, 0, 2, 2, 3, A, 2, B, 2, 0.0f, C, 2);
}

static void odd_beta(const ef_kernels *k) {
  float A[1] = {0}, B[1] = {0}, C[1] = {0};
  k->matmul(0, 0, 1, 1, 1, A, 1, B, 1, 0.5f, C, 1);
}

static void negative_id(const ef_kernels *k) {
  const int32_t ids[] = {0, 0, -3};
  float rows[4] = {0}, y[6];
  k->embedding(3, 2, ids, rows, y);
}

static void too_many_chosen(const ef_kernels *k) {
  float logits[3] = {0}, probs[3], weights[4];
  int32_t experts[4];
  k->router(1, 3, 4, 0, 0.0f, logits, probs, experts, weights);
}

static void expert_out_of_range(const ef_kernels *k) {
  const int32_t experts[] = {0, 1, 2, 4};
  size_t count[4];
  int32_t source[4], position[4];
  k->moe_sort(2, 4, 2, experts, count, source, position);
}

static void uneven_groups(const ef_kernels *k) {
  ef_attention a = {.B = 1, .Tq = 1, .Tk = 1, .H = 3, .G = 2, .h = 1, .scale = 1.0f};
  k->attention_workspace(&a);
}

static void more_queries_than_keys(const ef_kernels *k) {
  ef_attention a = {.B = 1, .Tq = 2, .Tk = 1, .H = 1, .G = 1, .h = 1, .scale = 1.0f};
  k->attention_workspace(&a);
}

static void target_out_of_range(const ef_kernels *k) {
  const int32_t targets[] = {EF_IGNORE, 3};
  float logits[6] = {0}, losses[2];
  k->cross_entropy(2, 3, logits, targets, 1.0f, losses, NULL, NULL);
}

static void repeated_index(const ef_kernels *k) {
  const int32_t index[] = {2, 0, 2};
  float teacher[3] = {0}, student[4] = {0}, loss;
  k->kl_topk(1, 4, 3, 1.0f, index, teacher, student, NULL, 1.0f, &loss, NULL);
}

static void negative_weight(const ef_kernels *k) {
  float x[2] = {0}, y[2] = {0};
  k->mix_softmax(1, 2, -0.5f, x, y);
}

static void odd_head_width(const ef_kernels *k) {
  const int32_t positions[] = {0};
  float tables[2] = {0}, x[3] = {0};
  k->rope(1, 1, 3, 3, 3, positions, tables, tables, 1, x);
}

static void step_zero(const ef_kernels *k) {
  ef_adamw o = {.lr = 0.1f, .beta1 = 0.9f, .beta2 = 0.9f, .eps = 1e-8f, .grad_scale = 1.0f, .step = 0};
  float p[1] = {0}, g[1] = {0}, m[1] = {0}, v[1] = {0};
  k->adamw(&o, 1, p, g, m, v);
}

static void overlapping_sum(const ef_kernels *k) {
  float x[5] = {0};
  k->add(4, x, x + 1);
}

static void in_place_gelu(const ef_kernels *k) {
  float x[3] = {1.0f, 2.0f, 3.0f};
  k->gelu(3, x, x);
}

Test(guard, names_the_broken_precondition) {
  const struct {
    void (*call)(const ef_kernels *);
    const char *text;
  } cases[] = {
      {short_rows, "guard: matmul: needs lda >="},
      {odd_beta, "guard: matmul: needs beta =="},
      {negative_id, "guard: embedding: ids[2] = -3 is outside"},
      {too_many_chosen, "guard: router: needs K <= E"},
      {expert_out_of_range, "guard: moe_sort: experts[3] = 4 is outside [0, 4)"},
      {uneven_groups, "guard: attention_workspace: needs a->H == 0 || a->H % a->G == 0"},
      {more_queries_than_keys, "guard: attention_workspace: needs a->Tq <= a->Tk"},
      {target_out_of_range, "guard: cross_entropy: targets[1] = 3 is neither"},
      {repeated_index, "guard: kl_topk: index[0] = index[2] = 2 twice"},
      {negative_weight, "guard: mix_softmax: needs weight >= 0.0f"},
      {odd_head_width, "guard: rope: needs h % 2 == 0"},
      {step_zero, "guard: adamw: needs o->step >= 1"},
      {overlapping_sum, "guard: add: an input and an output overlap"},
      {in_place_gelu, "guard: gelu: y[0] was left unwritten or computed from what was unwritten"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    assert_aborts(cases[i].call, ef_kernels_guard_ref(), cases[i].text);
  }
}

/* ---- outputs ---- */

static void call_gelu(const ef_kernels *k) {
  const float x[5] = {0};
  float y[5] = {0};
  k->gelu(5, x, y);
}

static void call_matmul(const ef_kernels *k) {
  const float A[2] = {1.0f, 2.0f}, B[2] = {3.0f, 4.0f};
  float C[8] = {0};
  k->matmul(0, 0, 2, 2, 1, A, 1, B, 2, 0.0f, C, 4);
}

static void call_attention_backward(const ef_kernels *k) {
  ef_attention a = {.B = 1, .Tq = 3, .Tk = 3, .H = 1, .G = 1, .h = 1, .q_row = 1, .k_row = 1, .scale = 1.0f};
  const float x[3] = {0};
  float dq[3] = {0}, dk[3] = {0}, dv[3] = {0}, work[16] = {0};
  k->attention_backward(&a, x, x, x, x, x, x, dq, dk, dv, work);
}

static void call_router(const ef_kernels *k) {
  const float logits[3] = {0};
  float probs[3], weights[2];
  int32_t experts[2];
  k->router(1, 3, 2, 0, 0.0f, logits, probs, experts, weights);
}

static void call_sort(const ef_kernels *k) {
  const int32_t experts[] = {1, 0};
  size_t count[2];
  int32_t source[2], position[2];
  k->moe_sort(2, 2, 1, experts, count, source, position);
}

Test(guard, finds_errors_of_the_inner_backend) {
  assert_aborts(call_gelu, &table, "guard: gelu: y[4] was left unwritten");
  assert_aborts(call_matmul, &table, "guard: matmul: C[0] was left unwritten or computed from");
  assert_aborts(call_attention_backward, &table, "guard: attention_backward: dk[2] was left unwritten");
  assert_aborts(call_router, &table, "guard: router: experts[0] = experts[1]");
  assert_aborts(call_sort, &table, "guard: moe_sort: position does not invert source");
}

/* A NaN of the data is the caller's affair: only poison is an error of the backend. */
Test(guard, lets_a_nan_of_the_data_pass) {
  const float x[2] = {NAN, 1.0f};
  float y[2];
  ef_kernels_guard_ref()->gelu(2, x, y);
  cr_assert(isnan(y[0]) && isfinite(y[1]));
}

/* ---- canaries ---- */

Test(guard, canaries_find_a_write_on_either_side) {
  for (size_t bytes = 0; bytes < 200; bytes += 7) {
    unsigned char *x = ef_guard_alloc(bytes);
    cr_assert_eq((uintptr_t)x % 64, 0u);
    for (size_t i = 0; i < bytes; i++) x[i] = 1;
    cr_assert_eq(ef_guard_check(x), 0);
    x[bytes + 5] ^= 1;
    cr_assert_eq(ef_guard_check(x), (ptrdiff_t)bytes + 5);
    x[bytes + 5] ^= 1;
    *(x - 2) ^= 1;
    cr_assert_eq(ef_guard_check(x), -2);
    *(x - 2) ^= 1;
    ef_guard_free(x);
  }
  ef_guard_free(NULL);
}

static void free_overwritten(const ef_kernels *k) {
  (void)k;
  float *x = ef_guard_alloc(4 * sizeof *x);
  x[4] = 0.0f;
  ef_guard_free(x);
}

Test(guard, a_spoilt_buffer_is_not_freed_in_silence) {
  assert_aborts(free_overwritten, NULL,
                "guard: ef_guard_free: a buffer of 16 bytes was overwritten at byte 16");
}
