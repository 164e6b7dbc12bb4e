/* What every phase of a run shares: ranks, deck, kernels, text, folder, and when to stop.
 */
#pragma once

#include "deck/deck.h"
#include "kernels/kernels.h"
#include "par/par.h"
#include "par/stop.h"
#include "text/tokenizer.h"
#include "text/tokens.h"
#include "train/progress.h"

struct ef_run {
  ef_par *par;
  const ef_deck *deck;
  const ef_kernels *kernels;
  const char *folder; /* the run folder */
  /* What makes the result, for its checkpoints: the method's name and the sections of the deck that it reads.
   * NULL: a run without a method, and all sections. */
  const char *method, *sections;
  ef_tokens tokens;
  ef_tokenizer *tokenizer;
  /* Streams. Public text is cut by document into a part that is trained on and a holdout that guards and
   * selection look at; by_domain lists have tokens.domain_count entries, a domain without text an empty
   * stream. */
  ef_stream public_text, holdout;
  ef_stream *public_by_domain, *holdout_by_domain, *validation; /* owned */
  size_t steps;  /* optimiser steps behind the results that this rank has made or found */
  double gained; /* optimiser steps that all ranks have made since this start */
  ef_stop stop;
  bool stopping; /* this rank was told to stop: it saves its unit and goes to the next meeting point */
  double last_checkpoint; /* ef_clock of the last saved state on this rank */
  ef_progress_state progress;
};

/* Opens the token file of the folder and reads the streams. EF_MACHINE, EF_INPUT (public text shorter than
 * one window). Collective. */
ef_status ef_run_open(ef_par *par, const ef_deck *deck, const char *folder, ef_run *run);
void ef_run_close(ef_run *run);

/* Documents of the public text that are held out: a pure function of document number and seed. Local. */
bool ef_run_held_out(const ef_run *run, size_t document);

/* Path of a file below the run folder. Local. */
void ef_run_path(const ef_run *run, char *path, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Looks at signals, the stop file and the clock, without asking other ranks; sets run->stopping. Local. */
bool ef_run_told_to_stop(ef_run *run);

/* True once every run.checkpoint_every seconds: it is time to save. Local. */
bool ef_run_checkpoint_due(ef_run *run);

/* Meeting point at the end of a phase: EF_STOPPED on all ranks if any rank was told to stop, else the agreed
 * status. Collective. */
ef_status ef_run_meet(ef_run *run, ef_status status);

/* The identity of results that depend on these sections of the deck (as ef_deck_dump takes them), the seed
 * and the text: hexadecimal hash into `out` (33 bytes). Local. */
ef_status ef_run_identity(const ef_run *run, const char *sections, char out[33]);
