/* Items of tasks: what is refused and where, and what an item is as tokens. */
#include "text/task.h"

#include "text_support.h"

enum { MOST = 1000 };

static ef_task read_kind(ef_task_kind kind, const char *data) {
  text_folder f = text_up();
  ef_task task = {.kind = kind};
  cr_ok(ef_task_read(&task, text_put(&f, "t.jsonl", data, strlen(data))));
  test_remove_folder(f.path);
  return task;
}

/* ---- the reader --------------------------------------------------------------------------------------- */

typedef struct bad_line {
  ef_task_kind kind;
  const char *line, *reason;
} bad_line;

#define Q "\"question\":\"q\""
#define C "\"choices\":[\"a\",\"b\"]"
static const bad_line bad_lines[] = {
    {EF_TASK_MCQ, "{" Q ",\"answer\":0}", "no \"choices\" in this line"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":null,\"answer\":0}", "\"choices\" is no list"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":\"ab\",\"answer\":0}", "\"choices\" is no list"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":{\"a\":1,\"b\":2},\"answer\":0}", "\"choices\" is no list"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":[],\"answer\":0}", "\"choices\" has 0 of them; at least two"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":[\"a\"],\"answer\":0}", "\"choices\" has 1 of them; at least two"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":[\"a\",2],\"answer\":0}", "\"choices\": number 1 is no string"},
    {EF_TASK_MCQ, "{" Q ",\"choices\":[\" \",\"b\"],\"answer\":0}", "\"choices\": number 0 is empty"},
    {EF_TASK_MCQ, "{" Q "," C "}", "no \"answer\" in this line"},
    {EF_TASK_MCQ, "{" Q "," C ",\"answer\":null}", "\"answer\" is no whole number"},
    {EF_TASK_MCQ, "{" Q "," C ",\"answer\":\"A\"}", "\"answer\" is no whole number"},
    {EF_TASK_MCQ, "{" Q "," C ",\"answer\":1.0}", "\"answer\" is no whole number"},
    {EF_TASK_MCQ, "{" Q "," C ",\"answer\":true}", "\"answer\" is no whole number"},
    {EF_TASK_MCQ, "{" Q "," C ",\"answer\":2}", "\"answer\" is 2; the choices have the indices 0 to 1"},
    {EF_TASK_MCQ, "{" Q "," C ",\"answer\":-1}", "\"answer\" is -1; the choices"},
    {EF_TASK_MCQ, "{" C ",\"answer\":0}", "no \"question\" in this line"},
    {EF_TASK_QA, "{\"answer\":\"a\"}", "no \"question\" in this line"},
    {EF_TASK_QA, "{\"question\":7,\"answer\":\"a\"}", "\"question\" is no string"},
    {EF_TASK_QA, "{\"question\":\"\\n\",\"answer\":\"a\"}", "\"question\" is empty"},
    {EF_TASK_QA, "{" Q "}", "no \"answer\" in this line"},
    {EF_TASK_QA, "{" Q ",\"answer\":1}", "\"answer\" is no string"},
    {EF_TASK_QA, "{" Q ",\"answer\":\"\"}", "\"answer\" is empty"},
    {EF_TASK_QA, "{" Q ",\"answer\":\" \\t\"}", "\"answer\" is empty"},
    {EF_TASK_QA, "{" Q ",\"answer\":\"a\",\"context\":[]}", "\"context\" is no string"},
    {EF_TASK_QA, "{" Q ",\"answer\":\"a\",\"domain\":1}", "\"domain\" is no string"},
    {EF_TASK_QA, "{" Q ",\"answer\":\"a\"", "not JSON"},
    {EF_TASK_QA, "[1]", "not a JSON object"},
    {EF_TASK_QA, "{" Q ",\"answer\":\"caf\xE9\"}", "not UTF-8"},
};

Test(task, bad_lines_are_refused_with_file_and_line) {
  text_folder f = text_up();
  for (size_t i = 0; i < sizeof bad_lines / sizeof *bad_lines; i++) {
    const bad_line *bad = &bad_lines[i];
    const char *good = bad->kind == EF_TASK_MCQ ? "{" Q "," C ",\"answer\":1}" : "{" Q ",\"answer\":\"a\"}";
    char data[512];
    int n = snprintf(data, sizeof data, "%s\n\n%s\n%s\n", good, bad->line, good);
    ef_task task = {.kind = bad->kind};
    ef_status status = ef_task_read(&task, text_put(&f, "t.jsonl", data, (size_t)n));
    cr_assert_eq(status, EF_INPUT, "not refused: %s", bad->line);
    cr_says("t.jsonl:3: ");
    cr_says(bad->reason);
    ef_task_free(&task);
    cr_assert_eq(ef_memory_blocks(), 0u, "%s", bad->line);
  }
  test_remove_folder(f.path);
}

Test(task, a_file_without_items_is_refused) {
  text_folder f = text_up();
  ef_task task = {.kind = EF_TASK_QA};
  cr_assert_eq(ef_task_read(&task, text_put(&f, "t.jsonl", " \n\n", 3)), EF_INPUT);
  cr_says("t.jsonl: no items in this file");
  cr_assert_eq(ef_task_read(&task, text_at(&f, "none.jsonl")), EF_INPUT);
  cr_says("none.jsonl");
  ef_task_free(&task);
  test_remove_folder(f.path);
}

Test(task, items_of_several_files_keep_their_order) {
  text_folder f = text_up();
  ef_task task = {.kind = EF_TASK_MCQ};
  static const char first[] =
      "\xEF\xBB\xBF{\"question\":\"one\",\"choices\":[\"x\",\"y\",\"z\"],\"answer\":2,"
      "\"domain\":\"sea\",\"context\":\" \"}\n"
      "{\"question\":\"two\",\"choices\":[\"x\",\"x\"],\"answer\":0}";
  static const char second[] = "{\"question\":\"three\",\"choices\":[\"x\",\"y\"],\"answer\":1,\"id\":4,"
                               "\"domain\":\"air\",\"context\":\"c\\nd\",\"extra\":[1]}\r\n";
  cr_ok(ef_task_read(&task, text_put(&f, "a.jsonl", first, sizeof first - 1)));
  cr_ok(ef_task_read(&task, text_put(&f, "b.jsonl", second, sizeof second - 1)));
  cr_assert(task.count == 3 && task.domain_count == 3);
  const ef_task_item *items = task.items;
  cr_assert_str_eq(task.domains[items[0].domain], "sea");
  cr_assert_str_eq(task.domains[items[1].domain], "mcq");
  cr_assert_str_eq(task.domains[items[2].domain], "air");
  cr_assert(items[0].candidate_count == 3 && items[0].right == 2 && items[1].right == 0);
  cr_assert_str_eq(items[0].candidates[2], "z");
  cr_assert_str_eq(items[0].context, "");
  cr_assert_str_eq(items[2].context, "c\nd");
  cr_assert_str_eq(items[2].question, "three");
  cr_assert_not_null(strstr(items[1].place, "a.jsonl:2"));
  ef_task_free(&task);
  cr_assert_eq(ef_memory_blocks(), 0u);
  test_remove_folder(f.path);
}

Test(task, kinds_have_names) {
  ef_task_kind kind;
  cr_ok(ef_task_kind_find("mcq", &kind));
  cr_assert_eq(kind, EF_TASK_MCQ);
  cr_ok(ef_task_kind_find("qa", &kind));
  cr_assert(kind == EF_TASK_QA && strcmp(ef_task_kind_name(kind), "qa") == 0);
  cr_assert_eq(ef_task_kind_find("essay", &kind), EF_USAGE);
  cr_says("no task 'essay'; there are mcq and qa");
}

/* ---- windows ------------------------------------------------------------------------------------------ */

/* A tokenizer of a text without the words of the items: they are spelled in short pieces. */
static ef_tokenizer *tokenizer_of(void) {
  static char text[8192];
  size_t n = 0;
  for (unsigned i = 0; n + 64 < sizeof text; i++) {
    n += (size_t)snprintf(text + n, sizeof text - n, "the tide %u comes in and Question: goes out. ", i % 97);
  }
  const char *texts[] = {text};
  ef_tokenizer *t;
  cr_ok(ef_tokenizer_train(texts, &n, 1, 300, &t));
  return t;
}

static void expect_text(const ef_tokenizer *t, const int32_t *ids, size_t count, const char *wanted) {
  char *text;
  size_t bytes;
  cr_ok(ef_tokenizer_decode(t, ids, count, &text, &bytes));
  cr_assert_str_eq(text, wanted);
  ef_free(text);
}

static size_t scored_from(const ef_task_window *w) {
  size_t first = 0;
  while (first < w->count && !w->scored[first]) first++;
  for (size_t i = first; i < w->count; i++) cr_assert(w->scored[i], "a hole at %zu", i);
  return first;
}

Test(task, only_the_candidate_is_scored) {
  ef_tokenizer *t = tokenizer_of();
  ef_task task =
      read_kind(EF_TASK_MCQ, "{\"question\":\"Who?\",\"choices\":[\"the tide\",\"a\"],\"answer\":0}\n"
                             "{\"question\":\"Who?\",\"context\":\"In.\",\"choices\":[\"b\",\"c\"],"
                             "\"answer\":0}\n");
  static const char *const prompts[] = {"Question: Who?\nAnswer:", "In.\nQuestion: Who?\nAnswer:"};
  static const char *const continuations[][2] = {{" the tide", " a"}, {" b", " c"}};
  for (size_t i = 0; i < 2; i++) {
    ef_task_window w[2];
    char *prompt;
    size_t cut = 99;
    cr_ok(ef_task_prompt(&task.items[i], &prompt));
    cr_assert_str_eq(prompt, prompts[i]);
    ef_free(prompt);
    cr_ok(ef_task_windows(t, &task.items[i], MOST, w, &cut));
    cr_assert_eq(cut, 0u);
    for (size_t c = 0; c < 2; c++) {
      size_t at = scored_from(&w[c]);
      cr_assert_eq(w[c].ids[0], EF_TOKEN_BOS);
      expect_text(t, w[c].ids + 1, at - 1, prompts[i]);
      expect_text(t, w[c].ids + at, w[c].count - at, continuations[i][c]);
      cr_assert_eq(w[c].bytes, strlen(continuations[i][c]));
    }
    ef_task_windows_free(w, 2);
  }
  ef_task_free(&task);
  ef_tokenizer_free(t);
}

Test(task, the_head_of_the_prompt_is_cut_for_all_choices_alike) {
  ef_tokenizer *t = tokenizer_of();
  ef_task task = read_kind(EF_TASK_MCQ, "{\"question\":\"tide in and out?\",\"choices\":[\"no\",\"zebras in "
                                        "xylophones\"],\"answer\":0}\n");
  ef_task_window whole[2], w[2];
  size_t none, cut;
  cr_ok(ef_task_windows(t, &task.items[0], MOST, whole, &none));
  size_t longest = whole[1].count, prompt = scored_from(&whole[1]);
  cr_assert(longest > whole[0].count);
  cr_ok(ef_task_windows(t, &task.items[0], longest, w, &cut));
  cr_assert_eq(cut, 0u);
  ef_task_windows_free(w, 2);
  for (size_t less = 1; less < prompt - (longest - less) / 4; less++) {
    cr_ok(ef_task_windows(t, &task.items[0], longest - less, w, &cut));
    cr_assert_eq(cut, less);
    for (size_t c = 0; c < 2; c++) {
      size_t rest = whole[c].count - 1 - less;
      cr_assert(w[c].count == rest + 1 && w[c].ids[0] == EF_TOKEN_BOS && w[c].bytes == whole[c].bytes);
      cr_assert_eq(scored_from(&w[c]), prompt - less);
      cr_assert(memcmp(w[c].ids + 1, whole[c].ids + 1 + less, rest * sizeof *w[c].ids) == 0);
    }
    ef_task_windows_free(w, 2);
  }
  for (size_t most = 2; most < longest - prompt; most++) { /* a quarter of the window stays of the prompt */
    cr_ok(ef_task_windows(t, &task.items[0], most, w, &cut));
    cr_assert(cut == prompt - 1 - most / 4 && w[1].count == longest - cut);
    ef_task_windows_free(w, 2);
  }
  ef_task_windows_free(whole, 2);
  ef_task_free(&task);
  ef_tokenizer_free(t);
}
