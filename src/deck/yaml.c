#include "deck/yaml.h"

#include <stdio.h>
#include <string.h>

static ef_status fail_at(const char *name, size_t line, const char *problem) {
  if (!name) return ef_fail(EF_DECK, __FILE__, __LINE__, "%s", problem);
  return ef_fail(EF_DECK, __FILE__, __LINE__, "%s:%zu: %s", name, line, problem);
}

static size_t line_of_offset(const char *text, size_t offset) {
  size_t line = 1, size = strlen(text);
  for (size_t i = 0; i < offset && i < size; i++) line += text[i] == '\n';
  return line;
}

/* libyaml stops at a tab that stands where a token should: the one fault that people cannot see. */
static bool is_tab(const char *text, const yaml_parser_t *parser) {
  size_t at = parser->problem_mark.index;
  return at < strlen(text) && text[at] == '\t';
}

static ef_status fail_parser(const char *name, const char *text, const yaml_parser_t *parser) {
  if (parser->error == YAML_MEMORY_ERROR)
    return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: deck");
  const char *problem = parser->problem ? parser->problem : "not YAML";
  char message[256];
  if (parser->error == YAML_READER_ERROR) {
    snprintf(message, sizeof message, "not a UTF-8 text: %s", problem);
    return fail_at(name, line_of_offset(text, parser->problem_offset), message);
  }
  if (is_tab(text, parser)) problem = "a tab cannot indent; use spaces";
  const char *context = parser->context ? parser->context : "";
  snprintf(message, sizeof message, "%s%s%s%s", problem, *context ? " (" : "", context, *context ? ")" : "");
  return fail_at(name, parser->problem_mark.line + 1, message);
}

static ef_status check_tags(const char *name, yaml_document_t *document) {
  static const char *const plain[] = {YAML_STR_TAG, YAML_SEQ_TAG, YAML_MAP_TAG};
  for (yaml_node_t *node = document->nodes.start; node < document->nodes.top; node++) {
    bool known = false;
    for (size_t i = 0; i < 3; i++) known = known || (node->tag && strcmp((char *)node->tag, plain[i]) == 0);
    if (!known) return fail_at(name, ef_yaml_line(node), "tags such as !!int have no place in a deck");
    bool cut =
        node->type == YAML_SCALAR_NODE && strlen((char *)node->data.scalar.value) != node->data.scalar.length;
    if (cut) return fail_at(name, ef_yaml_line(node), "a text must not hold a NUL");
  }
  return EF_OK;
}

static ef_status check_single(const char *name, const char *text, yaml_parser_t *parser) {
  yaml_document_t next;
  if (!yaml_parser_load(parser, &next)) return fail_parser(name, text, parser);
  yaml_node_t *root = yaml_document_get_root_node(&next);
  ef_status status = EF_OK;
  if (root) status = fail_at(name, next.start_mark.line + 1, "a second document; a deck is one document");
  yaml_document_delete(&next);
  return status;
}

ef_status ef_yaml_load(const char *name, const char *text, ef_yaml *yaml) {
  *yaml = (ef_yaml){0};
  yaml_parser_t parser;
  ef_status status = EF_OK;
  if (!yaml_parser_initialize(&parser)) return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: deck");
  if (strncmp(text, "\xEF\xBB\xBF", 3) == 0) text += 3; /* libyaml skips the mark only when it guesses */
  yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
  if (!yaml_parser_load(&parser, &yaml->document)) {
    status = fail_parser(name, text, &parser);
    goto done;
  }
  yaml->loaded = true;
  yaml->root = yaml_document_get_root_node(&yaml->document);
  EF_GO(check_tags(name, &yaml->document));
  if (yaml->root) EF_GO(check_single(name, text, &parser));
done:
  yaml_parser_delete(&parser);
  return status;
}

void ef_yaml_free(ef_yaml *yaml) {
  if (yaml->loaded) yaml_document_delete(&yaml->document);
  *yaml = (ef_yaml){0};
}

size_t ef_yaml_line(const yaml_node_t *node) { return node->start_mark.line + 1; }

const char *ef_yaml_scalar(const yaml_node_t *node) {
  return node && node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

bool ef_yaml_is_null(const yaml_node_t *node) {
  const char *text = ef_yaml_scalar(node);
  if (!text || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) return false;
  return *text == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

const char *ef_yaml_kind(const yaml_node_t *node) {
  if (!node || ef_yaml_is_null(node)) return "nothing";
  if (node->type == YAML_SEQUENCE_NODE) return "a list";
  if (node->type == YAML_MAPPING_NODE) return "keys and values";
  return "a text";
}
