#include "deck/reader.h"

#include "base/file.h"
#include "base/memory.h"
#include <stdio.h>
#include <string.h>

ef_status ef_reader_context(const ef_reader *reader, ef_mark mark, ef_status status, const char *key) {
  if (status == EF_OK) return EF_OK;
  if (mark.override) return ef_context(status, "--set %s", reader->overrides[mark.override - 1]);
  if (*key) ef_context(status, "%s", key);
  if (mark.line) return ef_context(status, "%s:%zu", reader->name, mark.line);
  return ef_context(status, "%s", reader->name);
}

static ef_status fail_unknown(const char *section, const char *key) {
  ef_nearest near = ef_nearest_to(key);
  ef_field_nearest(&near, section);
  return ef_fail(EF_DECK, __FILE__, __LINE__, "unknown %s%s", section ? "key" : "section",
                 near.text[0] ? near.text : "; edgefuse train --help-deck lists all keys");
}

/* Assigns one known key from the deck or from an override. */
static ef_status read_field(ef_reader *reader, const ef_field *field, yaml_document_t *document,
                            const yaml_node_t *value, ef_mark mark) {
  if (field->kind == EF_KIND_FAMILIES) EF_TRY(ef_families_read(reader, document, value, mark));
  ef_status status = EF_OK;
  if (field->kind != EF_KIND_FAMILIES) status = ef_value_assign(field, document, value, reader->deck);
  char name[EF_FIELD_NAME_BYTES];
  snprintf(name, sizeof name, "%s.%s", field->section, field->key);
  EF_TRY(ef_reader_context(reader, mark, status, name));
  reader->marks[field - ef_fields] = mark;
  return EF_OK;
}

/* ---- the deck ------------------------------------------------------------------------------- */

/* Name of the key of a pair; EF_DECK if it is no plain word or stands twice in the mapping. */
static ef_status pair_key(const ef_reader *reader, yaml_document_t *document, const yaml_node_t *mapping,
                          const yaml_node_pair_t *pair, const char *section, const char **name) {
  const yaml_node_t *key = yaml_document_get_node(document, pair->key);
  ef_mark mark = {.line = ef_yaml_line(key)};
  *name = ef_yaml_scalar(key);
  if (!*name) {
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__, "a key must be a plain word");
    return ef_reader_context(reader, mark, status, section ? section : "");
  }
  const yaml_node_pair_t *earlier = mapping->data.mapping.pairs.start;
  for (; earlier < pair; earlier++) {
    const yaml_node_t *other = yaml_document_get_node(document, earlier->key);
    const char *text = ef_yaml_scalar(other);
    if (!text || strcmp(text, *name) != 0) continue;
    char full[EF_FIELD_NAME_BYTES];
    snprintf(full, sizeof full, "%.40s%s%.60s", section ? section : "", section ? "." : "", *name);
    ef_status status =
        ef_fail(EF_DECK, __FILE__, __LINE__, "is set twice, first in line %zu", ef_yaml_line(other));
    return ef_reader_context(reader, mark, status, full);
  }
  return EF_OK;
}

static ef_status read_pair(ef_reader *reader, const char *section, yaml_document_t *document,
                           const yaml_node_t *mapping, const yaml_node_pair_t *pair) {
  const char *key;
  EF_TRY(pair_key(reader, document, mapping, pair, section, &key));
  ef_mark mark = {.line = ef_yaml_line(yaml_document_get_node(document, pair->key))};
  const ef_field *field = ef_field_find(section, key);
  if (field) return read_field(reader, field, document, yaml_document_get_node(document, pair->value), mark);
  char name[EF_FIELD_NAME_BYTES];
  snprintf(name, sizeof name, "%s.%.60s", section, key);
  return ef_reader_context(reader, mark, fail_unknown(section, key), name);
}

static ef_status read_section(ef_reader *reader, yaml_document_t *document, const yaml_node_t *root,
                              const yaml_node_pair_t *pair) {
  const char *section;
  EF_TRY(pair_key(reader, document, root, pair, NULL, &section));
  ef_mark mark = {.line = ef_yaml_line(yaml_document_get_node(document, pair->key))};
  if (!ef_section_find(section)) return ef_reader_context(reader, mark, fail_unknown(NULL, section), section);
  const yaml_node_t *body = yaml_document_get_node(document, pair->value);
  if (ef_yaml_is_null(body)) return EF_OK;
  if (body->type != YAML_MAPPING_NODE) {
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__, "is a section: it wants keys and values, has %s",
                               ef_yaml_kind(body));
    return ef_reader_context(reader, mark, status, section);
  }
  const yaml_node_pair_t *inner = body->data.mapping.pairs.start;
  for (; inner < body->data.mapping.pairs.top; inner++) {
    EF_TRY(read_pair(reader, section, document, body, inner));
  }
  return EF_OK;
}

static ef_status read_root(ef_reader *reader, ef_yaml *yaml) {
  const yaml_node_t *root = yaml->root;
  if (!root || ef_yaml_is_null(root)) return EF_OK;
  if (root->type != YAML_MAPPING_NODE) {
    ef_mark mark = {.line = ef_yaml_line(root)};
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__,
                               "a deck is sections of keys and values, this is %s", ef_yaml_kind(root));
    return ef_reader_context(reader, mark, status, "");
  }
  const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
  for (; pair < root->data.mapping.pairs.top; pair++) {
    EF_TRY(read_section(reader, &yaml->document, root, pair));
  }
  return EF_OK;
}

static ef_status read_text(ef_reader *reader, const char *text) {
  ef_yaml yaml;
  ef_status status;
  EF_GO(ef_yaml_load(reader->name, text, &yaml));
  EF_GO(read_root(reader, &yaml));
done:
  ef_yaml_free(&yaml);
  return status;
}

/* ---- overrides ------------------------------------------------------------------------------ */

static ef_status apply_value(ef_reader *reader, char *name, ef_yaml *value, ef_mark mark) {
  static const char families[] = "federation.families.";
  if (strncmp(name, families, sizeof families - 1) == 0) {
    return ef_families_override(reader, name + sizeof families - 1, value, mark);
  }
  char *dot = strchr(name, '.');
  if (!dot) {
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__, "wants section.key=value");
    return ef_reader_context(reader, mark, status, "");
  }
  *dot = '\0';
  const ef_field *field = ef_field_find(name, dot + 1);
  if (!field) return ef_reader_context(reader, mark, fail_unknown(name, dot + 1), "");
  return read_field(reader, field, &value->document, value->root, mark);
}

static ef_status apply_override(ef_reader *reader, size_t number) {
  const char *text = reader->overrides[number - 1], *equals = strchr(text, '=');
  ef_mark mark = {.override = number};
  char name[EF_FIELD_NAME_BYTES];
  if (!equals || equals - text >= (int)sizeof name) {
    ef_status status = ef_fail(EF_DECK, __FILE__, __LINE__, "wants section.key=value");
    return ef_reader_context(reader, mark, status, "");
  }
  snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
  ef_yaml value;
  ef_status status = ef_yaml_load(NULL, equals + 1, &value);
  if (status != EF_OK) {
    ef_reader_context(reader, mark, status, "");
  } else {
    status = apply_value(reader, name, &value, mark);
  }
  ef_yaml_free(&value);
  return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Keys that nobody set take the default of the recipe that was chosen. */
static ef_status apply_recipe(ef_reader *reader) {
  int recipe = strcmp(reader->deck->fusion.recipe, "extended") == 0;
  for (size_t i = 0; i < ef_field_count; i++) {
    bool set = reader->marks[i].line || reader->marks[i].override;
    if (ef_fields[i].recipe && !set) EF_TRY(ef_field_default(&ef_fields[i], recipe, reader->deck));
  }
  return EF_OK;
}

static ef_status folder_of(const char *path, char **folder) {
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) + (slash == path) : 1;
  EF_TRY(EF_NEW(*folder, n + 1));
  memcpy(*folder, slash ? path : ".", n);
  return EF_OK;
}

static ef_status read_all(ef_reader *reader, const char *text, size_t overrides) {
  EF_TRY(EF_NEW(reader->marks, ef_field_count));
  for (size_t i = 0; i < ef_field_count; i++) EF_TRY(ef_field_default(&ef_fields[i], 1, reader->deck));
  EF_TRY(ef_families_default(reader));
  EF_TRY(read_text(reader, text));
  for (size_t i = 1; i <= overrides; i++) EF_TRY(apply_override(reader, i));
  EF_TRY(apply_recipe(reader));
  EF_TRY(ef_reader_check(reader));
  EF_TRY(folder_of(reader->name, &reader->deck->folder));
  return ef_deck_dump(reader->deck, NULL, &reader->deck->yaml);
}

ef_status ef_deck_parse(const char *name, const char *yaml, const char *const *overrides, size_t count,
                        ef_deck *deck) {
  *deck = (ef_deck){0};
  ef_reader reader = {.name = name, .overrides = overrides, .deck = deck};
  ef_status status = read_all(&reader, yaml, count);
  ef_free(reader.marks);
  ef_free(reader.family_marks);
  if (status != EF_OK) ef_deck_free(deck);
  return status;
}

ef_status ef_deck_read(const char *path, const char *const *overrides, size_t count, ef_deck *deck) {
  *deck = (ef_deck){0};
  char *text = NULL;
  size_t size = 0;
  ef_status status;
  EF_GO(ef_file_read(path, EF_DECK, &text, &size));
  EF_GO(EF_CHECK(strlen(text) == size, EF_DECK, "%s: not a UTF-8 text: it holds a NUL byte", path));
  EF_GO(ef_deck_parse(path, text, overrides, count, deck));
done:
  ef_free(text);
  return status;
}

void ef_deck_free(ef_deck *deck) {
  ef_families_free(deck);
  for (size_t i = 0; i < ef_field_count; i++) ef_field_free(&ef_fields[i], deck);
  ef_free(deck->folder);
  ef_free(deck->yaml);
  *deck = (ef_deck){0};
}
