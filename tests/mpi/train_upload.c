/* Uploads over ranks: the root receives exactly the owner's numbers, and a failing owner ends it everywhere.
 */
#include "base/memory.h"
#include "federation/upload.h"
#include "support/mpi_test.h"
#include "support/support.h"
#include "support/tiny_run.h"
#include "train/block_file.h"
#include "train/part.h"
#include <string.h>
#include <unistd.h>

enum { DEVICES = 6 };

static ef_par par;
static tiny_run t;
static ef_population population;
static ef_ledger ledger;
static ef_device_record records[DEVICES];
static int owner[DEVICES];
static ef_devices devices = {.count = DEVICES, .owner = owner, .records = records};

static void open_run(const char *wire) {
  const char *overrides[] = {"federation.devices=6", "fusion.clusters=5", "global.experts=5", wire, NULL};
  cr_assert(mpi_all(ef_par_start(NULL, NULL, &par) == EF_OK));
  tiny_run_open(&t, &par, overrides);
  ef_status status = ef_population_make(&t.run, &population);
  if (status == EF_OK) status = ef_ledger_create(DEVICES, &ledger);
  cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
  for (int n = 0; n < DEVICES; n++) owner[n] = (n + 1) % par.size;
}

static void close_run(void) {
  ef_ledger_free(&ledger);
  ef_population_free(&population);
  tiny_run_close(&t);
  ef_par_finish(&par);
}

/* The numbers of device n, known to all ranks. */
static ef_model model_of(size_t n) {
  ef_model model = {0};
  cr_assert(mpi_all(ef_model_create(&population.dims[population.entry[n]], &model) == EF_OK));
  for (size_t i = 0; i < model.table.count; i++) {
    const ef_tensor *tensor = &model.table.tensors[i];
    test_fill(model.params + tensor->offset, tensor->count, 1.0f, (unsigned)(100 * n + i));
  }
  ef_upload_round(&t.run, &model);
  return model;
}

static ef_part_key key_of(size_t n) {
  return (ef_part_key){.kind = EF_UNIT_DEVICE, .index = n, .sections = EF_DEVICE_SECTIONS};
}

static ef_status write_model(void *ctx, ef_h5 *file) {
  const ef_model *model = ctx;
  return ef_block_write(file, "/model", &model->table, model->params, EF_BLOCK_ALL, true, "parameter");
}

static void write_devices(void) {
  for (size_t n = 0; n < DEVICES; n++) {
    ef_model model = model_of(n);
    ef_part_key key = key_of(n);
    bool mine = owner[n] == par.rank;
    ef_status status =
        mine ? ef_part_write(&t.run, &key, false, &(ef_part_content){&model, write_model}) : EF_OK;
    cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
    ef_model_free(&model);
  }
}

static void check_uploads(const char *wire) {
  uint64_t bytes = 0;
  open_run(wire);
  write_devices();
  for (size_t n = 0; n < DEVICES; n++) {
    ef_model sent = model_of(n), arrived;
    cr_assert(mpi_all(ef_model_create(&sent.dims, &arrived) == EF_OK));
    ef_status status = ef_upload_weights(&t.run, &population, &devices, n, &ledger, &arrived);
    cr_assert(mpi_all(status == EF_OK), "%s", ef_message());
    bool same = memcmp(sent.params, arrived.params, sent.table.floats * sizeof(float)) == 0;
    cr_assert(mpi_all(same || par.rank != 0), "device %zu", n);
    bytes += ef_upload_formula(&t.deck, &sent.dims);
    ef_model_free(&sent);
    ef_model_free(&arrived);
  }
  cr_assert(mpi_all(ef_ledger_total(&ledger, EF_UP) == (par.rank == 0 ? bytes : 0)));
  close_run();
}

MPI_TEST(train_upload, float32_arrives) { check_uploads("federation.wire=float32"); }
MPI_TEST(train_upload, bfloat16_arrives) { check_uploads("federation.wire=bfloat16"); }

MPI_TEST(train_upload, a_lost_part_ends_it_on_all_ranks) {
  char path[4096];
  open_run("federation.wire=float32");
  write_devices();
  for (size_t n = 0; n < DEVICES; n++) {
    ef_part_key key = key_of(n);
    ef_part_path(&t.run, &key, false, path, sizeof path);
    cr_assert(mpi_all(owner[n] != par.rank || unlink(path) == 0));
    ef_model arrived = model_of(n);
    size_t blocks = ef_memory_blocks();
    ef_status status = ef_upload_weights(&t.run, &population, &devices, n, &ledger, &arrived);
    cr_assert(mpi_all(status != EF_OK));
    cr_assert(mpi_all(strstr(ef_message(), path) != NULL), "%s", ef_message());
    cr_assert(mpi_all(ef_ledger_total(&ledger, EF_UP) == 0 && ef_memory_blocks() == blocks));
    ef_model_free(&arrived);
  }
  close_run();
}
