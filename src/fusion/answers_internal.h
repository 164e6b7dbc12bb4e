/* How the answers are cut into pieces; answers_make.c asks the teachers, answers.c reads what they said.
 */
#pragma once

#include "fusion/answers.h"
#include "store/h5.h"
#include "train/part.h"

#define EF_ANSWER_STEPS 16.0f /* codes of a nat */

enum { EF_READ_PUBLIC, EF_READ_GENERATED };

/* A text as the teachers read it. */
typedef struct ef_reading {
  const ef_stream *stream; /* NULL: no such text; borrowed */
  size_t T, stride;        /* tokens of a window, and from the start of one to the next */
} ef_reading;

/* Windows [first, end) of a text, which answer for `count` tokens from `from`. */
typedef struct ef_piece {
  const ef_reading *reading;
  size_t first, end, from, count;
} ef_piece;

/* readings (EF_ANSWERED_TEXTS); pieces are numbered through them. Pure. */
void ef_answers_readings(const ef_run *run, const ef_stream *generated, ef_reading *readings);
size_t ef_answers_pieces(const ef_reading *readings);
ef_piece ef_answers_piece(const ef_reading *readings, size_t unit);
/* First token that window w of a text answers for; behind the last window: its end. Pure. */
size_t ef_answers_from(const ef_reading *reading, size_t w);
ef_part_key ef_answers_part(size_t unit);

/* For `count` answers of the deck; freed by the caller, also on failure. EF_MACHINE. Local. */
ef_status ef_answer_table_create(const ef_run *run, size_t count, ef_answer_table *table);
void ef_answer_table_free(ef_answer_table *table);
/* The arrays of a part; reading, their shapes must be those of the table. EF_MACHINE, EF_CHECKPOINT. Local.
 */
ef_status ef_answer_table_write(const ef_answer_table *table, ef_h5 *file);
ef_status ef_answer_table_read(const ef_answer_table *table, ef_h5 *file);
