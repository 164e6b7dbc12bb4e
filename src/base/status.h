/* Errors are values: every function that can fail returns an ef_status, and the message travels beside it.
 *
 * The message is one line for the user: what is wrong, where (file and line, dataset, device), what to do.
 * It is kept per thread, as errno is, so that no function needs an extra argument for it. Only main()
 * prints it and ends the process.
 */
#pragma once

#include <stdbool.h>

typedef enum ef_status {
#define EF_ERROR(name, code, text) EF_##name,
#include "base/errors.def"
#undef EF_ERROR
  EF_STATUS_COUNT
} ef_status;

/* Name ("DECK"), documented exit code and general text of a status. Local. */
const char *ef_status_name(ef_status status);
int ef_status_exit_code(ef_status status);
const char *ef_status_text(ef_status status);

/* Records the message of an error and where in the code it was raised; returns `status`. Local. */
ef_status ef_fail(ef_status status, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "<prefix>: " before the message recorded last; returns `status` unchanged. Callers add what they
 * know and the callee does not: the path, the device, the deck line. Local. */
ef_status ef_context(ef_status status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The message recorded last ("" if none), and the place in the code ("status.c:12"). Local. */
const char *ef_message(void);
const char *ef_message_place(void);

/* Replaces the recorded message as it stands; used to carry a message from another rank. Local. */
void ef_message_set(const char *message, const char *place);

/* Leaves the function with the status of `expr` if it is not EF_OK. */
#define EF_TRY(expr)                                                                                         \
  do {                                                                                                       \
    ef_status ef_try_status_ = (expr);                                                                       \
    if (ef_try_status_ != EF_OK) return ef_try_status_;                                                      \
  } while (0)

/* As EF_TRY, for functions that own resources: sets the local `status` and jumps to `done:`. */
#define EF_GO(expr)                                                                                          \
  do {                                                                                                       \
    status = (expr);                                                                                         \
    if (status != EF_OK) goto done;                                                                          \
  } while (0)

/* A status expression: EF_OK if `cond` holds, else `code` with a message. Never compiled out.
 * Use inside EF_TRY or EF_GO: EF_TRY(EF_CHECK(n > 0, EF_INPUT, "%s: no tokens", path)); */
#define EF_CHECK(cond, code, ...)                                                                            \
  ((cond) ? EF_OK : ((void)ef_fail((code), __FILE__, __LINE__, __VA_ARGS__), (code)))

/* A condition that only a fault of the program can break; checked in debug builds. */
#ifdef NDEBUG
#define EF_ASSERT(cond) ((void)0)
#else
#define EF_ASSERT(cond) ((cond) ? (void)0 : ef_assert_failed(#cond, __FILE__, __LINE__))
#endif
_Noreturn void ef_assert_failed(const char *cond, const char *file, int line);
