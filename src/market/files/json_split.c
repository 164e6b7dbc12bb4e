#include "market/files/json_split.h"

#include "base/memory.h"
#include "market/files/json_read.h"
#include <string.h>

/* Behind the string that begins at `at`, or the end of the text. */
static size_t skip_string(const ef_json_split *s, size_t at) {
  for (at++; at < s->bytes && s->text[at] != '"'; at++) {
    if (s->text[at] == '\\') at++;
  }
  return at < s->bytes ? at + 1 : s->bytes;
}

static size_t skip_blank(const ef_json_split *s, size_t at) {
  while (at < s->bytes && strchr(" \t\r\n", s->text[at]) && s->text[at]) at++;
  return at;
}

/* The comma or bracket that ends the element at `at`, or the end of the text. */
static size_t element_end(const ef_json_split *s, size_t at) {
  size_t depth = 0;
  while (at < s->bytes) {
    char c = s->text[at];
    if (c == '"') {
      at = skip_string(s, at);
      continue;
    }
    if (depth == 0 && (c == ',' || c == ']' || c == '}')) return at;
    if (c == '[' || c == '{') depth++;
    if (c == ']' || c == '}') depth--;
    at++;
  }
  return s->bytes;
}

/* Behind the opening bracket of the field's array, or 0. */
static size_t find_array(const ef_json_split *s, const char *field) {
  size_t depth = 0, length = strlen(field);
  for (size_t at = 0; at < s->bytes;) {
    char c = s->text[at];
    if (c != '"') {
      if (c == '{' || c == '[') depth++;
      if (c == '}' || c == ']') depth--;
      at++;
      continue;
    }
    size_t end = skip_string(s, at), colon = skip_blank(s, end);
    bool named = depth == 1 && end - at == length + 2 && memcmp(s->text + at + 1, field, length) == 0;
    if (named && colon < s->bytes && s->text[colon] == ':') {
      size_t open = skip_blank(s, colon + 1);
      return open < s->bytes && s->text[open] == '[' ? open + 1 : 0;
    }
    at = end;
  }
  return 0;
}

ef_json_split ef_json_split_make(const char *text, size_t bytes, const char *field) {
  ef_json_split s = {.text = text, .bytes = bytes}, none = s;
  size_t at = s.from = s.to = s.next = find_array(&s, field);
  if (s.from == 0) return none;
  size_t first = skip_blank(&s, s.from);
  if (first < bytes && text[first] == ']') {
    s.to = first;
    return s;
  }
  do {
    s.to = element_end(&s, at);
    at = s.to + 1;
    s.count++;
  } while (s.to < bytes && text[s.to] == ',');
  return s.to < bytes ? s : none;
}

ef_status ef_json_split_rest(const ef_json_split *s, json_t **object) {
  size_t cut = s->to - s->from, bytes = s->bytes - cut, byte = 0;
  char *rest;
  EF_TRY(EF_NEW(rest, bytes + 1));
  memcpy(rest, s->text, s->from);
  memcpy(rest + s->from, s->text + s->to, s->bytes - s->to);
  ef_status status = ef_json_load(rest, bytes, object, &byte);
  ef_free(rest);
  if (status == EF_OK) return EF_OK;
  return ef_json_locate(s->text, s->bytes, byte < s->from ? byte : byte + cut);
}

ef_status ef_json_split_next(ef_json_split *s, json_t **element) {
  size_t from = s->next, end = element_end(s, from), byte = 0;
  s->next = end + 1;
  if (ef_json_load(s->text + from, end - from, element, &byte) == EF_OK) return EF_OK;
  return ef_json_locate(s->text, s->bytes, from + byte);
}
