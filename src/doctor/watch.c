#include "doctor/watch.h"

#include "base/memory.h"
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

struct ef_watch {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  double seconds;
  void (*late)(void *ctx, const char *stage);
  void *ctx;
  const char *stage; /* NULL: nothing is watched */
  struct timespec due;
  bool over;
};

static struct timespec due_in(double seconds) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  double whole = floor(seconds);
  t.tv_sec += (time_t)whole;
  t.tv_nsec += (long)((seconds - whole) * 1e9);
  if (t.tv_nsec >= 1000000000) {
    t.tv_sec++;
    t.tv_nsec -= 1000000000;
  }
  return t;
}

static void *look(void *argument) {
  ef_watch *w = argument;
  pthread_mutex_lock(&w->lock);
  while (!w->over) {
    if (!w->stage) {
      pthread_cond_wait(&w->changed, &w->lock);
      continue;
    }
    const char *stage = w->stage;
    struct timespec due = w->due;
    int rc = pthread_cond_timedwait(&w->changed, &w->lock, &due);
    if (rc == ETIMEDOUT && !w->over && w->stage == stage && w->due.tv_sec == due.tv_sec &&
        w->due.tv_nsec == due.tv_nsec) {
      w->late(w->ctx, stage);
      w->stage = NULL;
    }
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

ef_status ef_watch_create(double seconds, void (*late)(void *ctx, const char *stage), void *ctx,
                          ef_watch **watch) {
  ef_watch *w = NULL;
  pthread_condattr_t attributes;
  EF_TRY(EF_NEW(w, 1));
  w->seconds = seconds;
  w->late = late;
  w->ctx = ctx;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&w->changed, &attributes);
  pthread_condattr_destroy(&attributes);
  pthread_mutex_init(&w->lock, NULL);
  int rc = pthread_create(&w->thread, NULL, look, w);
  if (rc != 0) {
    ef_free(w);
    return ef_fail(EF_MACHINE, __FILE__, __LINE__, "no thread can be started: %s", strerror(rc));
  }
  *watch = w;
  return EF_OK;
}

static void set(ef_watch *w, const char *stage, bool over) {
  pthread_mutex_lock(&w->lock);
  w->stage = stage;
  w->over = over;
  if (stage) w->due = due_in(w->seconds);
  pthread_cond_signal(&w->changed);
  pthread_mutex_unlock(&w->lock);
}

void ef_watch_begin(ef_watch *watch, const char *stage) { set(watch, stage, false); }

void ef_watch_end(ef_watch *watch) { set(watch, NULL, false); }

void ef_watch_free(ef_watch *watch) {
  if (!watch) return;
  set(watch, NULL, true);
  pthread_join(watch->thread, NULL);
  pthread_cond_destroy(&watch->changed);
  pthread_mutex_destroy(&watch->lock);
  ef_free(watch);
}
