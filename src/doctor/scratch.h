/* Folders of a verification: made new, and removed with all that is in them.
 */
#pragma once

#include "base/status.h"

/* Makes FOLDER if it is not there; *made says so. EF_USAGE if it holds FOLDER/<name> for one of `names`
 * (ended by NULL): an earlier verification's. EF_MACHINE. Local. */
ef_status ef_scratch_make(const char *folder, const char *const *names, bool *made);

/* Removes FOLDER/<name> for all of `names`, and FOLDER itself if `made` and nothing else is in it. What
 * cannot be removed stays. Local. */
void ef_scratch_remove(const char *folder, const char *const *names, bool made);
