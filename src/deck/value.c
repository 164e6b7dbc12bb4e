#include "deck/reader.h"

#include "base/memory.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *unit_of(const ef_field *field) { return strcmp(field->unit, "1") == 0 ? "" : field->unit; }

static ef_status fail_range(const ef_field *field, const char *text) {
  const char *unit = unit_of(field), *space = *unit ? " " : "";
  if (field->kind == EF_KIND_INT) {
    return ef_fail(EF_DECK, __FILE__, __LINE__, "%s is out of range [%lld, %lld]%s%s", text,
                   (long long)field->integer_least, (long long)field->integer_greatest, space, unit);
  }
  char least[EF_REAL_BYTES], greatest[EF_REAL_BYTES];
  return ef_fail(EF_DECK, __FILE__, __LINE__, "%s is out of range [%s, %s]%s%s", text,
                 ef_real_text(field->real_least, least), ef_real_text(field->real_greatest, greatest), space,
                 unit);
}

/* The text of a scalar that must be a number or a truth value: plain, not quoted. */
static ef_status plain_text(const yaml_node_t *node, const char *wanted, const char **text) {
  *text = ef_yaml_scalar(node);
  if (!*text || ef_yaml_is_null(node)) {
    return ef_fail(EF_DECK, __FILE__, __LINE__, "wants %s, has %s", wanted, ef_yaml_kind(node));
  }
  return EF_CHECK(node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE, EF_DECK,
                  "wants %s, has the quoted text \"%s\"", wanted, *text);
}

/* Digits, sign, point and exponent only: no "nan", "inf" or hexadecimal. */
static bool looks_like_number(const char *text) {
  return *text && strspn(text, "0123456789+-.eE") == strlen(text);
}

static ef_status assign_int(const ef_field *field, const yaml_node_t *node, int64_t *value) {
  const char *text;
  EF_TRY(plain_text(node, "a whole number", &text));
  char *end;
  errno = 0;
  long long number = strtoll(text, &end, 10);
  EF_TRY(
      EF_CHECK(looks_like_number(text) && *end == '\0', EF_DECK, "wants a whole number, has \"%s\"", text));
  bool inside = errno == 0 && number >= field->integer_least && number <= field->integer_greatest;
  if (!inside) return fail_range(field, text);
  *value = number;
  return EF_OK;
}

static ef_status assign_real(const ef_field *field, const yaml_node_t *node, double *value) {
  const char *text;
  EF_TRY(plain_text(node, "a number", &text));
  char *end;
  double number = strtod(text, &end);
  EF_TRY(EF_CHECK(looks_like_number(text) && *end == '\0', EF_DECK, "wants a number, has \"%s\"", text));
  bool inside = isfinite(number) && number >= field->real_least && number <= field->real_greatest;
  if (!inside) return fail_range(field, text);
  *value = number;
  return EF_OK;
}

static ef_status assign_bool(const yaml_node_t *node, bool *value) {
  const char *text;
  EF_TRY(plain_text(node, "true or false", &text));
  *value = strcmp(text, "true") == 0;
  return EF_CHECK(*value || strcmp(text, "false") == 0, EF_DECK, "wants true or false, has \"%s\"", text);
}

static bool is_choice(const char *choices, const char *value) {
  size_t length = strlen(value);
  for (const char *at = choices; *at;) {
    size_t n = strcspn(at, "|");
    if (n == length && strncmp(at, value, n) == 0) return true;
    at += n + (at[n] == '|');
  }
  return false;
}

static ef_status copy_text(const yaml_node_t *node, char **copy) {
  const char *text = ef_yaml_scalar(node);
  bool empty = text && *text == '\0', good = !node || (text && (empty || !ef_yaml_is_null(node)));
  EF_TRY(EF_CHECK(good, EF_DECK, "wants a text, has %s", ef_yaml_kind(node)));
  *copy = ef_strdup(text ? text : "");
  return EF_CHECK(*copy != NULL, EF_MACHINE, "out of memory: text of the deck");
}

static ef_status assign_text(const ef_field *field, const yaml_node_t *node, char **value) {
  char *copy = NULL;
  EF_TRY(copy_text(node, &copy));
  if (!*field->choices || is_choice(field->choices, copy)) {
    ef_free(*value);
    *value = copy;
    return EF_OK;
  }
  ef_nearest near = ef_nearest_to(copy);
  ef_nearest_try_all(&near, field->choices);
  ef_status status =
      ef_fail(EF_DECK, __FILE__, __LINE__, "\"%s\" is not one of %s%s", copy, field->choices, near.text);
  ef_free(copy);
  return status;
}

static ef_status assign_list(const ef_field *field, yaml_document_t *document, const yaml_node_t *node,
                             void *base) {
  if (!node || node->type != YAML_SEQUENCE_NODE) {
    return ef_fail(EF_DECK, __FILE__, __LINE__, "wants a list such as [a, b], has %s", ef_yaml_kind(node));
  }
  ef_field_free(field, base);
  ef_list *list = (ef_list *)(void *)((char *)base + field->offset);
  size_t count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
  EF_TRY(EF_NEW(list->items, count));
  for (; list->count < count; list->count++) {
    yaml_node_t *item = yaml_document_get_node(document, node->data.sequence.items.start[list->count]);
    EF_TRY(copy_text(item, &list->items[list->count]));
  }
  return EF_OK;
}

ef_status ef_value_assign(const ef_field *field, yaml_document_t *document, const yaml_node_t *node,
                          void *base) {
  void *at = (char *)base + field->offset;
  switch (field->kind) {
  case EF_KIND_INT:
    return assign_int(field, node, at);
  case EF_KIND_REAL:
    return assign_real(field, node, at);
  case EF_KIND_BOOL:
    return assign_bool(node, at);
  case EF_KIND_TEXT:
    return assign_text(field, node, at);
  case EF_KIND_LIST:
    return assign_list(field, document, node, base);
  case EF_KIND_FAMILIES:
    break;
  }
  return ef_fail(EF_FAULT, __FILE__, __LINE__, "%s.%s: not a value", field->section, field->key);
}
