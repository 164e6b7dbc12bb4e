#include "store/inspect_text.h"

#include "store/report.h"
#include <string.h>

enum { SHOWN_DEVICES = 6, SHARES_IN_A_LINE = 16 };

static double real_of(const json_t *object, const char *key) {
  return json_number_value(json_object_get(object, key));
}

static const char *path_of(const json_t *section) {
  return json_string_value(json_object_get(section, "path"));
}

/* ---- load of the experts ------------------------------------------------------------------------------ */

static void print_shares(const json_t *layer, FILE *out) {
  size_t i;
  json_t *share;
  json_array_foreach(json_object_get(layer, "shares"), i, share) {
    if (i > 0 && i % SHARES_IN_A_LINE == 0) fprintf(out, "\n%58s", "");
    fprintf(out, " %5.1f", 100.0 * json_real_value(share));
  }
  fprintf(out, "\n");
}

static void print_layer(const json_t *layer, FILE *out) {
  fprintf(out, "  %5lld %14lld", ef_report_whole(layer, "layer"), ef_report_whole(layer, "tokens"));
  if (json_is_null(json_object_get(layer, "imbalance"))) {
    fprintf(out, "  not measured yet\n");
    return;
  }
  fprintf(out, " %10.2f %12lld %10lld ", real_of(layer, "imbalance"), ef_report_whole(layer, "busiest"),
          ef_report_whole(layer, "idle"));
  print_shares(layer, out);
}

static void print_load(const json_t *load, FILE *out) {
  size_t i;
  json_t *layer;
  fprintf(out,
          "expert load, by %s (imbalance: largest share times experts, 1 is even)\n"
          "  %5s %14s %10s %12s %10s  %s\n",
          path_of(load), "layer", "tokens", "imbalance", "busiest", "idle", "share of each expert, %");
  json_array_foreach(json_object_get(load, "layers"), i, layer) { print_layer(layer, out); }
}

/* ---- lineage ------------------------------------------------------------------------------------------ */

static void print_group(const json_t *group, FILE *out) {
  json_t *experts = json_object_get(group, "experts"), *devices = json_object_get(group, "devices");
  size_t count = json_array_size(experts), all = json_array_size(devices);
  char name[64];
  long long first = (long long)json_integer_value(json_array_get(experts, 0));
  if (count == 1) {
    snprintf(name, sizeof name, "expert %lld", first);
  } else {
    snprintf(name, sizeof name, "experts %lld to %lld", first, first + (long long)count - 1);
  }
  fprintf(out, "  %-20s", name);
  for (size_t i = 0; i < all && i < SHOWN_DEVICES; i++) {
    const json_t *device = json_array_get(devices, i);
    fprintf(out, "%s device %lld %.1f %%", i > 0 ? "," : "", ef_report_whole(device, "device"),
            100.0 * real_of(device, "share"));
  }
  if (all == 0) fprintf(out, " no device");
  if (all > SHOWN_DEVICES) fprintf(out, " and %zu more", all - SHOWN_DEVICES);
  if (all > 0) fprintf(out, "; in all %.1f %%", 100.0 * real_of(group, "sum"));
  fprintf(out, "\n");
}

static void print_lineage(const json_t *lineage, FILE *out) {
  size_t i;
  json_t *group;
  fprintf(out, "lineage, by %s: which of %lld devices shaped which expert\n", path_of(lineage),
          ef_report_whole(lineage, "devices"));
  json_array_foreach(json_object_get(lineage, "groups"), i, group) { print_group(group, out); }
}

/* ---- ledger ------------------------------------------------------------------------------------------- */

static void print_bytes(const char *name, const json_t *row, FILE *out) {
  fprintf(out, "  %-12s %16lld %16lld\n", name, ef_report_whole(row, "up_bytes"),
          ef_report_whole(row, "down_bytes"));
}

static void print_ledger(const json_t *ledger, FILE *out) {
  size_t i;
  json_t *row;
  fprintf(out, "ledger of %zu devices, bytes\n  %-12s %16s %16s\n",
          json_array_size(json_object_get(ledger, "devices")), "class", "up", "down");
  json_array_foreach(json_object_get(ledger, "classes"), i, row) {
    print_bytes(json_string_value(json_object_get(row, "class")), row, out);
  }
  print_bytes("all", ledger, out);
}

void ef_inspect_print_meaning(const json_t *report, FILE *out) {
  static const struct {
    const char *key;
    void (*print)(const json_t *section, FILE *out);
  } sections[] = {{"expert_load", print_load}, {"lineage", print_lineage}, {"ledger", print_ledger}};
  for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
    const json_t *section = json_object_get(report, sections[i].key);
    if (json_is_object(section)) sections[i].print(section, out);
  }
}
