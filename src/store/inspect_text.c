#include "store/inspect_text.h"

#include "store/meaning.h"
#include "store/report.h"
#include <stdlib.h>
#include <string.h>

static void indent(int spaces, FILE *out) { fprintf(out, "%*s", spaces, ""); }

/* A text of several lines, each behind a bar. */
static void print_lines(const char *text, int spaces, FILE *out) {
  for (const char *p = text; *p;) {
    size_t n = strcspn(p, "\n");
    indent(spaces, out);
    fprintf(out, "| %.*s\n", (int)n, p);
    p += n + (p[n] == '\n');
  }
}

/* ---- header and deck ---------------------------------------------------------------------------------- */

static void print_pair(const char *name, const json_t *value, FILE *out) {
  char *text = ef_report_plain(value);
  fprintf(out, "  %-16s %s\n", name, text ? text : "");
  free(text);
}

static void print_header(const json_t *report, FILE *out) {
  const char *name;
  json_t *value, *identity = json_object_get(report, "identity");
  fprintf(out, "%s\n", ef_report_text(report, "file"));
  json_object_foreach(identity, name, value) {
    if (!json_is_null(value)) print_pair(name, value, out);
  }
  if (json_is_string(json_object_get(report, "plot")))
    print_pair("plot", json_object_get(report, "plot"), out);
  fprintf(out, "header\n");
  json_object_foreach(json_object_get(json_object_get(report, "attributes"), "/"), name, value) {
    if (!ef_meaning_is_identity(name)) print_pair(name, value, out);
  }
}

static void print_deck(const json_t *report, FILE *out) {
  const char *deck = ef_report_text(report, "deck");
  if (!deck[0]) return;
  fprintf(out, "deck\n");
  print_lines(deck, 2, out);
}

/* ---- the tree ----------------------------------------------------------------------------------------- */

/* The report, the rows of its datasets by path, and the width of the names with their indentation. */
typedef struct tree {
  const json_t *attributes, *texts;
  json_t *groups, *rows; /* owned; by path */
  int width;
  FILE *out;
} tree;

static const char *leaf_of(const char *path) { return strrchr(path, '/') + 1; }

static int depth_of(const char *path) {
  int depth = 0;
  for (const char *p = path; *p && path[1]; p++) depth += *p == '/';
  return depth;
}

static bool is_one_of(const char *name, const char *const *names) {
  for (; *names; names++) {
    if (strcmp(name, *names) == 0) return true;
  }
  return false;
}

/* "NXdata: expert_load by layer,expert": what viewers take a group for. */
static void print_class(const json_t *names, FILE *out) {
  const char *class = ef_report_text(names, "NX_class");
  if (!class[0]) return;
  fprintf(out, "  %s", class);
  if (strcmp(class, "NXdata") == 0)
    fprintf(out, ": %s by %s", ef_report_text(names, "signal"), ef_report_text(names, "axes"));
  if (ef_report_text(names, "default")[0]) fprintf(out, ": shows %s", ef_report_text(names, "default"));
}

static void print_attributes(const json_t *names, int spaces, FILE *out) {
  static const char *const shown[] = {"NX_class", "signal", "axes", "default", NULL};
  const char *name;
  json_t *value;
  json_object_foreach((json_t *)names, name, value) {
    if (is_one_of(name, shown)) continue;
    char *text = ef_report_plain(value);
    indent(spaces, out);
    if (text && strchr(text, '\n')) {
      fprintf(out, "@%s\n", name);
      print_lines(text, spaces + 2, out);
    } else {
      fprintf(out, "@%s %s\n", name, text ? text : "");
    }
    free(text);
  }
}

static void print_group(const tree *t, const char *path) {
  const json_t *names = json_object_get(t->attributes, path);
  int spaces = 2 * depth_of(path);
  indent(spaces, t->out);
  fprintf(t->out, "%s/", leaf_of(path));
  print_class(names, t->out);
  fprintf(t->out, "\n");
  if (path[1]) print_attributes(names, spaces + 2, t->out);
}

static void print_number(const json_t *value, FILE *out) {
  if (json_is_null(value)) {
    fprintf(out, " %12s", "-");
  } else {
    fprintf(out, " %12.5g", json_real_value(value));
  }
}

/* " (dtype F32, layer 0, expert 3)": attributes that not every dataset has; -1 stands for none. */
static void print_own(const json_t *names, FILE *out) {
  static const char *const common[] = {"description", "units", "dims", NULL};
  const char *name, *before = "  (";
  json_t *value;
  json_object_foreach((json_t *)names, name, value) {
    if (is_one_of(name, common) || (json_is_integer(value) && json_integer_value(value) == -1)) continue;
    char *text = ef_report_plain(value);
    fprintf(out, "%s%s %s", before, name, text ? text : "");
    free(text);
    before = ", ";
  }
  if (before[0] == ',') fprintf(out, ")");
}

/* "[2, 3]". */
static void print_shape(const json_t *extents, char *text, size_t size) {
  size_t n = (size_t)snprintf(text, size, "[");
  for (size_t d = 0; d < json_array_size(extents) && n < size; d++) {
    n += (size_t)snprintf(text + n, size - n, "%s%lld", d > 0 ? ", " : "",
                          (long long)json_integer_value(json_array_get(extents, d)));
  }
  if (n < size) snprintf(text + n, size - n, "]");
}

static void print_dataset(const tree *t, const json_t *row) {
  const char *path = ef_report_text(row, "path");
  char shape[128];
  print_shape(json_object_get(row, "shape"), shape, sizeof shape);
  int spaces = 2 * depth_of(path);
  indent(spaces, t->out);
  fprintf(t->out, "%-*s %-8s %16s %12lld %-10s", t->width - spaces, leaf_of(path),
          ef_report_text(row, "type"), shape, ef_report_whole(row, "bytes"), ef_report_text(row, "units"));
  static const char *const columns[] = {"mean", "std", "min", "max"};
  for (int i = 0; i < 4; i++) print_number(json_object_get(row, columns[i]), t->out);
  fprintf(t->out, "  %s", ef_report_text(row, "description"));
  print_own(json_object_get(t->attributes, path), t->out);
  if (ef_report_whole(row, "nonfinite") > 0)
    fprintf(t->out, "  %lld not finite", ef_report_whole(row, "nonfinite"));
  fprintf(t->out, "\n");
}

static void print_text(const tree *t, const char *path) {
  const char *text = ef_report_text(t->texts, path);
  int spaces = 2 * depth_of(path);
  indent(spaces, t->out);
  fprintf(t->out, "%-*s %-8s \"%s\"\n", t->width - spaces, leaf_of(path), "text",
          strcmp(path, "/deck") == 0 ? "as above" : text);
}

static void fill_tree(const json_t *report, tree *t) {
  size_t i;
  json_t *value;
  const char *path;
  json_array_foreach(json_object_get(report, "datasets"), i, value) {
    json_object_set(t->rows, ef_report_text(value, "path"), value);
  }
  json_array_foreach(json_object_get(report, "groups"), i, value) {
    json_object_set(t->groups, json_string_value(value), value);
  }
  json_object_foreach((json_t *)t->attributes, path, value) {
    int n = 2 * depth_of(path) + (int)strlen(leaf_of(path));
    if (n > t->width) t->width = n;
  }
}

static void print_tree(const json_t *report, FILE *out) {
  tree t = {.attributes = json_object_get(report, "attributes"),
            .texts = json_object_get(report, "texts"),
            .groups = json_object(),
            .rows = json_object(),
            .width = 12,
            .out = out};
  const char *path;
  json_t *names;
  fill_tree(report, &t);
  fprintf(out, "%-*s %-8s %16s %12s %-10s %12s %12s %12s %12s  %s\n", t.width, "tree", "type", "shape",
          "bytes", "units", "mean", "std", "min", "max", "description");
  json_object_foreach((json_t *)t.attributes, path, names) {
    const json_t *row = json_object_get(t.rows, path);
    if (json_object_get(t.groups, path)) {
      print_group(&t, path);
    } else if (row) {
      print_dataset(&t, row);
    } else {
      print_text(&t, path);
    }
  }
  json_decref(t.groups);
  json_decref(t.rows);
}

void ef_inspect_print(const json_t *report, FILE *out) {
  print_header(report, out);
  print_deck(report, out);
  print_tree(report, out);
  ef_inspect_print_meaning(report, out);
  if (json_is_true(json_object_get(report, "verified")))
    fprintf(out, "verified: end marker and every checksum are right\n");
}
