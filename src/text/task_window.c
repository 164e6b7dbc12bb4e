#include "text/task.h"

#include "base/memory.h"
#include <stdio.h>
#include <string.h>

static const char *joint_of(const ef_task_item *item) { return item->context[0] ? "\n" : ""; }

ef_status ef_task_prompt(const ef_task_item *item, char **text) {
  static const char *const form = "%s%sQuestion: %s\nAnswer:";
  int bytes = snprintf(NULL, 0, form, item->context, joint_of(item), item->question);
  EF_TRY(EF_CHECK(bytes >= 0, EF_INPUT, "%s: more than 2 GiB of prompt", item->place));
  EF_TRY(EF_NEW(*text, (size_t)bytes + 1));
  snprintf(*text, (size_t)bytes + 1, form, item->context, joint_of(item), item->question);
  return EF_OK;
}

/* A text as tokens. */
typedef struct piece {
  int32_t *ids;
  size_t count, bytes;
} piece;

static ef_status encode(const ef_tokenizer *tokenizer, const char *text, piece *p) {
  p->bytes = strlen(text);
  return ef_tokenizer_encode(tokenizer, text, p->bytes, &p->ids, &p->count);
}

static ef_status encode_prompt(const ef_tokenizer *tokenizer, const ef_task_item *item, piece *p) {
  char *text;
  EF_TRY(ef_task_prompt(item, &text));
  ef_status status = encode(tokenizer, text, p);
  ef_free(text);
  return status;
}

static ef_status encode_candidate(const ef_tokenizer *tokenizer, const char *candidate, piece *p) {
  char *text;
  size_t bytes = strlen(candidate);
  EF_TRY(EF_NEW(text, bytes + 2));
  snprintf(text, bytes + 2, " %s", candidate);
  ef_status status = encode(tokenizer, text, p);
  ef_free(text);
  return status;
}

/* BOS, the prompt without its first `cut` tokens, the continuation. */
static ef_status join(const piece *prompt, size_t cut, const piece *candidate, ef_task_window *w) {
  size_t kept = prompt->count - cut;
  w->count = 1 + kept + candidate->count;
  w->bytes = candidate->bytes;
  EF_TRY(EF_NEW(w->ids, w->count));
  EF_TRY(EF_NEW(w->scored, w->count));
  w->ids[0] = EF_TOKEN_BOS;
  memcpy(w->ids + 1, prompt->ids + cut, kept * sizeof *w->ids);
  memcpy(w->ids + 1 + kept, candidate->ids, candidate->count * sizeof *w->ids);
  for (size_t i = 1 + kept; i < w->count; i++) w->scored[i] = true;
  return EF_OK;
}

/* How much of the prompt goes for the longest candidate. */
static size_t cut_of(size_t prompt, const piece *candidates, size_t count, size_t most) {
  size_t longest = 0, kept = most / 4 < prompt ? most / 4 : prompt;
  for (size_t c = 0; c < count; c++) longest = candidates[c].count > longest ? candidates[c].count : longest;
  size_t whole = 1 + prompt + longest, wanted = whole > most ? whole - most : 0;
  return wanted < prompt - kept ? wanted : prompt - kept;
}

ef_status ef_task_windows(const ef_tokenizer *tokenizer, const ef_task_item *item, size_t most,
                          ef_task_window *windows, size_t *cut) {
  size_t count = item->candidate_count;
  piece prompt = {0}, *candidates;
  memset(windows, 0, count * sizeof *windows);
  EF_TRY(EF_NEW(candidates, count));
  ef_status status = encode_prompt(tokenizer, item, &prompt);
  for (size_t c = 0; status == EF_OK && c < count; c++) {
    status = encode_candidate(tokenizer, item->candidates[c], &candidates[c]);
  }
  *cut = status == EF_OK ? cut_of(prompt.count, candidates, count, most) : 0;
  for (size_t c = 0; status == EF_OK && c < count; c++) {
    status = join(&prompt, *cut, &candidates[c], &windows[c]);
  }
  for (size_t c = 0; c < count; c++) ef_free(candidates[c].ids);
  ef_free(candidates);
  ef_free(prompt.ids);
  if (status != EF_OK) ef_task_windows_free(windows, count);
  return status;
}

void ef_task_windows_free(ef_task_window *windows, size_t count) {
  for (size_t w = 0; w < count; w++) {
    ef_free(windows[w].ids);
    ef_free(windows[w].scored);
    windows[w] = (ef_task_window){0};
  }
}
