/* The table of deck keys that fields.def and families.def make: all that the reader, the checks of one key,
 * the help and the dump know about a key. Private to deck/; the values live in ef_deck and ef_family_entry.
 */
#pragma once

#include "base/nearest.h"
#include "deck/deck.h"

typedef enum ef_kind {
  EF_KIND_INT,
  EF_KIND_REAL,
  EF_KIND_BOOL,
  EF_KIND_TEXT,
  EF_KIND_LIST,
  EF_KIND_FAMILIES
} ef_kind;

typedef struct ef_field {
  const char *section, *key, *help;
  const char *unit; /* "1": none */
  ef_kind kind;
  size_t offset; /* in ef_deck, or in ef_family_entry */
  bool recipe;   /* the default depends on fusion.recipe */
  /* Defaults [0] of the paper recipe and [1] of the extended one, equal if the recipe does not matter. A bool
   * has its defaults in `integer`. */
  int64_t integer[2], integer_least, integer_greatest;
  double real[2], real_least, real_greatest;
  const char *text, *choices; /* choices "a|b|c", "" for any text */
} ef_field;

typedef struct ef_section {
  const char *name, *help;
} ef_section;

/* Tables in the order of the .def files. */
extern const ef_section ef_sections[];
extern const size_t ef_section_count;
extern const ef_field ef_fields[];
extern const size_t ef_field_count;
extern const ef_field ef_family_fields[];
extern const size_t ef_family_field_count;

enum { EF_FIELD_NAME_BYTES = 128, EF_REAL_BYTES = 32 };

/* Section or field by name, NULL if there is none. Local. */
const ef_section *ef_section_find(const char *name);
const ef_field *ef_field_find(const char *section, const char *key);
const ef_field *ef_family_field_find(const char *key);

/* The field that stores this member of ef_deck: ef_field_at(offsetof(ef_deck, fusion.clusters)). Local. */
const ef_field *ef_field_at(size_t offset);

/* Tries the known keys for a wrong key of a section; `section` NULL: of the top level, where sections are
 * tried too. Keys of other sections count as one edit further away. Local. */
void ef_field_nearest(ef_nearest *search, const char *section);
/* Tries the keys of a family entry. Local. */
void ef_family_field_nearest(ef_nearest *search);

/* Default of a field for a recipe (0 paper, 1 extended) stored at base + field->offset; the old value is
 * freed. Lists become empty; EF_KIND_FAMILIES is left alone. EF_MACHINE. Local. */
ef_status ef_field_default(const ef_field *field, int recipe, void *base);
/* Releases what the field owns at base + offset (texts and lists). Local. */
void ef_field_free(const ef_field *field, void *base);

/* The shortest decimal text that reads back to the same double. Local. */
const char *ef_real_text(double value, char out[EF_REAL_BYTES]);
