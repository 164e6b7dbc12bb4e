#include "doctor/doctor.h"

#include "base/memory.h"
#include "doctor/cores.h"
#include "doctor/exchange.h"
#include "doctor/folder.h"
#include "doctor/hdf5.h"
#include "doctor/launch.h"
#include "doctor/watch.h"
#include "kernels/blas/threads.h"
#include "launch/launch.h"
#include <stdlib.h>
#include <unistd.h>

/* Without a deck: what the smallest runs write, several times over. */
static const uint64_t LEAST_BYTES = 100000000;

/* The other ranks leave the word to the root. */
enum { ROOT_FIRST_S = 2 };

/* Everything of one visit. */
typedef struct visit {
  ef_par *par;
  const ef_doctor *doctor;
  ef_diagnosis found;
  ef_par_about about;
  ef_places places;
  ef_probe probe;
  ef_watch *watch;
  uint64_t rank_bytes, disk_bytes; /* of the plan, on the root; 0: no deck */
} visit;

/* ---- what hangs ---------------------------------------------------------------------------------------- */

static const char exchange_stage[] = "exchange", hdf5_stage[] = "parallel HDF5";

static void print_json(visit *v) {
  if (v->doctor->json && ef_par_root(v->par)) (void)ef_diagnosis_json(&v->found, v->par->size, stdout);
}

/* Called by the watchdog while this rank hangs: nothing after it. */
static void late(void *ctx, const char *stage) {
  visit *v = ctx;
  const char *advice =
      stage == exchange_stage
          ? "the network between the ranks: OMPI_MCA_btl_tcp_if_include names the right interface"
          : "the file system of this folder, or MPI-IO: try another folder, OMPI_MCA_io=romio321, or the "
            "lock "
            "daemon of NFS";
  if (ef_par_root(v->par)) {
    ef_diagnosis_add(&v->found, EF_HEALTH_FAIL, stage, advice, "%s%snot done by all ranks after %g s",
                     stage == hdf5_stage ? v->probe.folder : "", stage == hdf5_stage ? ": " : "",
                     v->doctor->patience);
    print_json(v);
    (void)ef_diagnosis_verdict(&v->found);
    fprintf(stderr, "edgefuse: %s\n", ef_message());
  }
  ef_probe_remove(&v->probe);
  ef_par_abort(v->par, ef_status_exit_code(EF_MACHINE));
}

/* ---- the checks ---------------------------------------------------------------------------------------- */

static ef_status make_plan(visit *v) {
  ef_plan plan;
  ef_launch launch = {.deck = v->doctor->deck,
                      .method = v->doctor->method,
                      .folder = v->doctor->folder,
                      .layout = ef_layout_of(v->par),
                      .json = v->doctor->json};
  EF_TRY(ef_launch_plan_make(&launch, false, &plan));
  v->rank_bytes = plan.peak_bytes;
  v->disk_bytes = plan.part_bytes + plan.checkpoint_bytes * (uint64_t)(v->doctor->deck->run.keep + 1);
  return EF_OK;
}

static ef_status check_ranks(visit *v) {
  EF_TRY(ef_places_gather(v->par, &v->about, &v->places));
  if (!ef_par_root(v->par)) return EF_OK;
  ef_launch_facts facts = ef_launch_facts_of(v->par->size, ef_env);
  ef_check_launch(&facts, ef_places_nodes(&v->places), v->about.host, &v->found);
  ef_check_mpi(&v->about, &v->found);
  ef_check_cores(&v->places, &v->found);
  ef_check_blas(ef_blas_flavour(), ef_blas_threads(), ef_env, &v->found);
  ef_check_memory(&v->places, v->rank_bytes, &v->found);
  return EF_OK;
}

static ef_status check_exchange(visit *v) {
  ef_watch_begin(v->watch, exchange_stage);
  ef_status status = ef_check_exchange(v->par, &v->found);
  ef_watch_end(v->watch);
  return status;
}

/* The root looks at space and library; what it finds decides for all. */
static ef_status check_folder(visit *v, bool *usable) {
  ef_h5_about h5;
  EF_TRY(ef_check_folder(v->par, &v->probe, &v->found, usable));
  EF_TRY(ef_agree(v->par, ef_h5_about_get(&h5)));
  if (ef_par_root(v->par)) {
    bool sound = ef_check_hdf5(&h5, &v->found), planned = v->doctor->deck != NULL;
    uint64_t need = planned ? v->disk_bytes : LEAST_BYTES;
    const char *why = planned ? "by the plan of the deck" : "at least";
    if (*usable) *usable = ef_check_space(&v->probe, need, why, &v->found);
    *usable = *usable && sound;
    if (!*usable)
      ef_diagnosis_add(&v->found, EF_HEALTH_WARN, hdf5_stage, "mend what failed before", "not tried");
  }
  return ef_bcast(v->par, 0, usable, sizeof *usable);
}

static ef_status check_files(visit *v) {
  bool usable = false;
  ef_watch_begin(v->watch, hdf5_stage);
  ef_probe_guard(&v->probe);
  ef_status status = check_folder(v, &usable);
  if (status == EF_OK && usable) status = ef_check_parallel_hdf5(v->par, &v->probe, &v->found);
  ef_probe_guard(NULL);
  ef_watch_end(v->watch);
  return status;
}

static ef_status check_all(visit *v) {
  ef_par *par = v->par;
  double patience = v->doctor->patience + (ef_par_root(par) ? 0 : ROOT_FIRST_S);
  if (v->doctor->deck) EF_TRY(ef_agree(par, ef_par_root(par) ? make_plan(v) : EF_OK));
  EF_TRY(ef_probe_place(par, v->doctor->folder, &v->probe));
  EF_TRY(check_ranks(v));
  EF_TRY(ef_agree(par, ef_watch_create(patience, late, v, &v->watch)));
  ef_status status = check_exchange(v);
  if (status == EF_OK) status = check_files(v);
  ef_watch_free(v->watch);
  return status;
}

/* A world of its own among many: one of them tells, and nothing else is worth looking at. */
static ef_status alone_in_a_crowd(visit *v, const ef_launch_facts *facts, bool *spoken) {
  *spoken = !ef_launch_speaks(facts);
  v->found.silent = v->found.silent || *spoken;
  ef_check_launch(facts, 1, v->about.host, &v->found);
  if (!*spoken) print_json(v);
  return ef_diagnosis_verdict(&v->found);
}

/* The root's verdict on all ranks. */
static ef_status share_verdict(visit *v) {
  char message[1024] = "";
  ef_status status = ef_par_root(v->par) ? ef_diagnosis_verdict(&v->found) : EF_OK;
  if (status != EF_OK) snprintf(message, sizeof message, "%s", ef_message());
  EF_TRY(ef_bcast(v->par, 0, message, sizeof message));
  return EF_CHECK(!message[0], EF_MACHINE, "%s", message);
}

ef_status ef_doctor_run(ef_par *par, const ef_doctor *doctor, bool *spoken) {
  visit v = {.par = par, .doctor = doctor, .found.silent = doctor->json || !ef_par_root(par)};
  *spoken = false;
  EF_TRY(ef_agree(par, ef_par_about_get(par, &v.about)));
  ef_launch_facts facts = ef_launch_facts_of(par->size, ef_env);
  if (ef_launch_split(&facts)) return alone_in_a_crowd(&v, &facts, spoken);
  ef_status status = check_all(&v);
  ef_places_free(&v.places);
  EF_TRY(status);
  print_json(&v);
  return share_verdict(&v);
}

bool ef_doctor_stranded(bool json) {
  ef_launch_facts facts = ef_launch_facts_of(1, ef_env);
  if (!ef_launch_split(&facts) || getenv("PMIX_NAMESPACE") || getenv("PMI_FD") || facts.managed > 0)
    return false;
  ef_diagnosis found = {.silent = json || !ef_launch_speaks(&facts)};
  ef_check_launch(&facts, 1, "", &found);
  if (!ef_launch_speaks(&facts)) return true;
  if (json) (void)ef_diagnosis_json(&found, 1, stdout);
  (void)ef_diagnosis_verdict(&found);
  fprintf(stderr, "edgefuse: %s\n", ef_message());
  return true;
}
