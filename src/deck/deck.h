/* The input deck: YAML, every key with a type, a unit, a range and a default that works (deck/fields.def).
 *
 * An unknown, ill-typed or out-of-range key is EF_DECK with file, line, key and the nearest known key.
 * Overrides (--set section.key=value, lists as [a, b], entries as federation.families.0.width=64) go through
 * the same checks. The resolved deck is written into the run folder and into every file of the run.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct ef_list {
  size_t count;
  char **items; /* owned */
} ef_list;

#define EF_INT(section, key, ...) int64_t key;
#define EF_REAL(section, key, ...) double key;
#define EF_BOOL(section, key, ...) bool key;
#define EF_TEXT(section, key, ...) char *key; /* owned */
#define EF_LIST(section, key, ...) ef_list key;
#define EF_RECIPE_INT EF_INT
#define EF_RECIPE_REAL EF_REAL
#define EF_RECIPE_BOOL EF_BOOL

typedef struct ef_family_entry {
#include "deck/families.def"
} ef_family_entry;

/* One member per section: deck->fusion.steps. */
typedef struct ef_deck {
#define EF_SECTION(section, help) struct {
#define EF_SECTION_END(section)                                                                              \
  }                                                                                                          \
  section;
#define EF_FAMILIES(section, key, help)                                                                      \
  ef_family_entry *key; /* owned */                                                                          \
  size_t family_count;
#include "deck/fields.def"
#undef EF_SECTION
#undef EF_SECTION_END
#undef EF_FAMILIES
  char *folder; /* of the deck file, for relative names; owned */
  char *yaml;   /* the resolved deck, every key in the order of fields.def; owned */
} ef_deck;

#undef EF_INT
#undef EF_REAL
#undef EF_BOOL
#undef EF_TEXT
#undef EF_LIST
#undef EF_RECIPE_INT
#undef EF_RECIPE_REAL
#undef EF_RECIPE_BOOL

/* Reads PATH, applies `count` overrides "section.key=value" and the defaults, checks everything that one key
 * or several keys together can violate. EF_DECK: "deck.yaml:14: federation.device: unknown key; did you mean
 * federation.devices?". EF_MACHINE. Local. */
ef_status ef_deck_read(const char *path, const char *const *overrides, size_t count, ef_deck *deck);

/* The same from text in memory; `name` stands in messages. Local. */
ef_status ef_deck_parse(const char *name, const char *yaml, const char *const *overrides, size_t count,
                        ef_deck *deck);

/* Releases what the deck owns. Local. */
void ef_deck_free(ef_deck *deck);

/* Writes the sections named in `sections` ("run,text"; NULL: all) of the resolved deck as YAML into counted
 * memory, without the keys that it names with a minus ("text,-text.folder"): equal text means equal settings.
 * The caller frees it. Local. */
ef_status ef_deck_dump(const ef_deck *deck, const char *sections, char **yaml);

/* Prints the table of all keys with type, unit, range, default and help. Local. */
void ef_deck_help(FILE *out);
