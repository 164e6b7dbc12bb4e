#include "deck/fields.h"

#include "base/memory.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* ---- texts ---------------------------------------------------------------------------------- */

/* Decodes one code point of valid UTF-8 (libyaml has checked it) and returns its bytes. */
static size_t code_point(const unsigned char *text, uint32_t *point) {
  if (text[0] < 0x80) {
    *point = text[0];
    return 1;
  }
  size_t n = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
  *point = text[0] & (0x7Fu >> n);
  for (size_t i = 1; i < n; i++) *point = *point << 6 | (text[i] & 0x3Fu);
  return n;
}

/* Control characters, line separators and the byte order mark do not stand in YAML as they are. */
static bool needs_escape(uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point <= 0xA0) || point == 0x2028 || point == 0x2029 ||
         point == 0xFEFF || point == 0xFFFE || point == 0xFFFF;
}

static void quote(FILE *out, const char *text) {
  fputc('"', out);
  for (const char *at = text; *at;) {
    uint32_t point;
    size_t n = code_point((const unsigned char *)at, &point);
    if (point == '"' || point == '\\') {
      fprintf(out, "\\%c", (int)point);
    } else if (needs_escape(point)) {
      fprintf(out, "\\U%08X", (unsigned)point);
    } else {
      fwrite(at, 1, n, out);
    }
    at += n;
  }
  fputc('"', out);
}

static bool is_plain(const char *text) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
  return strspn(text, letters) > 0 && strspn(text, safe) == strlen(text) && strcmp(text, "null") != 0;
}

static void put_text(FILE *out, const char *text) {
  if (is_plain(text)) {
    fputs(text, out);
  } else {
    quote(out, text);
  }
}

static void put_list(FILE *out, const ef_list *list) {
  fputc('[', out);
  for (size_t i = 0; i < list->count; i++) {
    if (i) fputs(", ", out);
    put_text(out, list->items[i]);
  }
  fputc(']', out);
}

/* ---- the deck ------------------------------------------------------------------------------- */

static void put_value(FILE *out, const ef_field *field, const void *base) {
  const void *at = (const char *)base + field->offset;
  char text[EF_REAL_BYTES];
  switch (field->kind) {
  case EF_KIND_INT:
    fprintf(out, "%lld", (long long)*(const int64_t *)at);
    break;
  case EF_KIND_REAL:
    fputs(ef_real_text(*(const double *)at, text), out);
    break;
  case EF_KIND_BOOL:
    fputs(*(const bool *)at ? "true" : "false", out);
    break;
  case EF_KIND_TEXT:
    put_text(out, *(char *const *)at);
    break;
  case EF_KIND_LIST:
    put_list(out, at);
    break;
  case EF_KIND_FAMILIES:
    break;
  }
}

static void put_families(FILE *out, const ef_deck *deck) {
  for (size_t i = 0; i < deck->federation.family_count; i++) {
    fputs("\n    - {", out);
    for (size_t f = 0; f < ef_family_field_count; f++) {
      fprintf(out, "%s%s: ", f ? ", " : "", ef_family_fields[f].key);
      put_value(out, &ef_family_fields[f], &deck->federation.families[i]);
    }
    fputc('}', out);
  }
}

/* True if `name` is one of the comma-separated words. */
static bool is_listed(const char *words, const char *name) {
  size_t length = strlen(name);
  for (const char *at = words; *at;) {
    size_t n = strcspn(at, ",");
    if (n == length && strncmp(at, name, n) == 0) return true;
    at += n + (at[n] == ',');
  }
  return false;
}

static bool is_left_out(const char *words, const ef_field *field) {
  char word[128];
  snprintf(word, sizeof word, "-%s.%s", field->section, field->key);
  return words && is_listed(words, word);
}

static void put_section(FILE *out, const char *section, const ef_deck *deck, const char *words) {
  fprintf(out, "%s:\n", section);
  for (size_t i = 0; i < ef_field_count; i++) {
    if (strcmp(ef_fields[i].section, section) != 0 || is_left_out(words, &ef_fields[i])) continue;
    bool families = ef_fields[i].kind == EF_KIND_FAMILIES;
    fprintf(out, "  %s:%s", ef_fields[i].key, families ? "" : " ");
    if (families) {
      put_families(out, deck);
    } else {
      put_value(out, &ef_fields[i], deck);
    }
    fputc('\n', out);
  }
}

ef_status ef_deck_dump(const ef_deck *deck, const char *sections, char **yaml) {
  char *text = NULL;
  size_t size = 0;
  *yaml = NULL;
  FILE *out = open_memstream(&text, &size);
  if (!out) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: text of the deck");
  for (size_t i = 0; i < ef_section_count; i++) {
    const char *name = ef_sections[i].name;
    if (!sections || is_listed(sections, name)) put_section(out, name, deck, sections);
  }
  if (fclose(out) == 0) *yaml = ef_strdup(text);
  free(text);
  return EF_CHECK(*yaml != NULL, EF_MACHINE, "out of memory: text of the deck");
}
