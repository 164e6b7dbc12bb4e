#include "deck/reader.h"

#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void entries_free(ef_family_entry *entries, size_t count) {
  for (size_t i = 0; i < count; i++) {
    for (size_t f = 0; f < ef_family_field_count; f++) ef_field_free(&ef_family_fields[f], &entries[i]);
  }
  ef_free(entries);
}

void ef_families_free(ef_deck *deck) {
  entries_free(deck->federation.families, deck->federation.family_count);
  deck->federation.families = NULL;
  deck->federation.family_count = 0;
}

static ef_status entry_default(ef_family_entry *entry) {
  for (size_t f = 0; f < ef_family_field_count; f++) EF_TRY(ef_field_default(&ef_family_fields[f], 0, entry));
  return EF_OK;
}

/* Room for `count` default entries in place of the old ones. */
static ef_status entries_place(ef_reader *reader, size_t count) {
  ef_families_free(reader->deck);
  ef_free(reader->family_marks);
  EF_TRY(EF_NEW(reader->family_marks, count));
  EF_TRY(EF_NEW(reader->deck->federation.families, count));
  reader->deck->federation.family_count = count;
  for (size_t i = 0; i < count; i++) EF_TRY(entry_default(&reader->deck->federation.families[i]));
  return EF_OK;
}

ef_status ef_families_default(ef_reader *reader) {
  static const char *const names[] = {"gpt2", "llama", "olmo"};
  EF_TRY(entries_place(reader, 3));
  for (size_t i = 0; i < 3; i++) {
    ef_family_entry *entry = &reader->deck->federation.families[i];
    ef_free(entry->family);
    entry->family = ef_strdup(names[i]);
    EF_TRY(EF_CHECK(entry->family != NULL, EF_MACHINE, "out of memory: families of the deck"));
  }
  return EF_OK;
}

static ef_status entry_field(ef_family_entry *entry, const char *key, yaml_document_t *document,
                             const yaml_node_t *value) {
  const ef_field *field = ef_family_field_find(key);
  if (field) return ef_value_assign(field, document, value, entry);
  ef_nearest near = ef_nearest_to(key);
  ef_family_field_nearest(&near);
  return ef_fail(EF_DECK, __FILE__, __LINE__, "unknown key%s", near.text);
}

static ef_status entry_pair(ef_reader *reader, size_t index, yaml_document_t *document,
                            const yaml_node_t *entry, const yaml_node_pair_t *pair, ef_mark mark) {
  const yaml_node_t *key = yaml_document_get_node(document, pair->key);
  const char *name = ef_yaml_scalar(key);
  char full[EF_FIELD_NAME_BYTES];
  snprintf(full, sizeof full, "federation.families.%zu.%.60s", index, name ? name : "?");
  if (mark.line) mark.line = ef_yaml_line(key);
  ef_status status = EF_CHECK(name != NULL, EF_DECK, "a key must be a plain word");
  for (const yaml_node_pair_t *earlier = entry->data.mapping.pairs.start; name && earlier < pair; earlier++) {
    const char *other = ef_yaml_scalar(yaml_document_get_node(document, earlier->key));
    if (other && strcmp(other, name) == 0) status = ef_fail(EF_DECK, __FILE__, __LINE__, "is set twice");
  }
  if (status == EF_OK) {
    const yaml_node_t *value = yaml_document_get_node(document, pair->value);
    status = entry_field(&reader->deck->federation.families[index], name, document, value);
  }
  return ef_reader_context(reader, mark, status, full);
}

static ef_status entry_read(ef_reader *reader, size_t index, yaml_document_t *document,
                            const yaml_node_t *entry, ef_mark mark) {
  if (mark.line) mark.line = ef_yaml_line(entry);
  reader->family_marks[index] = mark;
  if (entry->type != YAML_MAPPING_NODE) {
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__,
                               "entry %zu wants keys such as {family: llama, width: 96}, has %s", index,
                               ef_yaml_kind(entry));
    return ef_reader_context(reader, mark, status, "federation.families");
  }
  const yaml_node_pair_t *pair = entry->data.mapping.pairs.start;
  for (; pair < entry->data.mapping.pairs.top; pair++) {
    EF_TRY(entry_pair(reader, index, document, entry, pair, mark));
  }
  return EF_OK;
}

ef_status ef_families_read(ef_reader *reader, yaml_document_t *document, const yaml_node_t *node,
                           ef_mark mark) {
  size_t count = 0;
  if (node && node->type == YAML_SEQUENCE_NODE) {
    count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
  }
  if (count == 0) {
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__,
                               "wants a list of at least one entry such as {family: llama, width: 96}");
    return ef_reader_context(reader, mark, status, "federation.families");
  }
  EF_TRY(entries_place(reader, count));
  for (size_t i = 0; i < count; i++) {
    const yaml_node_t *entry = yaml_document_get_node(document, node->data.sequence.items.start[i]);
    EF_TRY(entry_read(reader, i, document, entry, mark));
  }
  return EF_OK;
}

ef_status ef_families_override(ef_reader *reader, const char *rest, ef_yaml *value, ef_mark mark) {
  char *key;
  unsigned long index = strtoul(rest, &key, 10);
  size_t count = reader->deck->federation.family_count;
  ef_status status = EF_CHECK(key != rest && *rest != '-' && *rest != '+' && *key == '.', EF_DECK,
                              "wants federation.families.NUMBER.KEY=VALUE");
  if (status == EF_OK) {
    status =
        EF_CHECK(index < count, EF_DECK, "there is no entry %lu: the deck has %zu, from 0", index, count);
  }
  if (status == EF_OK) {
    status = entry_field(&reader->deck->federation.families[index], key + 1, &value->document, value->root);
  }
  if (status == EF_OK) reader->family_marks[index] = mark;
  return ef_reader_context(reader, mark, status, "");
}
