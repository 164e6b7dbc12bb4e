/* Tasks that a trained model is asked: multiple choice, and questions with an open answer. Their reader, and
 * the one place where an item becomes tokens.
 *
 * The prompt of an item is "Question: <question>\nAnswer:", with "<context>\n" before it if it has one. A
 * candidate (each of the choices, or the one answer) is the continuation " <candidate>". Prompt and
 * continuation are encoded one by one, so that the border between them is a border of tokens.
 */
#pragma once

#include "text/tokenizer.h"

typedef enum ef_task_kind { EF_TASK_MCQ, EF_TASK_QA } ef_task_kind;

/* The kind by its name ("mcq", "qa"). EF_USAGE. Local. */
ef_status ef_task_kind_find(const char *name, ef_task_kind *kind);
const char *ef_task_kind_name(ef_task_kind kind);

typedef struct ef_task_item {
  char *place;              /* "FILE:LINE", for messages */
  char *question, *context; /* UTF-8; context "" if none */
  char **candidates;        /* mcq: the choices; qa: the answer */
  size_t candidate_count;   /* mcq: 2 or more; qa: 1 */
  size_t right;             /* the candidate that is right */
  size_t domain;            /* index into the task's domains */
} ef_task_item;

typedef struct ef_task {
  ef_task_kind kind;
  size_t count, capacity;
  ef_task_item *items; /* owned; in the order of the files */
  size_t domain_count;
  char **domains; /* sorted in byte order; owned. An item without one: the kind's name */
} ef_task;

/* Appends the items of a file of JSON lines (start from a task zeroed but for its kind): "question",
 * "context" (may be absent), "domain"; mcq: "choices" (two or more texts) and "answer" (index of the
 * right one, from 0); qa: "answer" (text). Every line counts: one that is wrong is EF_INPUT with file, line
 * and field, and so is a file without items. Freed by ef_task_free, also after a failure. Local. */
ef_status ef_task_read(ef_task *task, const char *path);
void ef_task_free(ef_task *task);

/* The prompt of an item, counted memory, freed by the caller. EF_MACHINE. Local. */
ef_status ef_task_prompt(const ef_task_item *item, char **text);

/* One candidate as tokens: BOS, prompt, continuation. Token i is predicted from those before it. */
typedef struct ef_task_window {
  int32_t *ids; /* (count) owned */
  bool *scored; /* (count) whether the prediction of token i is scored: those of the continuation; owned */
  size_t count;
  size_t bytes; /* of the continuation, its space included */
} ef_task_window;

/* The windows (item->candidate_count) of an item, for passes over at most `most` tokens. What is too much is
 * cut from the head of the prompt behind BOS, never from a candidate, and for all candidates alike so that
 * they follow the same prompt: `*cut` tokens. The last most/4 tokens of a prompt stay; a candidate that does
 * not fit behind them makes a window of more than `most` tokens, to be scored in parts. EF_MACHINE. On
 * failure nothing is left behind. Local. */
ef_status ef_task_windows(const ef_tokenizer *tokenizer, const ef_task_item *item, size_t most,
                          ef_task_window *windows, size_t *cut);
void ef_task_windows_free(ef_task_window *windows, size_t count);
