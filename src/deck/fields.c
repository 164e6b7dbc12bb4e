#include "deck/fields.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of the .def files is one row; AT gives the place of the value. */
#define EF_SECTION(section, help)
#define EF_SECTION_END(section)
#define EF_INT_ROW(sec, k, paper, extended, by_recipe, least, greatest, u, h)                                \
  {.section = #sec,                                                                                          \
   .key = #k,                                                                                                \
   .help = h,                                                                                                \
   .unit = u,                                                                                                \
   .kind = EF_KIND_INT,                                                                                      \
   .offset = AT(sec, k),                                                                                     \
   .recipe = by_recipe,                                                                                      \
   .integer = {paper, extended},                                                                             \
   .integer_least = least,                                                                                   \
   .integer_greatest = greatest},
#define EF_REAL_ROW(sec, k, paper, extended, by_recipe, least, greatest, u, h)                               \
  {.section = #sec,                                                                                          \
   .key = #k,                                                                                                \
   .help = h,                                                                                                \
   .unit = u,                                                                                                \
   .kind = EF_KIND_REAL,                                                                                     \
   .offset = AT(sec, k),                                                                                     \
   .recipe = by_recipe,                                                                                      \
   .real = {paper, extended},                                                                                \
   .real_least = least,                                                                                      \
   .real_greatest = greatest},
#define EF_BOOL_ROW(sec, k, paper, extended, by_recipe, h)                                                   \
  {.section = #sec,                                                                                          \
   .key = #k,                                                                                                \
   .help = h,                                                                                                \
   .unit = "1",                                                                                              \
   .kind = EF_KIND_BOOL,                                                                                     \
   .offset = AT(sec, k),                                                                                     \
   .recipe = by_recipe,                                                                                      \
   .integer = {paper, extended}},
#define EF_TEXT(sec, k, value, values, h)                                                                    \
  {.section = #sec,                                                                                          \
   .key = #k,                                                                                                \
   .help = h,                                                                                                \
   .unit = "1",                                                                                              \
   .kind = EF_KIND_TEXT,                                                                                     \
   .offset = AT(sec, k),                                                                                     \
   .text = value,                                                                                            \
   .choices = values},
#define EF_LIST(sec, k, h)                                                                                   \
  {.section = #sec, .key = #k, .help = h, .unit = "1", .kind = EF_KIND_LIST, .offset = AT(sec, k)},
#define EF_FAMILIES(sec, k, h)                                                                               \
  {.section = #sec, .key = #k, .help = h, .unit = "1", .kind = EF_KIND_FAMILIES, .offset = AT(sec, k)},

#define EF_INT(sec, k, value, ...) EF_INT_ROW(sec, k, value, value, false, __VA_ARGS__)
#define EF_REAL(sec, k, value, ...) EF_REAL_ROW(sec, k, value, value, false, __VA_ARGS__)
#define EF_BOOL(sec, k, value, h) EF_BOOL_ROW(sec, k, value, value, false, h)
#define EF_RECIPE_INT(sec, k, paper, extended, ...) EF_INT_ROW(sec, k, paper, extended, true, __VA_ARGS__)
#define EF_RECIPE_REAL(sec, k, paper, extended, ...) EF_REAL_ROW(sec, k, paper, extended, true, __VA_ARGS__)
#define EF_RECIPE_BOOL(sec, k, paper, extended, h) EF_BOOL_ROW(sec, k, paper, extended, true, h)

#define AT(section, key) offsetof(ef_deck, section.key)
const ef_field ef_fields[] = {
#include "deck/fields.def"
};
#undef AT
#define AT(section, key) offsetof(ef_family_entry, key)
const ef_field ef_family_fields[] = {
#include "deck/families.def"
};
#undef AT

#undef EF_SECTION
#undef EF_INT
#undef EF_REAL
#undef EF_BOOL
#undef EF_TEXT
#undef EF_LIST
#undef EF_FAMILIES
#undef EF_RECIPE_INT
#undef EF_RECIPE_REAL
#undef EF_RECIPE_BOOL
#define EF_SECTION(section, help) {#section, help},
#define EF_INT(...)
#define EF_REAL(...)
#define EF_BOOL(...)
#define EF_TEXT(...)
#define EF_LIST(...)
#define EF_FAMILIES(...)
#define EF_RECIPE_INT(...)
#define EF_RECIPE_REAL(...)
#define EF_RECIPE_BOOL(...)
const ef_section ef_sections[] = {
#include "deck/fields.def"
};

const size_t ef_section_count = sizeof ef_sections / sizeof ef_sections[0];
const size_t ef_field_count = sizeof ef_fields / sizeof ef_fields[0];
const size_t ef_family_field_count = sizeof ef_family_fields / sizeof ef_family_fields[0];

const ef_section *ef_section_find(const char *name) {
  for (size_t i = 0; i < ef_section_count; i++) {
    if (strcmp(ef_sections[i].name, name) == 0) return &ef_sections[i];
  }
  return NULL;
}

const ef_field *ef_field_find(const char *section, const char *key) {
  for (size_t i = 0; i < ef_field_count; i++) {
    if (strcmp(ef_fields[i].section, section) == 0 && strcmp(ef_fields[i].key, key) == 0)
      return &ef_fields[i];
  }
  return NULL;
}

const ef_field *ef_family_field_find(const char *key) {
  for (size_t i = 0; i < ef_family_field_count; i++) {
    if (strcmp(ef_family_fields[i].key, key) == 0) return &ef_family_fields[i];
  }
  return NULL;
}

const ef_field *ef_field_at(size_t offset) {
  for (size_t i = 0; i < ef_field_count; i++) {
    if (ef_fields[i].offset == offset) return &ef_fields[i];
  }
  return NULL;
}

void ef_field_nearest(ef_nearest *search, const char *section) {
  for (size_t i = 0; !section && i < ef_section_count; i++)
    ef_nearest_try(search, "", ef_sections[i].name, 0);
  for (size_t i = 0; i < ef_field_count; i++) {
    bool here = section && strcmp(section, ef_fields[i].section) == 0;
    ef_nearest_try(search, ef_fields[i].section, ef_fields[i].key, here ? 0 : 1);
  }
}

void ef_family_field_nearest(ef_nearest *search) {
  for (size_t i = 0; i < ef_family_field_count; i++) ef_nearest_try(search, "", ef_family_fields[i].key, 0);
}

static ef_status default_text(const char *value, char **text) {
  *text = ef_strdup(value);
  return EF_CHECK(*text != NULL, EF_MACHINE, "out of memory: default of a deck key");
}

ef_status ef_field_default(const ef_field *field, int recipe, void *base) {
  ef_field_free(field, base);
  char *at = (char *)base + field->offset;
  switch (field->kind) {
  case EF_KIND_INT:
    *(int64_t *)(void *)at = field->integer[recipe];
    break;
  case EF_KIND_REAL:
    *(double *)(void *)at = field->real[recipe];
    break;
  case EF_KIND_BOOL:
    *(bool *)(void *)at = field->integer[recipe] != 0;
    break;
  case EF_KIND_TEXT:
    return default_text(field->text, (char **)(void *)at);
  case EF_KIND_LIST:
  case EF_KIND_FAMILIES:
    break;
  }
  return EF_OK;
}

static void list_free(ef_list *list) {
  for (size_t i = 0; i < list->count; i++) ef_free(list->items[i]);
  ef_free(list->items);
  *list = (ef_list){0};
}

void ef_field_free(const ef_field *field, void *base) {
  char *at = (char *)base + field->offset;
  if (field->kind == EF_KIND_LIST) list_free((ef_list *)(void *)at);
  if (field->kind != EF_KIND_TEXT) return;
  ef_free(*(char **)(void *)at);
  *(char **)(void *)at = NULL;
}

const char *ef_real_text(double value, char out[EF_REAL_BYTES]) {
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(out, EF_REAL_BYTES, "%.*g", digits, value);
    if (strtod(out, NULL) == value) break;
  }
  return out;
}
