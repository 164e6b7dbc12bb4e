#include "store/h5_internal.h"

#include "base/build.h"
#include "base/file.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* First reservation: HDF5's own blocks and the metadata of the root. */
enum { SLACK_BYTES = 1 << 20 };

/* The name while it is written; to be freed. NULL: out of memory. */
static char *temporary_name(const char *path) {
  size_t n = strlen(path) + sizeof ".tmp";
  char *name = ef_alloc(n, 1);
  if (name) snprintf(name, n, "%s.tmp", path);
  return name;
}

static ef_status new_file(const char *path, bool writing, ef_h5 **out) {
  ef_h5 *file = NULL;
  EF_TRY(EF_NEW(file, 1));
  file->id = H5I_INVALID_HID;
  file->comm = MPI_COMM_NULL;
  file->ranks = 1;
  file->writing = writing;
  file->path = ef_strdup(path);
  file->temporary = temporary_name(path);
  *out = file;
  return EF_CHECK(file->path && file->temporary, EF_MACHINE, "%s: out of memory", path);
}

/* HDF5 takes chunks and metadata from the heap in turn, so that what it frees lies between what it keeps. */
static void free_file(ef_h5 *file) {
  if (file->comm != MPI_COMM_NULL) MPI_Comm_free(&file->comm);
  ef_free(file->path);
  ef_free(file->temporary);
  ef_free(file);
  ef_memory_trim();
}

static ef_status join(ef_h5 *file, MPI_Comm comm) {
  int rc = MPI_Comm_dup(comm, &file->comm);
  EF_TRY(EF_CHECK(rc == MPI_SUCCESS, EF_MACHINE, "%s: MPI_Comm_dup failed", file->path));
  MPI_Comm_set_errhandler(file->comm, MPI_ERRORS_RETURN);
  MPI_Comm_rank(file->comm, &file->rank);
  MPI_Comm_size(file->comm, &file->ranks);
  return EF_OK;
}

/* No locks: a file never changes under its final name, and network file systems often refuse them. */
static hid_t access_list(ef_h5 *file) {
  hid_t list = H5Pcreate(H5P_FILE_ACCESS);
  bool ok = list >= 0 && H5Pset_libver_bounds(list, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST) >= 0 &&
            H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) >= 0 && H5Pset_file_locking(list, false, true) >= 0;
  if (ok && file->comm != MPI_COMM_NULL) {
    ef_h5_mpio_prepare();
    ok = H5Pset_fapl_mpio(list, file->comm, MPI_INFO_NULL) >= 0 &&
         H5Pset_all_coll_metadata_ops(list, true) >= 0 && H5Pset_coll_metadata_write(list, true) >= 0;
  } else if (ok && file->writing) {
    ok = ef_h5_use_driver(list, &file->error);
  }
  if (!ok && list >= 0) H5Pclose(list);
  return ok ? list : H5I_INVALID_HID;
}

/* Attributes stay in the object header, where a checksum covers them, however many they are. */
static hid_t creation_list(void) {
  hid_t list = H5Pcreate(H5P_FILE_CREATE);
  bool ok =
      list >= 0 && H5Pset_obj_track_times(list, false) >= 0 && H5Pset_attr_phase_change(list, 65535, 0) >= 0;
  if (!ok && list >= 0) H5Pclose(list);
  return ok ? list : H5I_INVALID_HID;
}

/* The root rank makes the file first by plain means, so that a missing folder is reported before MPI-IO
 * begins. */
static ef_status touch(const ef_h5 *file) {
  if (file->rank != 0) return EF_OK;
  int fd = open(file->temporary, O_CREAT | O_TRUNC | O_WRONLY, 0666);
  EF_TRY(EF_CHECK(fd >= 0, EF_MACHINE, "%s: cannot be created: %s", file->path, strerror(errno)));
  close(fd);
  return EF_OK;
}

static ef_status create_hdf5(ef_h5 *file) {
  hid_t access = access_list(file), creation = creation_list();
  if (access >= 0 && creation >= 0) file->id = H5Fcreate(file->temporary, H5F_ACC_TRUNC, creation, access);
  ef_status status = EF_H5_CHECK(file->id >= 0, EF_MACHINE, "%s: cannot be created", file->path);
  if (access >= 0) H5Pclose(access);
  if (creation >= 0) H5Pclose(creation);
  return status;
}

static ef_status put_header(ef_h5 *file, const ef_h5_header *header) {
  EF_TRY(ef_h5_set_text(file, "/", "format", "edgefuse"));
  EF_TRY(ef_h5_set_int(file, "/", "format_version", EF_FORMAT_VERSION));
  EF_TRY(ef_h5_set_text(file, "/", "kind", header->kind));
  EF_TRY(ef_h5_set_text(file, "/", "code_version", ef_build_version()));
  EF_TRY(ef_h5_set_text(file, "/", "code_revision", ef_build_revision()));
  EF_TRY(ef_h5_set_text(file, "/", "code_compiler", ef_build_compiler()));
  EF_TRY(ef_h5_set_int(file, "/", "ranks", header->ranks));
  hid_t root = H5Gopen2(file->id, "/", H5P_DEFAULT);
  ef_status status = EF_H5_CHECK(root >= 0, EF_MACHINE, "%s: no root group", file->path);
  if (status == EF_OK) {
    status = ef_h5_put_number(file, root, "seed", H5T_STD_U64LE, H5T_NATIVE_UINT64, &header->seed);
    H5Gclose(root);
  }
  EF_TRY(ef_h5_settle(file, status));
  return ef_h5_write_text(file, "/deck", "resolved deck, YAML", header->deck);
}

ef_status ef_h5_create(const char *path, MPI_Comm comm, const ef_h5_header *header, ef_h5 **out) {
  *out = NULL;
  ef_h5_silence();
  ef_h5 *file = NULL;
  ef_status status;
  EF_GO(ef_h5_agree(comm, new_file(path, true, &file)));
  EF_ASSERT(file);
  if (comm != MPI_COMM_NULL) EF_GO(ef_h5_agree(comm, join(file, comm)));
  EF_GO(ef_h5_settle(file, touch(file)));
  EF_GO(ef_h5_settle(file, ef_h5_reserve(file, SLACK_BYTES)));
  EF_GO(ef_h5_settle(file, create_hdf5(file)));
  EF_GO(put_header(file, header));
  *out = file;
  return EF_OK;
done:
  ef_h5_close(file);
  return status;
}

/* MPI-IO may lose a failed write without a word (seen with ompio): a collective file is read back before it
 * counts. */
static ef_status read_back(const ef_h5 *file) {
  ef_h5 *written = NULL;
  ef_status status = ef_h5_open(file->temporary, NULL, &written);
  if (status == EF_OK) status = ef_h5_verify(written);
  ef_h5_close(written);
  return status == EF_OK ? EF_OK : ef_context(EF_MACHINE, "%s: was not written whole", file->path);
}

static ef_status give_name(const ef_h5 *file) {
  if (file->comm != MPI_COMM_NULL) EF_TRY(read_back(file));
  ef_h5_release(file->temporary);
  return ef_file_commit(file->temporary, file->path);
}

static ef_status finish(ef_h5 *file) {
  EF_TRY(EF_CHECK(!file->broken, EF_FAULT, "%s: commit after a failed write", file->path));
  herr_t rc = H5Fflush(file->id, H5F_SCOPE_GLOBAL);
  EF_TRY(ef_h5_settle(file, EF_H5_CHECK(rc >= 0, EF_MACHINE, "%s: cannot be flushed", file->path)));
  EF_TRY(ef_h5_set_text(file, "/", "complete", EF_H5_END));
  rc = H5Fclose(file->id);
  file->id = H5I_INVALID_HID;
  EF_TRY(ef_h5_settle(file, EF_H5_CHECK(rc >= 0, EF_MACHINE, "%s: cannot be closed", file->path)));
  return ef_h5_settle(file, file->rank == 0 ? give_name(file) : EF_OK);
}

ef_status ef_h5_commit(ef_h5 *file) {
  ef_status status = finish(file);
  if (status == EF_OK) {
    free_file(file);
  } else {
    ef_h5_close(file);
  }
  return status;
}

void ef_h5_close(ef_h5 *file) {
  if (!file) return;
  if (file->writing && file->rank == 0 && file->temporary) unlink(file->temporary);
  if (file->id >= 0) H5Fclose(file->id);
  (void)ef_h5_mpio_error(); /* of a file that is dropped, no concern of the next one */
  H5Eclear2(H5E_DEFAULT);
  free_file(file);
}

void ef_h5_remove(const char *path) {
  char *temporary = temporary_name(path);
  unlink(path);
  if (temporary) unlink(temporary);
  ef_free(temporary);
}

static ef_status check_signature(ef_h5 *file) {
  static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
  unsigned char head[8] = {0};
  struct stat info;
  int fd = open(file->path, O_RDONLY | O_NONBLOCK);
  EF_TRY(EF_CHECK(fd >= 0, EF_CHECKPOINT, "%s: %s", file->path, strerror(errno)));
  bool regular = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  ssize_t n = regular ? read(fd, head, sizeof head) : 0;
  close(fd);
  EF_TRY(EF_CHECK(regular, EF_CHECKPOINT, "%s: not a regular file", file->path));
  file->bytes = (size_t)info.st_size;
  return EF_CHECK(n == 8 && memcmp(head, signature, 8) == 0, EF_CHECKPOINT, "%s: not an HDF5 file (%s)",
                  file->path, n < 8 ? "too short" : "wrong signature");
}

static ef_status open_hdf5(ef_h5 *file) {
  hid_t access = access_list(file);
  if (access >= 0) file->id = H5Fopen(file->path, H5F_ACC_RDONLY, access);
  ef_status status = EF_H5_CHECK(file->id >= 0, EF_CHECKPOINT, "%s: damaged or cut short", file->path);
  if (access >= 0) H5Pclose(access);
  return status;
}

/* EF_OK if the root has the text attribute `name` with the value `wanted`; else the message `fmt` with its
 * value. */
static ef_status expect_text(ef_h5 *file, const char *name, const char *wanted, const char *complaint) {
  char *text = NULL;
  if (H5Aexists_by_name(file->id, "/", name, H5P_DEFAULT) > 0) EF_TRY(ef_h5_get_text(file, "/", name, &text));
  ef_status status =
      EF_CHECK(text && strcmp(text, wanted) == 0, EF_CHECKPOINT, "%s: %s (attribute %s is %s%s%s)",
               file->path, complaint, name, text ? "\"" : "", text ? text : "absent", text ? "\"" : "");
  ef_free(text);
  return status;
}

static ef_status check_header(ef_h5 *file, const char *kind) {
  int64_t version = 0;
  EF_TRY(expect_text(file, "format", "edgefuse", "an HDF5 file, but not of edgefuse"));
  EF_TRY(ef_h5_get_int(file, "/", "format_version", &version));
  EF_TRY(EF_CHECK(version <= EF_FORMAT_VERSION, EF_CHECKPOINT,
                  "%s: format version %lld is newer than this program (%d); use a newer edgefuse", file->path,
                  (long long)version, EF_FORMAT_VERSION));
  EF_TRY(EF_CHECK(version >= 1, EF_CHECKPOINT, "%s: format version %lld is unknown", file->path,
                  (long long)version));
  EF_TRY(expect_text(file, "complete", EF_H5_END, "incomplete, its writing never ended"));
  if (!kind) return EF_OK;
  char complaint[128];
  snprintf(complaint, sizeof complaint, "not a file of kind \"%s\"", kind);
  return expect_text(file, "kind", kind, complaint);
}

ef_status ef_h5_open(const char *path, const char *kind, ef_h5 **out) {
  *out = NULL;
  ef_h5_silence();
  ef_h5 *file = NULL;
  ef_status status;
  EF_GO(new_file(path, false, &file));
  EF_GO(check_signature(file));
  EF_GO(open_hdf5(file));
  EF_GO(check_header(file, kind));
  *out = file;
  return EF_OK;
done:
  ef_h5_close(file);
  return status;
}
