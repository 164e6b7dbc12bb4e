/* JSON of the market, typed: every fault is EF_INPUT with the path of the field ("users[3].deadline: ...").
 *
 * Numbers are doubles throughout (a whole number may be written 1000.0), duplicate keys are refused, null is
 * the same as absent. Fields named comment or description, or that begin with _ or x-, are nobody's. Private.
 */
#pragma once

#include "market/files/json_fields.h"
#include <jansson.h>

/* Parses `bytes` of text as one value, released by json_decref. EF_INPUT "not JSON: ...", and the last byte
 * of what is wrong. Local. */
ef_status ef_json_load(const char *text, size_t bytes, json_t **value, size_t *byte);

/* Puts "line 3, column 14: " (from 1, in characters) of a byte before the message; returns EF_INPUT. Local.
 */
ef_status ef_json_locate(const char *text, size_t bytes, size_t byte);

/* EF_INPUT unless the value is an object. Local. */
ef_status ef_json_object(const ef_path *at, const json_t *value);

/* The value of a field, or NULL if it is absent or null. Local. */
const json_t *ef_json_get(const json_t *object, const char *field);

/* An array (borrowed): EF_INPUT if it is none; absent: EF_INPUT, or NULL if not required. Local. */
ef_status ef_json_array(const ef_path *at, const json_t *object, const char *field, bool required,
                        const json_t **array);

/* A finite number; `value` keeps what it holds if the field is absent. Local. */
ef_status ef_json_number(const ef_path *at, const json_t *object, const char *field, double *value);

/* A string into counted memory, NULL if absent; what *text held before is freed. Local. */
ef_status ef_json_string(const ef_path *at, const json_t *object, const char *field, char **text);

/* The place of a string in "a|b|c"; `choice` keeps what it holds if the field is absent. Local. */
ef_status ef_json_choice(const ef_path *at, const json_t *object, const char *field, const char *names,
                         int *choice);

/* Reads the fields of a table into a record whose texts are NULL or owned: defaults first, then what is
 * there. Refuses unknown fields, missing ones, wrong types and broken whole numbers; ranges are left to
 * ef_json_fields_check, but a whole number must fit its type. Local. */
ef_status ef_json_read_fields(const ef_path *at, json_t *object, const ef_json_field *table, void *record);
