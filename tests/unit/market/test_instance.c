#include "test_instance_support.h"

#include "base/file.h"
#include "base/memory.h"
#include "support/support.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORKLOAD                                                                                             \
  "{\"name\":\"w\",\"input_bytes\":1,\"layers\":[{\"name\":\"a\",\"flops\":1,\"out_bytes\":1}],"             \
  "\"exits\":[{\"layer\":1,\"head_flops\":0,\"accuracy\":1}]}"
#define SCHEMA "{\"schema\":\"aeria-market/1\","
#define WORKLOADS "\"workloads\":[" WORKLOAD "],"
#define PROVIDERS "\"providers\":[{\"workload\":0}],"
#define USER                                                                                                 \
  "\"provider\":0,\"value\":5,\"accuracy\":1,\"deadline\":0.5,\"device_flops\":1e9,\"uplink_bps\":1e6"
#define USERS "\"users\":[{" USER "}]"
#define CAPACITY "\"capacity\":10,"

static ef_instance parsed(const char *json) {
  ef_instance instance;
  cr_assert_eq(ef_instance_parse("market.json", json, strlen(json), &instance), EF_OK, "%s: %s", ef_message(),
               json);
  return instance;
}

Test(instance, defaults) {
  ef_instance m = parsed(SCHEMA CAPACITY WORKLOADS PROVIDERS USERS "}");
  const ef_rules *r = &m.rules;
  cr_assert_eq(r->c, 2);
  cr_assert_not(r->has_u || r->has_v || r->pooled);
  cr_assert_eq(r->vickrey_prob, 0);
  cr_assert_eq(r->variant, EF_VARIANT_T);
  cr_assert_eq(r->unit_flops, 1e9);
  cr_assert_eq(r->unit_bytes, 0);
  cr_assert_eq(r->capacity, 10);
  cr_assert(r->unit_cost == 0 && r->margin == 0 && r->rtt == 0);
  cr_assert_eq(r->max_share, 1);
  cr_assert_str_eq(m.providers[0].id, "0");
  cr_assert_eq(m.providers[0].share, 1);
  const ef_user *u = &m.users[0];
  cr_assert_str_eq(u->id, "0");
  cr_assert(u->number_id);
  cr_assert_eq(u->bid, 5);
  cr_assert_eq(u->complexity, 1);
  cr_assert(u->rate == 0 && u->device_bytes == 0 && u->prompt_tokens == 0 && u->decode_tokens == 0);
  ef_instance_free(&m);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(instance, every_field) {
  ef_instance m = parsed(
      SCHEMA "\"name\":\"n\",\"source\":[],\"comment\":{\"a\":1},\"description\":\"d\",\"x-mine\":1,\"_\":2,"
             "\"c\":1.2,\"u\":0,\"v\":0.75,\"vickrey_prob\":0.25,\"variant\":\"D\",\"mode\":\"pooled\","
             "\"unit_flops\":2e9,\"unit_bytes\":3e9,\"capacity\":1000.0,\"unit_cost\":0.125,\"margin\":0.5,"
             "\"max_share\":0.2,\"rtt\":0.005," WORKLOADS
             "\"providers\":[{\"id\":\"p\",\"workload\":0.0,\"share\":0.5},{\"id\":7,\"workload\":0}],"
             "\"users\":[{\"id\":\"ann\",\"provider\":1,\"value\":1e300,\"bid\":3,\"accuracy\":-2,"
             "\"deadline\":0.1,\"device_flops\":0,\"device_bytes\":6,\"uplink_bps\":7,\"complexity\":8,"
             "\"rate\":9,\"prompt_tokens\":10,\"decode_tokens\":11,\"_note\":null},"
             "{\"id\":-12," USER ",\"bid\":null,\"rate\":null}]}");
  const ef_rules *r = &m.rules;
  cr_assert(r->c == 1.2 && r->has_u && r->u == 0 && r->has_v && r->v == 0.75 && r->vickrey_prob == 0.25);
  cr_assert(r->variant == EF_VARIANT_D && r->pooled);
  cr_assert(r->unit_flops == 2e9 && r->unit_bytes == 3e9 && r->capacity == 1000 && r->unit_cost == 0.125);
  cr_assert(r->margin == 0.5 && r->max_share == 0.2 && r->rtt == 0.005);
  cr_assert_str_eq(m.providers[0].id, "p");
  cr_assert_not(m.providers[0].number_id);
  cr_assert_eq(m.providers[0].share, 0.5);
  cr_assert_str_eq(m.providers[1].id, "7");
  const ef_user *u = &m.users[0];
  cr_assert_str_eq(u->id, "ann");
  cr_assert(u->provider == 1 && u->value == 1e300 && u->bid == 3 && u->accuracy == -2 && u->deadline == 0.1);
  cr_assert(u->device_flops == 0 && u->device_bytes == 6 && u->uplink_bps == 7 && u->complexity == 8);
  cr_assert(u->rate == 9 && u->prompt_tokens == 10 && u->decode_tokens == 11);
  cr_assert_str_eq(m.users[1].id, "-12");
  cr_assert(m.users[1].bid == 5 && m.users[1].rate == 0, "null is absent");
  ef_instance_free(&m);
}

Test(instance, the_order_of_fields_and_free_space_do_not_matter) {
  ef_instance a = parsed(SCHEMA CAPACITY WORKLOADS PROVIDERS USERS "}");
  ef_instance b = parsed("\n{ \"users\"\t:\n[ {" USER "}\r\n] ," PROVIDERS WORKLOADS CAPACITY
                         "\"comment\":\"\\\"users\\\":[1,2]\",\"schema\":\"aeria-market/1\" }\n");
  test_same_instance(&a, &b);
  ef_instance_free(&a);
  ef_instance_free(&b);
}

Test(instance, nobody_may_come) {
  ef_instance m = parsed(SCHEMA CAPACITY WORKLOADS PROVIDERS "\"users\":[ ]}");
  cr_assert_eq(m.user_count, 0);
  ef_instance_free(&m);
  m = parsed(SCHEMA "\"capacity\":0," WORKLOADS PROVIDERS "\"users\":[]}");
  cr_assert_eq(m.rules.capacity, 0);
  ef_instance_free(&m);
}

Test(instance, faults_of_rules) {
  static const struct {
    const char *field, *part;
  } bad[] = {
      {"", "capacity: is missing"},
      {"\"capacity\":-1,", "capacity: must be a whole number from 0, is -1"},
      {"\"capacity\":1.5,", "capacity: must be a whole number, is 1.5"},
      {"\"capacity\":9007199254740994,", "capacity: must be at most 9007199254740992"},
      {"\"capacity\":\"10\",", "capacity: must be a number, is a string"},
      {"\"capacity\":1e999,", "not JSON: real number overflow"},
      {"\"capacity\":Infinity,", "line 1, column 46: not JSON"},
      {CAPACITY "\"c\":1,", "c: must be above 1, is 1"},
      {CAPACITY "\"c\":0.5,", "c: must be above 1, is 0.5"},
      {CAPACITY "\"c\":[2],", "c: must be a number, is an array"},
      {CAPACITY "\"u\":1,", "u: must be from 0 to below 1, is 1"},
      {CAPACITY "\"v\":-0.1,", "v: must be from 0 to below 1, is -0.1"},
      {CAPACITY "\"vickrey_prob\":1,", "vickrey_prob: must be from 0 to below 1, is 1"},
      {CAPACITY "\"variant\":\"t\",", "variant: must be one of T|E|D, is \"t\""},
      {CAPACITY "\"mode\":\"pool\",",
       "mode: must be one of per_provider|pooled, is \"pool\"; did you mean pooled?"},
      {CAPACITY "\"unit_flops\":0,", "unit_flops: must be a positive number, is 0"},
      {CAPACITY "\"unit_bytes\":-1,", "unit_bytes: must be 0 or a positive number"},
      {CAPACITY "\"unit_cost\":-1,", "unit_cost: must be 0 or a positive number"},
      {CAPACITY "\"unit_cost\":1e251,", "unit_cost: must be at most 1e+250"},
      {CAPACITY "\"margin\":-1,", "margin: must be 0 or a positive number"},
      {CAPACITY "\"max_share\":0,", "max_share: must be a share above 0, at most 1, is 0"},
      {CAPACITY "\"max_share\":1.1,", "max_share: must be a share above 0, at most 1, is 1.1"},
      {CAPACITY "\"rtt\":-1,", "rtt: must be 0 or a positive number, is -1"},
      {CAPACITY "\"capcity\":3,", "capcity: unknown field; did you mean capacity?"},
      {CAPACITY "\"capacity\":10,", "duplicate object key near '\"capacity\"'"},
      {CAPACITY USERS ",", "duplicate object key near '\"users\"'"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    test_refused_instance(test_fill_in(SCHEMA, bad[i].field, WORKLOADS PROVIDERS USERS "}"), bad[i].part);
  }
}

Test(instance, faults_of_the_frame) {
  static const struct {
    const char *json, *part;
  } bad[] = {
      {"", "line 1, column 1: not JSON"},
      {"[]", "must be an object, is an array"},
      {"3", "must be an object, is a number"},
      {"{}", "capacity: is missing"},
      {"{\"schema\":\"aeria-market/2\"}", "schema: must be one of aeria-market/1"},
      {SCHEMA CAPACITY PROVIDERS USERS "}", "workloads: is missing"},
      {SCHEMA CAPACITY WORKLOADS USERS "}", "providers: is missing"},
      {SCHEMA CAPACITY WORKLOADS PROVIDERS "\"x-\":1}", "users: is missing"},
      {SCHEMA CAPACITY WORKLOADS PROVIDERS "\"users\":{}}", "users: must be an array, is an object"},
      {SCHEMA CAPACITY WORKLOADS PROVIDERS "\"\\u0075sers\":[1]}",
       "users: its name must stand without escapes"},
      {SCHEMA CAPACITY WORKLOADS "\"providers\":[]," USERS "}", "providers: is empty"},
      {SCHEMA CAPACITY "\"workloads\":[]," PROVIDERS USERS "}",
       "providers[0].workload: is 0, but there are 0"},
      {SCHEMA CAPACITY "\"workloads\":[3]," PROVIDERS USERS "}", "workloads[0]: must be an object"},
      {SCHEMA CAPACITY "\"workloads\":[\"alexnt\"]," PROVIDERS USERS "}", "did you mean alexnet?"},
      {SCHEMA CAPACITY "\"workloads\":[\"\"]," PROVIDERS USERS "}", "is no path of a file"},
      {SCHEMA CAPACITY "\"workloads\":[" WORKLOAD ",{}]," PROVIDERS USERS "}",
       "workloads[1].name: is missing"},
      {SCHEMA CAPACITY WORKLOADS "\"providers\":[{\"workload\":1}]," USERS "}",
       "providers[0].workload: is 1, but there are 1 workloads"},
      {SCHEMA CAPACITY WORKLOADS "\"providers\":[{\"workload\":-1}]," USERS "}",
       "providers[0].workload: must be a whole number from 0, is -1"},
      {SCHEMA CAPACITY WORKLOADS "\"providers\":[{\"id\":1}]," USERS "}",
       "providers[0].workload: is missing"},
      {SCHEMA CAPACITY WORKLOADS "\"providers\":[{\"workload\":0,\"id\":1.5}]," USERS "}",
       "providers[0].id: must be a string or a whole number"},
      {SCHEMA CAPACITY WORKLOADS "\"providers\":[{\"workload\":0,\"share\":1.5}]," USERS "}",
       "providers[0].share: must be a share from 0 to 1, is 1.5"},
      {SCHEMA CAPACITY WORKLOADS
       "\"providers\":[{\"workload\":0,\"share\":0.6},{\"workload\":0,\"share\":0.5}]," USERS "}",
       "providers: the shares sum to 1.1, must be at most 1"},
      {SCHEMA CAPACITY WORKLOADS PROVIDERS USERS, "not JSON"},
      {SCHEMA CAPACITY WORKLOADS PROVIDERS "\"users\":[", "not JSON"},
      {SCHEMA CAPACITY WORKLOADS PROVIDERS USERS "}}", "not JSON: end of file expected"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) test_refused_instance(bad[i].json, bad[i].part);
}

Test(instance, faults_of_users) {
#define REST "\"value\":5,\"accuracy\":1,\"deadline\":0.5,\"device_flops\":1e9,\"uplink_bps\":1e6}"
  static const struct {
    const char *user, *part;
  } bad[] = {
      {"7", "users[1]: must be an object, is a number"},
      {"{" REST, "users[1].provider: is missing"},
      {"{\"provider\":1," REST, "users[1].provider: is 1, but there are 1 providers"},
      {"{\"provider\":-1," REST, "users[1].provider: must be a whole number from 0, is -1"},
      {"{\"provider\":0.5," REST, "users[1].provider: must be a whole number, is 0.5"},
      {"{\"provider\":\"0\"," REST, "users[1].provider: must be a number, is a string"},
      {"{" USER ",\"id\":[]}", "users[1].id: must be a string or a whole number"},
      {"{" USER ",\"id\":1e17}", "users[1].id: must be a string or a whole number below 2^53"},
      {"{" USER ",\"bid\":-1}", "users[1].bid: must be 0 or a positive number, is -1"},
      {"{" USER ",\"bid\":2e300}", "users[1].bid: must be at most 1e+300, is 2e+300"},
      {"{" USER ",\"complexity\":0}", "users[1].complexity: must be a positive number, is 0"},
      {"{" USER ",\"rate\":-1}", "users[1].rate: must be 0 or a positive number, is -1"},
      {"{" USER ",\"dead_line\":1}", "users[1].dead_line: unknown field; did you mean deadline?"},
      {"{" USER ",\"value\":5}", "line 4, column "},
      {"{" USER ",}", "not JSON: string or '}' expected"},
      {"{" USER "} {}", "not JSON: end of file expected"},
      {"", "line 4, column 1: not JSON"},
      {"{" USER ",\"rate\":1e999}", "real number overflow"},
      {"{" USER "]", "not JSON"},
      {"{\"provider\":0,\"value\":5,\"accuracy\":1,\"deadline\":-1,\"device_flops\":1,\"uplink_bps\":1}",
       "market.json: users[1].deadline: must be a positive number, is -1"},
      {"{\"provider\":0,\"value\":5,\"accuracy\":1,\"deadline\":1e-400,\"device_flops\":1,\"uplink_bps\":1}",
       "users[1].deadline: must be a positive number, is 0"},
      {"{\"provider\":0,\"value\":-5,\"accuracy\":1,\"deadline\":1,\"device_flops\":1,\"uplink_bps\":1}",
       "users[1].value: must be 0 or a positive number, is -5"},
      {"{\"provider\":0,\"value\":5,\"accuracy\":1,\"deadline\":1,\"device_flops\":-1,\"uplink_bps\":1}",
       "users[1].device_flops: must be 0 or a positive number"},
      {"{\"provider\":0,\"value\":5,\"accuracy\":1,\"deadline\":1,\"device_flops\":1,\"uplink_bps\":0}",
       "users[1].uplink_bps: must be a positive number, is 0"},
      {"{\"provider\":0,\"accuracy\":1,\"deadline\":1,\"device_flops\":1,\"uplink_bps\":1}",
       "users[1].value: is missing"},
      {"{\"provider\":0,\"value\":5,\"deadline\":1,\"device_flops\":1,\"uplink_bps\":1}",
       "users[1].accuracy: is missing"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    test_refused_instance(test_fill_in(SCHEMA CAPACITY WORKLOADS PROVIDERS "\n\"users\":[{" USER "}\n,\n",
                                       bad[i].user, "\n,{" USER "}]}"),
                          bad[i].part);
  }
}

/* Cut off anywhere, a file is refused and leaves nothing behind. */
Test(instance, every_beginning_of_a_file_is_refused) {
  static const char json[] =
      SCHEMA CAPACITY "\"users\":[{" USER "},{" USER "}]," WORKLOADS "\"providers\":[{\"workload\":0}]}";
  for (size_t n = 0; n + 1 < sizeof json; n++) {
    ef_instance m;
    cr_assert_eq(ef_instance_parse("m", json, n, &m), EF_INPUT, "%zu", n);
    cr_assert_eq(ef_memory_blocks(), 0);
  }
}

Test(instance, line_and_column_count_what_was_cut_out) {
  test_refused_instance("{\"users\":[{},\n\"]\\\"\",{}],\n  \"c\": x}", "line 3, column 8: not JSON");
  test_refused_instance(SCHEMA CAPACITY WORKLOADS PROVIDERS "\"users\":[{" USER
                                                            "},\n {\"a\":\"\xc3\xa9\",?}]}",
                        "line 2, column 11: not JSON");
}

Test(instance, shares_of_a_pooled_market_are_free) {
  ef_instance m = parsed(SCHEMA CAPACITY "\"mode\":\"pooled\"," WORKLOADS
                                         "\"providers\":[{\"workload\":0},{\"workload\":0}]," USERS "}");
  cr_assert_eq(ef_market_capacity(&m, 1), 10);
  m.rules.pooled = false;
  m.providers[0].share = 0.55;
  cr_assert_eq(ef_market_capacity(&m, 0), 5);
  ef_instance_free(&m);
}

Test(instance, shares_that_sum_to_one_but_for_rounding) {
  ef_instance m = parsed(SCHEMA CAPACITY WORKLOADS
                         "\"providers\":[{\"workload\":0,\"share\":0.1},{\"workload\":0,\"share\":0.2},"
                         "{\"workload\":0,\"share\":0.3},{\"workload\":0,\"share\":0.4}]," USERS "}");
  cr_assert_eq(m.provider_count, 4);
  ef_instance_free(&m);
}

/* ---- workloads by name -------------------------------------------------------------------------------- */

Test(instance, workloads_by_name_and_by_file) {
  char folder[256], path[300], market[300];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/net.json", folder);
  snprintf(market, sizeof market, "%s/market.json", folder);
  static const char json[] = SCHEMA CAPACITY "\"workloads\":[\"alexnet\",\"net.json\"]," PROVIDERS USERS "}";
  cr_assert_eq(ef_file_write(path, WORKLOAD, sizeof WORKLOAD - 1), EF_OK);
  cr_assert_eq(ef_file_write(market, json, sizeof json - 1), EF_OK);
  ef_instance m;
  cr_assert_eq(ef_instance_read(market, &m), EF_OK, "%s", ef_message());
  cr_assert_str_eq(m.workloads[0].name, "alexnet");
  cr_assert_eq(m.workloads[0].input_bytes, 150528);
  cr_assert_str_eq(m.workloads[1].name, "w");
  ef_instance_free(&m);
  cr_assert_eq(ef_file_write(path, "{\n]", 3), EF_OK);
  cr_assert_eq(ef_instance_read(market, &m), EF_INPUT);
  cr_assert(strstr(ef_message(), "market.json: workloads[1]: "), "%s", ef_message());
  cr_assert(strstr(ef_message(), "net.json: line 2, column 1: not JSON"), "%s", ef_message());
  test_remove_folder(folder);
  cr_assert_eq(ef_memory_blocks(), 0);
}

/* ---- writing ------------------------------------------------------------------------------------------ */

static void round_trip(const ef_instance *m) {
  char folder[256], path[300];
  test_make_folder(folder, sizeof folder);
  snprintf(path, sizeof path, "%s/market.json", folder);
  ef_instance again;
  cr_assert_eq(ef_instance_write(m, path), EF_OK, "%s", ef_message());
  cr_assert_eq(ef_instance_read(path, &again), EF_OK, "%s", ef_message());
  test_same_instance(m, &again);
  ef_instance_free(&again);
  test_remove_folder(folder);
}

Test(instance, a_written_file_reads_back_to_the_same_bits) {
  ef_instance m = parsed(
      SCHEMA "\"c\":1.1,\"u\":0,\"vickrey_prob\":0.30000000000000004,\"variant\":\"E\",\"unit_flops\":5e-324,"
             "\"capacity\":9007199254740992,\"unit_cost\":1e250,\"max_share\":5e-324,\"rtt\":1e100,"
             "\"workloads\":[\"bart_base\"," WORKLOAD
             "],\"providers\":[{\"id\":\"\\u00e9\\\"\\\\\\n\",\"workload\":1,"
             "\"share\":0.1},{\"workload\":0,\"share\":0.9}],\"users\":[{" USER ",\"id\":\"\"},"
             "{\"id\":5,\"provider\":1,\"value\":1e300,\"bid\":0,\"accuracy\":0.1,\"deadline\":2."
             "2250738585072014e-308,"
             "\"device_flops\":1.7976931348623157e99,\"uplink_bps\":0.3333333333333333,\"complexity\":1e30},"
             "{" USER "}]}");
  round_trip(&m);
  ef_instance_free(&m);
  cr_assert_eq(ef_memory_blocks(), 0);
}

Test(instance, a_check_of_memory_says_what_the_reader_says) {
  ef_instance m = parsed(SCHEMA CAPACITY WORKLOADS PROVIDERS USERS "}");
  cr_assert_eq(ef_instance_check(&m), EF_OK);
  m.users[0].deadline = -1;
  cr_assert_eq(ef_instance_check(&m), EF_INPUT);
  cr_assert_str_eq(ef_message(), "users[0].deadline: must be a positive number, is -1");
  m.users[0].deadline = 1;
  m.workloads[0].exits[0].after = 2;
  cr_assert_eq(ef_instance_check(&m), EF_INPUT);
  cr_assert_str_eq(ef_message(), "workloads[0].exits[0].layer: is 2, but there are 1 layers");
  ef_instance_free(&m);
}

Test(instance, coins_are_drawn_once) {
  ef_rules a = ef_rules_default(), b = a, fixed = a;
  ef_coins_draw(&a, 3);
  ef_coins_draw(&b, 4);
  cr_assert(a.has_u && a.has_v && a.u >= 0 && a.u < 1 && a.v >= 0 && a.v < 1 && a.u != a.v);
  cr_assert_neq(a.u, b.u);
  fixed.has_u = true;
  fixed.u = 0.125;
  ef_coins_draw(&fixed, 3);
  cr_assert_eq(fixed.u, 0.125);
  cr_assert_eq(fixed.v, a.v, "a coin does not depend on whether the other is fixed");
}

/* ---- many users --------------------------------------------------------------------------------------- */

/* The time per user and the memory beside the text do not grow with their number. */
Test(instance, a_hundred_thousand_users) {
  enum { USERS_MANY = 100000, LINE = 200 };
  static const char head[] = SCHEMA CAPACITY WORKLOADS PROVIDERS "\"users\":[";
  char *text = malloc(sizeof head + (size_t)USERS_MANY * LINE), *end = text;
  end += sprintf(end, "%s", head);
  for (int i = 0; i < USERS_MANY; i++)
    end += sprintf(end, "%s\n{\"id\":\"u%d\"," USER ",\"bid\":%d}", i ? "," : "", i, i);
  end += sprintf(end, "]}");
  ef_instance m;
  cr_assert_eq(ef_instance_parse("big", text, (size_t)(end - text), &m), EF_OK, "%s", ef_message());
  cr_assert_eq(m.user_count, USERS_MANY);
  cr_assert_eq(m.users[USERS_MANY - 1].bid, USERS_MANY - 1);
  cr_assert_str_eq(m.users[USERS_MANY / 2].id, "u50000");
  cr_assert_lt(ef_memory_peak(), (size_t)USERS_MANY * 400);
  ef_instance_free(&m);
  free(text);
}

/* ---- shipped files ------------------------------------------------------------------------------------ */

Test(instance, shipped_markets) {
  static const struct {
    const char *file;
    size_t least, most, providers;
  } shipped[] = {{"inputs/markets/small.json", 6, 10, 1},
                 {"inputs/markets/two_hundred.json", 200, 200, 2},
                 {"inputs/markets/autoregressive.json", 4, 12, 1}};
  for (size_t i = 0; i < sizeof shipped / sizeof *shipped; i++) {
    char path[512];
    test_source_path(path, sizeof path, shipped[i].file);
    ef_instance m;
    cr_assert_eq(ef_instance_read(path, &m), EF_OK, "%s", ef_message());
    cr_assert(m.user_count >= shipped[i].least && m.user_count <= shipped[i].most);
    cr_assert_eq(m.provider_count, shipped[i].providers);
    round_trip(&m);
    ef_instance_free(&m);
  }
}
