/* Messages for people, on standard error. Standard output belongs to the result of a command (--json).
 *
 * Only the root rank speaks, unless EF_LOG_DEBUG is on. The level, and whether a line is open on the
 * terminal, are the process-wide state here.
 */
#pragma once

#include <stdbool.h>

typedef enum ef_log_level { EF_LOG_QUIET, EF_LOG_INFO, EF_LOG_VERBOSE, EF_LOG_DEBUG } ef_log_level;

/* Sets the level and whether this rank speaks. Local. */
void ef_log_setup(ef_log_level level, bool speaks);

/* True if a message of `level` would be printed by this rank. Local. */
bool ef_log_on(ef_log_level level);

/* Prints one line. Local. */
void ef_log(ef_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts `line` in the place of the terminal's last line, which stays open: the next message erases it. Only
 * for a standard error that is a terminal. Local. */
void ef_log_rewrite(const char *line);
/* Erases that line, if one is open, for messages that are not printed here. Local. */
void ef_log_erase(void);

/* Prints "edgefuse: warning: ..." at every level but quiet. Local. */
void ef_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
