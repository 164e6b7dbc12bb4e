/* What the parts of the deck's reader share: where each value came from, and messages that name the place.
 * Private to deck/.
 */
#pragma once

#include "deck/fields.h"
#include "deck/yaml.h"

/* Origin of a value; both 0: a default. */
typedef struct ef_mark {
  size_t line;     /* in the deck, from 1 */
  size_t override; /* number of the --set, from 1 */
} ef_mark;

typedef struct ef_reader {
  const char *name; /* of the deck */
  const char *const *overrides;
  ef_deck *deck;
  ef_mark *marks;        /* (ef_field_count) owned */
  ef_mark *family_marks; /* (deck->federation.family_count) owned */
} ef_reader;

/* Reads the scalar or list of a field from a node (NULL: no value) into base + field->offset. EF_DECK without
 * a place. Local. */
ef_status ef_value_assign(const ef_field *field, yaml_document_t *document, const yaml_node_t *node,
                          void *base);

/* Puts "deck.yaml:14: KEY: " or "--set KEY=VALUE: " before the message recorded last. Local. */
ef_status ef_reader_context(const ef_reader *reader, ef_mark mark, ef_status status, const char *key);

/* Reads federation.families from a list node; `mark` of a deck line gives each entry its own line. Local. */
ef_status ef_families_read(ef_reader *reader, yaml_document_t *document, const yaml_node_t *node,
                           ef_mark mark);
/* One of each of gpt2, llama and olmo. Local. */
ef_status ef_families_default(ef_reader *reader);
/* "federation.families.INDEX.KEY" of an override; `rest` is "INDEX.KEY". Local. */
ef_status ef_families_override(ef_reader *reader, const char *rest, ef_yaml *value, ef_mark mark);
/* Releases the entries of a deck. Local. */
void ef_families_free(ef_deck *deck);

/* Everything that several keys together can violate. The message names the place of the key that was set
 * last. Local. */
ef_status ef_reader_check(const ef_reader *reader);
