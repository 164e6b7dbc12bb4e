#include "doctor/folder.h"

#include "base/file.h"
#include "base/memory.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* How long a network file system may take to show a new file on another node. */
enum { LOOKS = 20, LOOK_US = 100000 };

static int create_file(const ef_probe *probe) {
  int fd = open(probe->path, O_CREAT | O_TRUNC | O_WRONLY, 0666);
  return fd < 0 || close(fd) != 0 ? errno : 0;
}

static bool sees(const ef_probe *probe) {
  for (int i = 0; i < LOOKS; i++) {
    if (ef_file_exists(probe->path)) return true;
    usleep(LOOK_US);
  }
  return false;
}

/* `error` of the root, and the ranks that see its file. */
static void report_folder(const ef_probe *probe, int error, const int64_t *seen, int ranks, ef_diagnosis *d) {
  static const char name[] = "folder";
  int blind = 0, first = 0;
  for (int r = ranks - 1; r >= 0; r--) {
    if (seen[r]) continue;
    blind++;
    first = r;
  }
  if (error != 0) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name, "name a folder that you may write with --out",
                     "%s: no file can be made: %s", probe->folder, strerror(error));
  } else if (blind > 0) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name,
                     "name a folder on a file system that all nodes share with --out",
                     "%s: %d of %d ranks do not see what rank 0 wrote there, rank %d is the first",
                     probe->folder, blind, ranks, first);
  } else {
    ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%s: can be written, all ranks see the same%s", probe->folder,
                     probe->parent ? " (the next parent that is there)" : "");
  }
}

ef_status ef_check_folder(ef_par *par, const ef_probe *probe, ef_diagnosis *d, bool *usable) {
  int64_t *seen = NULL;
  EF_TRY(ef_agree(par, EF_NEW(seen, (size_t)par->size)));
  ef_status status;
  int error = ef_par_root(par) ? create_file(probe) : 0;
  EF_GO(ef_bcast(par, 0, &error, sizeof error));
  int64_t mine = error == 0 && sees(probe);
  EF_GO(ef_allgather_i64(par, &mine, 1, seen));
  *usable = true;
  for (int r = 0; r < par->size; r++) *usable = *usable && seen[r];
  if (ef_par_root(par)) {
    report_folder(probe, error, seen, par->size, d);
    ef_probe_remove(probe);
  }
done:
  ef_free(seen);
  return status;
}

/* ---- space --------------------------------------------------------------------------------------------- */

/* Writes the trial into the open probe; 0 or the error number. */
static int write_trial(int fd) {
  static char block[1 << 16];
  memset(block, 0x5a, sizeof block);
  for (size_t done = 0; done < EF_TRIAL_BYTES;) {
    ssize_t n = write(fd, block, sizeof block);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 ? errno : ENOSPC;
    done += (size_t)n;
  }
  return fsync(fd) == 0 ? 0 : errno;
}

/* Reserves and writes; a file system that cannot reserve is only written. 0 or the error number. */
static int try_space(const ef_probe *probe, uint64_t need) {
  int fd = open(probe->path, O_CREAT | O_TRUNC | O_WRONLY, 0666), error = 0;
  if (fd < 0) return errno;
  off_t most = (off_t)(need < EF_RESERVE_MOST ? need : EF_RESERVE_MOST);
  if (fallocate(fd, 0, 0, most) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) error = errno;
  if (error == 0) error = write_trial(fd);
  if (close(fd) != 0 && error == 0) error = errno;
  return error;
}

bool ef_check_space(const ef_probe *probe, uint64_t need, const char *why, ef_diagnosis *d) {
  static const char name[] = "space";
  double need_mb = (double)need / 1e6, free_mb = (double)ef_disk_free(probe->folder) / 1e6;
  if (free_mb < need_mb) {
    ef_diagnosis_add(d, EF_HEALTH_FAIL, name, "free some space, or name another folder with --out",
                     "%s: %.0f MB free, %.0f MB needed %s", probe->folder, free_mb, need_mb, why);
    return false;
  }
  struct sigaction ignore = {.sa_handler = SIG_IGN}, before; /* a limit of the file size is an error then */
  sigaction(SIGXFSZ, &ignore, &before);
  int error = try_space(probe, need);
  sigaction(SIGXFSZ, &before, NULL);
  ef_probe_remove(probe);
  if (error != 0) {
    ef_diagnosis_add(
        d, EF_HEALTH_FAIL, name,
        "a quota or a limit of the file size (quota, ulimit -f): raise it, or name another folder "
        "with --out",
        "%s: %.0f MB free, but %.0f MB needed %s cannot be written: %s", probe->folder, free_mb, need_mb, why,
        strerror(error));
    return false;
  }
  ef_diagnosis_add(d, EF_HEALTH_OK, name, "", "%s: %.0f MB free, %.0f MB needed %s", probe->folder, free_mb,
                   need_mb, why);
  return true;
}
