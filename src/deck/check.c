#include "deck/reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(member) offsetof(ef_deck, member)

static const double EXIT_WEIGHT_MOST = 1e6; /* as the weights of the other losses */

static bool later(ef_mark a, ef_mark b) {
  return a.override != b.override ? a.override > b.override : a.line > b.line;
}

/* Puts the place of that of the keys a and b which was set last before the message. */
static ef_status blame(const ef_reader *reader, ef_status status, size_t a, size_t b) {
  if (status == EF_OK) return EF_OK;
  const ef_field *field = ef_field_at(a), *other = ef_field_at(b);
  if (later(reader->marks[other - ef_fields], reader->marks[field - ef_fields])) field = other;
  char name[EF_FIELD_NAME_BYTES];
  snprintf(name, sizeof name, "%s.%s", field->section, field->key);
  return ef_reader_context(reader, reader->marks[field - ef_fields], status, name);
}

/* The name of a field is made from its place: "fusion.clusters". */
static const char *name_of(size_t offset, char out[EF_FIELD_NAME_BYTES]) {
  const ef_field *field = ef_field_at(offset);
  snprintf(out, EF_FIELD_NAME_BYTES, "%s.%s", field->section, field->key);
  return out;
}

static int64_t int_at(const ef_reader *reader, size_t offset) {
  return *(const int64_t *)(const void *)((const char *)reader->deck + offset);
}

static ef_status check_multiple(const ef_reader *reader, size_t whole, size_t part) {
  char a[EF_FIELD_NAME_BYTES], b[EF_FIELD_NAME_BYTES];
  int64_t n = int_at(reader, whole), m = int_at(reader, part);
  ef_status status = EF_CHECK(n % m == 0, EF_DECK, "%s (%lld) must be a multiple of %s (%lld)",
                              name_of(whole, a), (long long)n, name_of(part, b), (long long)m);
  return blame(reader, status, whole, part);
}

static ef_status check_at_most(const ef_reader *reader, size_t small, size_t large) {
  char a[EF_FIELD_NAME_BYTES], b[EF_FIELD_NAME_BYTES];
  int64_t n = int_at(reader, small), m = int_at(reader, large);
  ef_status status = EF_CHECK(n <= m, EF_DECK, "%s (%lld) must be at most %s (%lld)", name_of(small, a),
                              (long long)n, name_of(large, b), (long long)m);
  return blame(reader, status, small, large);
}

static ef_status check_global(const ef_reader *reader) {
  const ef_deck *deck = reader->deck;
  EF_TRY(check_multiple(reader, AT(global.experts), AT(fusion.clusters)));
  EF_TRY(check_at_most(reader, AT(global.top_k), AT(global.experts)));
  EF_TRY(check_multiple(reader, AT(global.width), AT(global.heads)));
  if (deck->global.kv_heads) EF_TRY(check_multiple(reader, AT(global.heads), AT(global.kv_heads)));
  ef_status even =
      EF_CHECK(deck->global.width / deck->global.heads % 2 == 0, EF_DECK,
               "width %lld over %lld heads is an odd head width; rotary positions need an even one",
               (long long)deck->global.width, (long long)deck->global.heads);
  EF_TRY(blame(reader, even, AT(global.width), AT(global.heads)));
  ef_status dense = EF_CHECK(deck->global.dense_first < deck->global.layers, EF_DECK,
                             "global.dense_first (%lld) must be below global.layers (%lld)",
                             (long long)deck->global.dense_first, (long long)deck->global.layers);
  return blame(reader, dense, AT(global.dense_first), AT(global.layers));
}

/* The shared expert is cut from the mean of the bases' FFNs, so it is no wider than one of them. */
static ef_status check_shared(const ef_reader *reader) {
  const ef_deck *deck = reader->deck;
  int64_t width = deck->global.expert_width * (deck->global.experts / deck->fusion.clusters);
  ef_status status = EF_CHECK(deck->global.shared_width <= width, EF_DECK,
                              "global.shared_width (%lld) must be at most the width of a base's FFN, "
                              "expert_width * experts / clusters (%lld)",
                              (long long)deck->global.shared_width, (long long)width);
  return blame(reader, status, AT(global.shared_width), AT(global.expert_width));
}

/* A stage that features are compared at is one block or more, of the base and of every device's model. */
static ef_status check_stages(const ef_reader *reader) {
  const ef_deck *deck = reader->deck;
  if (deck->fusion.alpha == 0.0 || strcmp(deck->fusion.features, "none") == 0) return EF_OK;
  EF_TRY(check_at_most(reader, AT(fusion.stages), AT(global.layers)));
  for (size_t i = 0; i < deck->federation.family_count; i++) {
    int64_t layers = deck->federation.families[i].layers;
    ef_status status =
        EF_CHECK(deck->fusion.stages <= layers, EF_DECK,
                 "fusion.stages (%lld) must be at most the layers of federation.families.%zu (%lld)",
                 (long long)deck->fusion.stages, i, (long long)layers);
    EF_TRY(blame(reader, status, AT(fusion.stages), AT(federation.families)));
  }
  return EF_OK;
}

/* A device that keeps no text for early stopping has no loss to send. */
static ef_status check_proxies(const ef_reader *reader) {
  const ef_deck *deck = reader->deck;
  bool weighted = strcmp(deck->fusion.proxy_weights, "validation") == 0;
  ef_status status = EF_CHECK(!weighted || deck->federation.validation_share > 0.0, EF_DECK,
                              "fusion.proxy_weights validation needs federation.validation_share above 0");
  return blame(reader, status, AT(fusion.proxy_weights), AT(federation.validation_share));
}

/* Texts of a proxy have a BOS, a prompt of 8 tokens and at least one more. */
static ef_status check_transfer(const ef_reader *reader) {
  const ef_deck *deck = reader->deck;
  if (strcmp(deck->fusion.transfer, "generated") != 0) return EF_OK;
  ef_status room = EF_CHECK(deck->federation.context >= 10, EF_DECK,
                            "fusion.transfer generated needs a federation.context of at least 10 (%lld)",
                            (long long)deck->federation.context);
  EF_TRY(blame(reader, room, AT(federation.context), AT(fusion.transfer)));
  bool loss = deck->fusion.generated_ce || (deck->fusion.beta > 0.0 && deck->tune.kl > 0.0);
  ef_status some =
      EF_CHECK(loss, EF_DECK,
               "fusion.generated_ce false leaves generated windows the KL losses alone: fusion.beta "
               "and tune.kl must be above 0");
  return blame(reader, some, AT(fusion.generated_ce), AT(tune.kl));
}

static ef_status check_fusion(const ef_reader *reader) {
  EF_TRY(check_at_most(reader, AT(fusion.clusters), AT(federation.devices)));
  EF_TRY(check_at_most(reader, AT(fusion.patch), AT(federation.context)));
  EF_TRY(check_at_most(reader, AT(fusion.patch), AT(global.context)));
  EF_TRY(check_multiple(reader, AT(tune.batch), AT(tune.micro_batch)));
  int64_t width = reader->deck->fusion.vaa_width, heads = reader->deck->fusion.vaa_heads;
  bool given = width != 0;
  if (!given) width = reader->deck->global.width < 512 ? reader->deck->global.width : 512;
  ef_status status = EF_CHECK(width % heads == 0, EF_DECK,
                              "the width of view-aligned attention (%lld) must be a multiple of "
                              "fusion.vaa_heads (%lld)",
                              (long long)width, (long long)heads);
  return blame(reader, status, given ? AT(fusion.vaa_width) : AT(global.width), AT(fusion.vaa_heads));
}

static ef_status check_failures(const ef_reader *reader) {
  const ef_list *fail = &reader->deck->federation.fail;
  for (size_t i = 0; i < fail->count; i++) {
    char *end;
    const char *text = fail->items[i];
    unsigned long device = strtoul(text, &end, 10);
    bool number = *text >= '0' && *text <= '9' && *end == '\0';
    ef_status status = EF_CHECK(number && device < (unsigned long)reader->deck->federation.devices, EF_DECK,
                                "\"%s\" is not the number of a device, 0 to %lld", text,
                                (long long)reader->deck->federation.devices - 1);
    EF_TRY(blame(reader, status, AT(federation.fail), AT(federation.devices)));
  }
  return EF_OK;
}

/* An exit stands behind 1 to L-1 layers; behind all of them stands the last head. */
static ef_status check_exit_places(const ef_reader *reader) {
  const ef_list *after = &reader->deck->exits.after;
  unsigned long last = 0, layers = (unsigned long)reader->deck->global.layers;
  for (size_t i = 0; i < after->count; i++) {
    char *end;
    const char *text = after->items[i];
    unsigned long n = strtoul(text, &end, 10);
    bool number = *text >= '0' && *text <= '9' && *end == '\0';
    ef_status status =
        EF_CHECK(number && n >= 1 && n < layers, EF_DECK,
                 "\"%s\" is not a number of layers before an early exit, 1 to %lu (global.layers - 1)", text,
                 layers - 1);
    EF_TRY(blame(reader, status, AT(exits.after), AT(global.layers)));
    status = EF_CHECK(n > last, EF_DECK, "%lu stands behind %lu: the numbers must ascend", n, last);
    EF_TRY(blame(reader, status, AT(exits.after), AT(exits.after)));
    last = n;
  }
  return EF_OK;
}

static ef_status check_exit_weights(const ef_reader *reader) {
  const ef_list *weights = &reader->deck->exits.weights;
  size_t exits = reader->deck->exits.after.count, count = weights->count;
  for (size_t i = 0; i < count; i++) {
    char *end;
    const char *text = weights->items[i];
    double weight = strtod(text, &end);
    bool number = *text && strspn(text, "0123456789+-.eE") == strlen(text) && *end == '\0';
    ef_status status =
        EF_CHECK(number && isfinite(weight) && weight >= 0.0 && weight <= EXIT_WEIGHT_MOST, EF_DECK,
                 "\"%s\" is not a weight, a number from 0 to %g", text, EXIT_WEIGHT_MOST);
    EF_TRY(blame(reader, status, AT(exits.weights), AT(exits.weights)));
  }
  ef_status status = EF_CHECK(count <= 1 || count == exits, EF_DECK,
                              "%zu weights, but exits.after has %zu numbers: give one weight for all, or one "
                              "for each",
                              count, exits);
  return blame(reader, status, AT(exits.weights), AT(exits.after));
}

static bool is_family(const ef_family_entry *entry, const char *name) {
  return strcmp(entry->family, name) == 0;
}

static ef_status check_family(const ef_family_entry *entry) {
  bool fused = is_family(entry, "gpt2") || is_family(entry, "bloom");
  int64_t kv = entry->kv_heads ? entry->kv_heads : entry->heads;
  EF_TRY(EF_CHECK(entry->width % entry->heads == 0, EF_DECK,
                  "width (%lld) must be a multiple of heads (%lld)", (long long)entry->width,
                  (long long)entry->heads));
  EF_TRY(EF_CHECK(entry->heads % kv == 0, EF_DECK, "heads (%lld) must be a multiple of kv_heads (%lld)",
                  (long long)entry->heads, (long long)kv));
  EF_TRY(EF_CHECK(!fused || kv == entry->heads, EF_DECK,
                  "%s has as many key-value heads as heads: leave kv_heads 0", entry->family));
  return EF_CHECK(fused || entry->width / entry->heads % 2 == 0, EF_DECK,
                  "width %lld over %lld heads is an odd head width; rotary positions need an even one",
                  (long long)entry->width, (long long)entry->heads);
}

static ef_status check_families(const ef_reader *reader) {
  double share = 0.0;
  for (size_t i = 0; i < reader->deck->federation.family_count; i++) {
    char name[EF_FIELD_NAME_BYTES];
    snprintf(name, sizeof name, "federation.families.%zu", i);
    ef_status status = check_family(&reader->deck->federation.families[i]);
    EF_TRY(ef_reader_context(reader, reader->family_marks[i], status, name));
    share += reader->deck->federation.families[i].share;
  }
  ef_status status =
      EF_CHECK(share > 0.0, EF_DECK, "the shares of all entries are 0: no device can draw a family");
  return blame(reader, status, AT(federation.families), AT(federation.families));
}

/* ---- market ------------------------------------------------------------------------------------------- */

static const char *text_at(const ef_reader *reader, size_t offset) {
  return *(char *const *)(const void *)((const char *)reader->deck + offset);
}

static double number_at(const ef_reader *reader, size_t offset) {
  if (ef_field_at(offset)->kind == EF_KIND_INT) return (double)int_at(reader, offset);
  return *(const double *)(const void *)((const char *)reader->deck + offset);
}

static ef_status check_range(const ef_reader *reader, size_t least, size_t most) {
  char a[EF_FIELD_NAME_BYTES], b[EF_FIELD_NAME_BYTES], x[EF_REAL_BYTES], y[EF_REAL_BYTES];
  double low = number_at(reader, least), high = number_at(reader, most);
  ef_status status = EF_CHECK(low <= high, EF_DECK, "%s (%s) must be at most %s (%s)", name_of(least, a),
                              ef_real_text(low, x), name_of(most, b), ef_real_text(high, y));
  return blame(reader, status, least, most);
}

static ef_status check_ranges(const ef_reader *reader) {
  static const size_t pairs[][2] = {
      {AT(market.users_least), AT(market.users_most)},
      {AT(market.device_flops_least), AT(market.device_flops_most)},
      {AT(market.uplink_least), AT(market.uplink_most)},
      {AT(market.deadline_least), AT(market.deadline_most)},
      {AT(market.scale_least), AT(market.scale_most)},
      {AT(market.rate_least), AT(market.rate_most)},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
    EF_TRY(check_range(reader, pairs[i][0], pairs[i][1]));
  ef_status rates = EF_CHECK(reader->deck->market.rate_least > 0.0 || reader->deck->market.rate_most == 0.0,
                             EF_DECK, "rates are log-uniform: market.rate_least is 0 only if rate_most is");
  return blame(reader, rates, AT(market.rate_least), AT(market.rate_most));
}

static ef_status check_columns(const ef_reader *reader) {
  static const size_t pairs[][2] = {
      {AT(market.arrivals_column), AT(market.arrivals_file)},
      {AT(market.price_column), AT(market.price_file)},
      {AT(market.uplink_column), AT(market.uplink_file)},
      {AT(market.device_column), AT(market.device_file)},
  };
  for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
    char file[EF_FIELD_NAME_BYTES];
    const char *column = text_at(reader, pairs[i][0]);
    ef_status status = EF_CHECK(!*column || *text_at(reader, pairs[i][1]), EF_DECK,
                                "column \"%s\" of no file: %s is empty", column, name_of(pairs[i][1], file));
    EF_TRY(blame(reader, status, pairs[i][0], pairs[i][1]));
  }
  return EF_OK;
}

static ef_status check_sweeps(const ef_reader *reader) {
  static const char known[] = "users|capacity|c|deadline|uplink|tail";
  const ef_list *sweeps = &reader->deck->market.sweeps;
  for (size_t i = 0; i < sweeps->count; i++) {
    ef_nearest near = ef_nearest_to(sweeps->items[i]);
    ef_nearest_try_all(&near, known);
    ef_status status =
        EF_CHECK(near.best == 0, EF_DECK, "\"%s\" is not one of %s%s", sweeps->items[i], known, near.text);
    EF_TRY(blame(reader, status, AT(market.sweeps), AT(market.sweeps)));
  }
  return EF_OK;
}

static ef_status check_thresholds(const ef_reader *reader) {
  const ef_list *thresholds = &reader->deck->market.thresholds;
  for (size_t i = 0; i < thresholds->count; i++) {
    char *end;
    const char *text = thresholds->items[i];
    double value = strtod(text, &end);
    ef_status status = EF_CHECK(*text && *end == '\0' && value > 0.0 && value <= 1.0, EF_DECK,
                                "\"%s\" is no confidence: above 0 and at most 1", text);
    EF_TRY(blame(reader, status, AT(market.thresholds), AT(market.thresholds)));
  }
  return EF_OK;
}

static ef_status check_market(const ef_reader *reader) {
  EF_TRY(check_ranges(reader));
  EF_TRY(check_columns(reader));
  EF_TRY(check_sweeps(reader));
  return check_thresholds(reader);
}

ef_status ef_reader_check(const ef_reader *reader) {
  EF_TRY(check_global(reader));
  EF_TRY(check_fusion(reader));
  EF_TRY(check_proxies(reader));
  EF_TRY(check_transfer(reader));
  EF_TRY(check_failures(reader));
  EF_TRY(check_exit_places(reader));
  EF_TRY(check_exit_weights(reader));
  EF_TRY(check_families(reader));
  EF_TRY(check_market(reader));
  EF_TRY(check_shared(reader));
  return check_stages(reader);
}
