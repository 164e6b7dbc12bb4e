/* Where the student's view meets the teacher's (deepfusion.md section 6.4): linear CKA of every pair of
 * stages, and the attention mass that each teacher's stage draws from each of the student's. If the views are
 * mismatched, the largest CKA of a stage lies off the diagonal, and the attention mass on the same cells.
 *
 * Measured on one batch of public text that is the same for all bases and at every time; training does not
 * notice.
 */
#pragma once

#include "fusion/teacher.h"

/* The matrices (J,J) of a base, one behind another. */
typedef enum ef_view {
  EF_VIEW_CKA_BEFORE,  /* (student's stage, teacher's stage), of the common start */
  EF_VIEW_CKA_AFTER,   /* and of the distilled base */
  EF_VIEW_MASS_BEFORE, /* (teacher's stage, student's stage), of the first attention; rows sum to 1 */
  EF_VIEW_MASS_AFTER,  /* and of the trained one; 0 where there is no attention */
  EF_VIEW_COUNT
} ef_view;

/* Fills the two matrices of `before` or after. `pass`: of the model's dims for fusion.batch windows of
 * global.context, with residuals; its activations are overwritten. EF_MACHINE. Local. */
ef_status ef_views_measure(const ef_run *run, ef_distiller *distiller, const ef_model *model, ef_pass *pass,
                           bool before, double *views);

/* Bytes that it takes meanwhile. For plans. Local. */
size_t ef_views_bytes(const ef_deck *deck, size_t student, size_t teacher);
