#include "store/diff_internal.h"

#include "base/memory.h"
#include <string.h>

enum { KEY_BYTES = 256, LEVELS = 8 };

/* ---- line by line ------------------------------------------------------------------------------------- */

/* The lines of a text, cut in place. */
typedef struct lines {
  char *text, **line;
  size_t count;
} lines;

static ef_status cut(ef_h5 *file, lines *l) {
  *l = (lines){0};
  EF_TRY(ef_h5_deck(file, &l->text));
  size_t most = 1;
  for (const char *p = l->text; *p; p++) most += *p == '\n';
  EF_TRY(EF_NEW(l->line, most));
  for (char *p = l->text; *p;) {
    l->line[l->count++] = p;
    p += strcspn(p, "\n");
    if (*p) *p++ = '\0';
  }
  return EF_OK;
}

static void free_lines(lines *l) {
  ef_free(l->line);
  ef_free(l->text);
}

/* Keys of the deck that say how a run is run, not what it computes. */
static const char *const steering[] = {"run.keep", "run.checkpoint_every", "run.time_limit"};
enum { STEERING = sizeof steering / sizeof *steering };

static bool key_steers(const char *key) {
  for (size_t i = 0; i < STEERING; i++) {
    if (strcmp(key, steering[i]) == 0) return true;
  }
  return false;
}

static bool line_steers(const char *line) {
  line += strspn(line, " ");
  for (size_t i = 0; i < STEERING; i++) {
    const char *leaf = strchr(steering[i], '.') + 1;
    size_t n = strlen(leaf);
    if (strncmp(line, leaf, n) == 0 && line[n] == ':') return true;
  }
  return false;
}

static void add_line(ef_pair *p, const char *side, size_t number, const char *text) {
  json_array_append_new(p->deck, json_pack("{s:s, s:I, s:s, s:b}", "side", side, "line", (json_int_t)number,
                                           "text", text, "counts", (int)!line_steers(text)));
}

/* Equal first and last lines are left out; in a middle of equal length only the lines that differ are shown.
 */
static void compare_lines(ef_pair *p, const lines *a, const lines *b) {
  size_t head = 0, tail = 0;
  while (head < a->count && head < b->count && strcmp(a->line[head], b->line[head]) == 0) head++;
  while (tail < a->count - head && tail < b->count - head &&
         strcmp(a->line[a->count - 1 - tail], b->line[b->count - 1 - tail]) == 0) {
    tail++;
  }
  size_t na = a->count - tail, nb = b->count - tail;
  for (size_t i = head; i < na || i < nb; i++) {
    if (na == nb && strcmp(a->line[i], b->line[i]) == 0) continue;
    if (i < na) add_line(p, "a", i + 1, a->line[i]);
    if (i < nb) add_line(p, "b", i + 1, b->line[i]);
  }
}

/* ---- key by key --------------------------------------------------------------------------------------- */

/* Where the reader of a resolved deck is: the key that each level of indentation is in, and the items that
 * the list at hand has had. */
typedef struct place {
  char key[LEVELS][KEY_BYTES];
  size_t items;
} place;

static void join(char out[KEY_BYTES], const char *base, const char *name, size_t length) {
  snprintf(out, KEY_BYTES, "%.120s%s%.*s", base, base[0] ? "." : "", length < 100 ? (int)length : 100, name);
}

/* "{width: 32, layers: 2}" as one key each; false if it is not so plain. */
static bool put_flow(json_t *keys, const char *base, const char *text) {
  size_t n = strlen(text);
  if (n < 2 || text[0] != '{' || text[n - 1] != '}' || strpbrk(text, "[]\"")) return false;
  for (const char *p = text + 1; *p;) {
    size_t item = strcspn(p, ",}"), name = strcspn(p, ":");
    if (name + 2 > item) return false;
    char key[KEY_BYTES];
    join(key, base, p, name);
    json_object_set_new(keys, key, json_stringn(p + name + 2, item - name - 2));
    p += item + 1;
    p += strspn(p, " ");
  }
  return true;
}

static void put_item(json_t *keys, place *at, size_t level, const char *text) {
  char key[KEY_BYTES];
  snprintf(key, sizeof key, "%.200s[%zu]", at->key[level > 0 ? level - 1 : 0], at->items++);
  if (!put_flow(keys, key, text)) json_object_set_new(keys, key, json_string(text));
}

/* One line of a deck as edgefuse writes it: two spaces a level, "key:", "key: value" or "- item". */
static void put_line(json_t *keys, place *at, size_t number, const char *line) {
  size_t spaces = strspn(line, " "), level = spaces / 2, name = strcspn(line + spaces, ":");
  const char *text = line + spaces;
  if (!text[0]) return;
  if (level < LEVELS && strncmp(text, "- ", 2) == 0) {
    put_item(keys, at, level, text + 2);
  } else if (level < LEVELS && text[name] == ':') {
    at->items = 0;
    join(at->key[level], level > 0 ? at->key[level - 1] : "", text, name);
    const char *value = text + name + 1;
    if (value[0]) json_object_set_new(keys, at->key[level], json_string(value + strspn(value, " ")));
  } else {
    char key[KEY_BYTES];
    snprintf(key, sizeof key, "line %zu", number);
    json_object_set_new(keys, key, json_string(line));
  }
}

static json_t *keys_of(const lines *l) {
  json_t *keys = json_object();
  place at = {0};
  for (size_t i = 0; i < l->count; i++) put_line(keys, &at, i + 1, l->line[i]);
  return keys;
}

static void add_key(ef_pair *p, const char *key, json_t *a, json_t *b) {
  bool counts = !key_steers(key);
  json_array_append_new(p->keys,
                        json_pack("{s:s, s:o, s:o, s:b}", "key", key, "a", a ? json_incref(a) : json_null(),
                                  "b", b ? json_incref(b) : json_null(), "counts", (int)counts));
  p->differs = p->differs || counts;
}

static void compare_keys(ef_pair *p, const lines *a, const lines *b) {
  json_t *in_a = keys_of(a), *in_b = keys_of(b), *value;
  const char *key;
  json_object_foreach(in_a, key, value) {
    json_t *other = json_object_get(in_b, key);
    if (!json_equal(value, other)) add_key(p, key, value, other);
  }
  json_object_foreach(in_b, key, value) {
    if (!json_object_get(in_a, key)) add_key(p, key, NULL, value);
  }
  json_decref(in_a);
  json_decref(in_b);
}

ef_status ef_diff_deck(ef_pair *p) {
  lines a = {0}, b = {0};
  ef_status status;
  EF_GO(cut(p->a, &a));
  EF_GO(cut(p->b, &b));
  compare_lines(p, &a, &b);
  compare_keys(p, &a, &b);
  if (json_array_size(p->keys) == 0 && json_array_size(p->deck) > 0) p->differs = true;
done:
  free_lines(&b);
  free_lines(&a);
  return status;
}
