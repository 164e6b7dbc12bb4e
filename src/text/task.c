#include "text/task.h"

#include "base/memory.h"
#include "text/json_lines.h"
#include "text/names.h"
#include <stdio.h>
#include <string.h>

static const char *const kinds[] = {[EF_TASK_MCQ] = "mcq", [EF_TASK_QA] = "qa"};

ef_status ef_task_kind_find(const char *name, ef_task_kind *kind) {
  *kind = strcmp(name, kinds[EF_TASK_QA]) == 0 ? EF_TASK_QA : EF_TASK_MCQ;
  return EF_CHECK(strcmp(name, kinds[*kind]) == 0, EF_USAGE, "no task '%s'; there are mcq and qa", name);
}

const char *ef_task_kind_name(ef_task_kind kind) { return kinds[kind]; }

/* ---- fields ------------------------------------------------------------------------------------------- */

static ef_status copy_text(const char *text, char **copy) {
  *copy = ef_strdup(text);
  return EF_CHECK(*copy, EF_MACHINE, "out of memory: a text of %zu bytes", strlen(text));
}

static ef_status copy_place(const ef_line *line, char **place) {
  size_t room = strlen(line->path) + 32;
  EF_TRY(EF_NEW(*place, room));
  snprintf(*place, room, "%s:%zu", line->path, line->number);
  return EF_OK;
}

static ef_status read_context(const ef_line *line, const json_t *object, ef_task_item *item) {
  const json_t *field = json_object_get(object, "context");
  if (!field || json_is_null(field)) return copy_text("", &item->context);
  EF_TRY(EF_AT_LINE(line, json_is_string(field), "\"context\" is no string"));
  bool empty = ef_blank(json_string_value(field), json_string_length(field));
  return copy_text(empty ? "" : json_string_value(field), &item->context);
}

static ef_status read_choices(const ef_line *line, const json_t *object, ef_task_item *item) {
  const json_t *list = json_object_get(object, "choices");
  size_t count = json_array_size(list);
  EF_TRY(EF_AT_LINE(line, list, "no \"choices\" in this line; multiple choice needs two or more"));
  EF_TRY(EF_AT_LINE(line, json_is_array(list), "\"choices\" is no list"));
  EF_TRY(EF_AT_LINE(line, count >= 2, "\"choices\" has %zu of them; at least two are needed", count));
  EF_TRY(EF_NEW(item->candidates, count));
  for (; item->candidate_count < count; item->candidate_count++) {
    size_t i = item->candidate_count;
    const json_t *choice = json_array_get(list, i);
    EF_TRY(EF_AT_LINE(line, json_is_string(choice), "\"choices\": number %zu is no string", i));
    EF_TRY(EF_AT_LINE(line, !ef_blank(json_string_value(choice), json_string_length(choice)),
                      "\"choices\": number %zu is empty", i));
    EF_TRY(copy_text(json_string_value(choice), &item->candidates[i]));
  }
  return EF_OK;
}

static ef_status read_mcq(const ef_line *line, const json_t *object, ef_task_item *item) {
  EF_TRY(read_choices(line, object, item));
  const json_t *answer = json_object_get(object, "answer");
  EF_TRY(EF_AT_LINE(line, answer, "no \"answer\" in this line"));
  EF_TRY(EF_AT_LINE(line, json_is_integer(answer),
                    "\"answer\" is no whole number; it is the index of the right choice, from 0"));
  json_int_t right = json_integer_value(answer);
  EF_TRY(EF_AT_LINE(line, right >= 0 && (size_t)right < item->candidate_count,
                    "\"answer\" is %lld; the choices have the indices 0 to %zu", (long long)right,
                    item->candidate_count - 1));
  item->right = (size_t)right;
  return EF_OK;
}

static ef_status read_qa(const ef_line *line, const json_t *object, ef_task_item *item) {
  const char *answer;
  EF_TRY(ef_json_text(line, object, "answer", &answer));
  EF_TRY(EF_NEW(item->candidates, 1));
  EF_TRY(copy_text(answer, &item->candidates[0]));
  item->candidate_count = 1;
  return EF_OK;
}

/* ---- items -------------------------------------------------------------------------------------------- */

static void free_item(ef_task_item *item) {
  ef_free(item->place);
  ef_free(item->question);
  ef_free(item->context);
  ef_names_free(item->candidates, item->candidate_count);
  *item = (ef_task_item){0};
}

static ef_status grow(ef_task *task) {
  if (task->count < task->capacity) return EF_OK;
  size_t capacity = task->capacity > 0 ? 2 * task->capacity : 64;
  ef_task_item *grown = ef_realloc(task->items, capacity, sizeof *grown);
  EF_TRY(EF_CHECK(grown, EF_MACHINE, "out of memory: %zu items", capacity));
  task->items = grown;
  task->capacity = capacity;
  return EF_OK;
}

static ef_status read_item(const ef_task *task, const ef_line *line, const json_t *object,
                           ef_task_item *item) {
  const char *question;
  EF_TRY(copy_place(line, &item->place));
  EF_TRY(ef_json_text(line, object, "question", &question));
  EF_TRY(copy_text(question, &item->question));
  EF_TRY(read_context(line, object, item));
  return task->kind == EF_TASK_MCQ ? read_mcq(line, object, item) : read_qa(line, object, item);
}

static ef_status number_domain(ef_task *task, const ef_line *line, const json_t *object, ef_task_item *item) {
  const char *domain = kinds[task->kind];
  bool added;
  EF_TRY(ef_json_name(line, object, "domain", NULL, &domain));
  EF_TRY(ef_name_index(&task->domains, &task->domain_count, domain, &item->domain, &added));
  for (size_t i = 0; added && i < task->count; i++) {
    if (task->items[i].domain >= item->domain) task->items[i].domain++;
  }
  return EF_OK;
}

static ef_status add_object(void *ctx, const ef_line *line, const json_t *object) {
  ef_task *task = ctx;
  ef_task_item item = {0};
  EF_TRY(grow(task));
  ef_status status = read_item(task, line, object, &item);
  if (status == EF_OK) status = number_domain(task, line, object, &item);
  if (status == EF_OK) {
    task->items[task->count++] = item;
  } else {
    free_item(&item);
  }
  return status;
}

ef_status ef_task_read(ef_task *task, const char *path) {
  char *data;
  size_t size, before = task->count;
  EF_TRY(ef_text_file_read(path, &data, &size));
  ef_status status = ef_json_lines_each(path, data, size, add_object, task);
  ef_free(data);
  EF_TRY(status);
  return EF_CHECK(task->count > before, EF_INPUT, "%s: no items in this file", path);
}

void ef_task_free(ef_task *task) {
  for (size_t i = 0; i < task->count; i++) free_item(&task->items[i]);
  ef_free(task->items);
  ef_names_free(task->domains, task->domain_count);
  *task = (ef_task){.kind = task->kind};
}
