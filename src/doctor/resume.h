/* Proves that stop and resume, also on another rank count, give the bits of a run that nothing stopped: what
 * `edgefuse verify-resume` does.
 *
 * FOLDER/whole is a run on all ranks. FOLDER/stopped is the same run, stopped in the middle of every kind of
 * training that it has, and resumed on fewer ranks and on all in turn. Then their files are compared.
 */
#pragma once

#include "methods/methods.h"

typedef struct ef_resume {
  const ef_deck *deck;
  const ef_method *method;
  const char *folder; /* scratch: made if it is not there */
  const char
      *against;    /* folder of an earlier verification, kept, whose whole run is compared too; NULL: none */
  int ranks_again; /* to resume on, 1 .. ranks; the others wait */
  bool keep;       /* the scratch folder stays; it stays too when something is wrong with its files */
  bool json;
} ef_resume;

/* EF_DIFFERS: not the same bits. EF_STOPPED: told to stop by a signal. EF_USAGE: the folder holds an earlier
 * verification. EF_DECK: also where no training is long enough to be stopped. Else what `train` returns.
 * Collective. */
ef_status ef_resume_verify(ef_par *par, const ef_resume *resume);
