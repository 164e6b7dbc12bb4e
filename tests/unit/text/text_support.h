/* What the tests of text/ share: small files on the spot and a corpus made of words. */
#pragma once

#include "base/file.h"
#include "base/memory.h"
#include "base/status.h"
#include "support/support.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_PATH = 4096 };

typedef struct text_folder {
  char path[256], file[TEXT_PATH];
} text_folder;

static inline text_folder text_up(void) {
  text_folder f;
  test_make_folder(f.path, sizeof f.path);
  return f;
}

/* Path of `name` in the folder, valid until the next call. */
static inline const char *text_at(text_folder *f, const char *name) {
  snprintf(f->file, sizeof f->file, "%s/%s", f->path, name);
  return f->file;
}

static inline const char *text_put(text_folder *f, const char *name, const void *data, size_t bytes) {
  const char *path = text_at(f, name);
  cr_assert_eq(ef_file_write(path, data, bytes), EF_OK, "%s", ef_message());
  return path;
}

#define cr_ok(expr) cr_assert_eq((expr), EF_OK, "%s", ef_message())
#define cr_says(part) cr_assert(strstr(ef_message(), (part)), "message: %s", ef_message())
