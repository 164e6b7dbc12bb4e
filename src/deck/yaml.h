/* One YAML document in memory, read by libyaml, with the line of every node. Private to deck/.
 *
 * Anchors and aliases work as YAML says (an alias is the node itself); tags and further documents are
 * refused.
 */
#pragma once

#include "base/status.h"
#include <stddef.h>
#include <yaml.h>

typedef struct ef_yaml {
  yaml_document_t document;
  bool loaded;
  yaml_node_t *root; /* NULL: an empty document */
} ef_yaml;

/* Reads `text`; `name` stands in messages as "name:LINE: ...", NULL: no place is named. EF_DECK: not UTF-8,
 * not YAML, tabs, a tag, a second document. Release with ef_yaml_free, also after an error. Local. */
ef_status ef_yaml_load(const char *name, const char *text, ef_yaml *yaml);
void ef_yaml_free(ef_yaml *yaml);

/* Line of a node, from 1. */
size_t ef_yaml_line(const yaml_node_t *node);
/* Text of a scalar node, NULL if it is none. */
const char *ef_yaml_scalar(const yaml_node_t *node);
/* True for `key:` without a value, `~` and `null`. */
bool ef_yaml_is_null(const yaml_node_t *node);
/* "a list", "keys and values", "a text" : for messages. */
const char *ef_yaml_kind(const yaml_node_t *node);
