/* What the tests of workload and instance files share. */
#pragma once

#include "market/instance.h"
#include <criterion/criterion.h>

/* A text with one place filled in: `before`, then `piece`, then `after`; kept until the next call. */
const char *test_fill_in(const char *before, const char *piece, const char *after);

/* The text is refused as a workload file, or as an instance, with EF_INPUT and this part of a message. */
void test_refused_workload(const char *json, const char *part);
void test_refused_instance(const char *json, const char *part);

/* The text is a workload file; the caller frees it. */
ef_workload test_read_workload(const char *json);

/* Equal to the last bit, texts included. */
void test_same_workload(const ef_workload *a, const ef_workload *b);
void test_same_instance(const ef_instance *a, const ef_instance *b);

/* Path of a file of the source tree. */
void test_source_path(char *path, size_t size, const char *name);
