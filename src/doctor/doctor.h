/* Checks this machine and this launch: launch, MPI, cores, BLAS threads, memory, exchange, folder, space,
 * HDF5. What `edgefuse doctor` does.
 */
#pragma once

#include "deck/deck.h"
#include "doctor/diagnosis.h"
#include "methods/methods.h"
#include "par/par.h"

typedef struct ef_doctor {
  const char *folder;      /* where runs would be written; its next parent is taken if it is not there */
  const ef_deck *deck;     /* memory and space are compared with its plan; NULL: none */
  const ef_method *method; /* of that plan */
  double patience;         /* seconds that the exchange and the HDF5 file may take, each */
  bool json;
} ef_doctor;

/* Runs all checks; the root prints. EF_MACHINE names the checks that failed; *spoken is true where another
 * process reports for this one. What hangs ends all ranks with the code of EF_MACHINE. EF_DECK, EF_INPUT: the
 * deck cannot be planned. Collective. */
ef_status ef_doctor_run(ef_par *par, const ef_doctor *doctor, bool *spoken);

/* Before MPI starts, which would end the process with a page of its own text: true if srun started this
 * process among others without any PMI. One of them prints the finding. Local. */
bool ef_doctor_stranded(bool json);
