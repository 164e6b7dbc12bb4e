#include "text/tokenizer.h"

#include "base/memory.h"
#include "text/sentencepiece.h"
#include "text/utf8.h"
#include <stdio.h>
#include <string.h>

/* SEGMENT_BYTES: longest training text; the BPE trainer of SentencePiece ends the program on a word of 65536
 * characters, so texts are given line by line and long lines in parts. */
enum { MESSAGE_BYTES = 512, SEGMENT_BYTES = 8192, BYTE_VALUES = 256 };

/* SentencePiece writes a space as this character; the same character in a text is encoded as bytes. */
static const char marker[] = "\xE2\x96\x81";
enum { MARKER_BYTES = 3 };

struct ef_tokenizer {
  ef_sp *sp;
  size_t size;
  char *text;                   /* the bytes of all tokens, one behind the other */
  size_t *start;                /* (size + 1) into text */
  int32_t byte_id[BYTE_VALUES]; /* the token of each byte */
};

/* ---- training ----------------------------------------------------------------------------------------- */

typedef struct ef_segments {
  const char **text;
  size_t *bytes, count, capacity;
} ef_segments;

/* Bytes of the next segment: a line with its end, or a part of a long one that ends before a character. */
static size_t segment_bytes(const char *text, size_t left) {
  size_t most = left < SEGMENT_BYTES ? left : SEGMENT_BYTES;
  const char *stop = memchr(text, '\n', most);
  if (stop) return (size_t)(stop - text) + 1;
  if (most == left) return left;
  size_t n = most;
  while (n > most - 4 && !ef_utf8_starts(text[n])) n--;
  return n;
}

static ef_status add_segment(ef_segments *list, const char *text, size_t bytes) {
  if (list->count == list->capacity) {
    size_t capacity = list->capacity > 0 ? 2 * list->capacity : 1024;
    const char **grown = ef_realloc(list->text, capacity, sizeof *grown);
    if (grown) list->text = grown;
    size_t *sizes = grown ? ef_realloc(list->bytes, capacity, sizeof *sizes) : NULL;
    EF_TRY(EF_CHECK(sizes, EF_MACHINE, "out of memory: %zu lines of training text", capacity));
    list->bytes = sizes;
    list->capacity = capacity;
  }
  list->text[list->count] = text;
  list->bytes[list->count++] = bytes;
  return EF_OK;
}

static ef_status cut_segments(const char *const *texts, const size_t *bytes, size_t count,
                              ef_segments *list) {
  for (size_t i = 0; i < count; i++) {
    for (size_t at = 0; at < bytes[i];) {
      size_t n = segment_bytes(texts[i] + at, bytes[i] - at);
      EF_TRY(add_segment(list, texts[i] + at, n));
      at += n;
    }
  }
  return EF_OK;
}

/* Says in our words what the trainer refused. */
static ef_status refused(const char *message, size_t vocabulary) {
  size_t fits = 0, need = 0;
  const char *most = strstr(message, "<= "), *chars = strstr(message, "required_chars");
  const char *versus = chars ? strstr(chars, " vs ") : NULL;
  if (most && sscanf(most, "<= %zu", &fits) == 1) {
    return ef_fail(
        EF_INPUT, __FILE__, __LINE__,
        "text.vocabulary: %zu tokens are too many for this public text; set it to %zu or less, or give more "
        "text (text.public_share, text.files)",
        vocabulary, fits);
  }
  if (versus && sscanf(versus, " vs %zu", &need) == 1) {
    return ef_fail(
        EF_INPUT, __FILE__, __LINE__,
        "text.vocabulary: %zu tokens are too few; the bytes and characters of this public text alone need "
        "%zu, set it to more",
        vocabulary, need);
  }
  return ef_fail(EF_INPUT, __FILE__, __LINE__, "the tokenizer cannot be trained: %s", message);
}

static ef_status wrap(ef_sp *sp, ef_tokenizer **tokenizer);

ef_status ef_tokenizer_train(const char *const *texts, const size_t *bytes, size_t count, size_t vocabulary,
                             ef_tokenizer **tokenizer) {
  ef_segments list = {0};
  char message[MESSAGE_BYTES] = "";
  ef_sp *sp = NULL;
  ef_status status;
  *tokenizer = NULL;
  EF_GO(cut_segments(texts, bytes, count, &list));
  EF_GO(EF_CHECK(list.count > 0, EF_INPUT, "the tokenizer cannot be trained: there is no public text"));
  ef_sp_code code = ef_sp_train(list.text, list.bytes, list.count, vocabulary, &sp, message, sizeof message);
  if (code == EF_SP_REFUSED) EF_GO(refused(message, vocabulary));
  EF_GO(EF_CHECK(code == EF_SP_OK, EF_MACHINE, "the tokenizer cannot be trained: %s", message));
  EF_GO(wrap(sp, tokenizer));
done:
  ef_free(list.text);
  ef_free(list.bytes);
  return status;
}

/* ---- loading ------------------------------------------------------------------------------------------ */

static int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Value of the byte piece "<0xHH>", -1 if it is none. */
static int byte_value(const char *text, size_t bytes) {
  if (bytes != 6 || memcmp(text, "<0x", 3) != 0) return -1;
  int high = hex_digit(text[3]), low = hex_digit(text[4]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Writes the bytes that token `id` stands for to `out` (room for its spelling) and gives their number. */
static size_t spell(ef_tokenizer *t, size_t id, char *out) {
  const char *text;
  size_t bytes, n = 0;
  ef_sp_kind kind = ef_sp_piece(t->sp, id, &text, &bytes);
  if (kind == EF_SP_CONTROL || kind == EF_SP_UNKNOWN) return 0;
  if (kind == EF_SP_BYTE) {
    int value = byte_value(text, bytes);
    if (value < 0) return 0;
    t->byte_id[value] = (int32_t)id;
    out[0] = (char)value;
    return 1;
  }
  for (size_t i = 0; i < bytes;) {
    bool space = bytes - i >= MARKER_BYTES && memcmp(text + i, marker, MARKER_BYTES) == 0;
    out[n++] = space ? ' ' : text[i];
    i += space ? MARKER_BYTES : 1;
  }
  return n;
}

static ef_status make_table(ef_tokenizer *t) {
  size_t total = 0;
  for (size_t id = 0; id < t->size; id++) {
    const char *text;
    size_t bytes;
    ef_sp_piece(t->sp, id, &text, &bytes);
    total += bytes;
  }
  EF_TRY(EF_NEW(t->text, total + 1));
  EF_TRY(EF_NEW(t->start, t->size + 1));
  for (size_t b = 0; b < BYTE_VALUES; b++) t->byte_id[b] = -1;
  for (size_t id = 0; id < t->size; id++) {
    t->start[id + 1] = t->start[id] + spell(t, id, t->text + t->start[id]);
  }
  return EF_OK;
}

/* The ids that the program relies on. */
static ef_status check_model(const ef_tokenizer *t) {
  const char *text;
  size_t bytes;
  bool special = t->size > EF_TOKEN_EOS &&
                 ef_sp_piece(t->sp, EF_TOKEN_UNKNOWN, &text, &bytes) == EF_SP_UNKNOWN &&
                 ef_sp_piece(t->sp, EF_TOKEN_BOS, &text, &bytes) == EF_SP_CONTROL &&
                 ef_sp_piece(t->sp, EF_TOKEN_EOS, &text, &bytes) == EF_SP_CONTROL;
  EF_TRY(EF_CHECK(special, EF_INPUT, "tokenizer: ids 0, 1, 2 are not unknown, begin and end"));
  for (size_t b = 0; b < BYTE_VALUES; b++) {
    EF_TRY(EF_CHECK(t->byte_id[b] >= 0, EF_INPUT,
                    "tokenizer: no token for byte 0x%02zx; byte fallback is needed", b));
  }
  return EF_OK;
}

/* Takes over `sp`, also on failure. */
static ef_status wrap(ef_sp *sp, ef_tokenizer **tokenizer) {
  ef_tokenizer *t = ef_alloc(1, sizeof *t);
  if (!t) {
    ef_sp_free(sp);
    return ef_fail(EF_MACHINE, __FILE__, __LINE__, "out of memory: tokenizer");
  }
  t->sp = sp;
  t->size = ef_sp_size(sp);
  ef_status status;
  EF_GO(make_table(t));
  EF_GO(check_model(t));
  *tokenizer = t;
  return EF_OK;
done:
  ef_tokenizer_free(t);
  return status;
}

ef_status ef_tokenizer_load(const void *model, size_t bytes, ef_tokenizer **tokenizer) {
  char message[MESSAGE_BYTES] = "";
  ef_sp *sp = NULL;
  *tokenizer = NULL;
  ef_sp_code code = ef_sp_load(model, bytes, &sp, message, sizeof message);
  EF_TRY(EF_CHECK(code != EF_SP_REFUSED, EF_INPUT, "not a SentencePiece model: %s", message));
  EF_TRY(EF_CHECK(code == EF_SP_OK, EF_MACHINE, "the tokenizer cannot be loaded: %s", message));
  return wrap(sp, tokenizer);
}

void ef_tokenizer_model(const ef_tokenizer *tokenizer, const void **model, size_t *bytes) {
  *model = ef_sp_model(tokenizer->sp, bytes);
}

void ef_tokenizer_free(ef_tokenizer *tokenizer) {
  if (!tokenizer) return;
  ef_sp_free(tokenizer->sp);
  ef_free(tokenizer->text);
  ef_free(tokenizer->start);
  ef_free(tokenizer);
}

size_t ef_tokenizer_size(const ef_tokenizer *tokenizer) { return tokenizer->size; }

/* ---- encoding ----------------------------------------------------------------------------------------- */

static size_t encode_bytes(const ef_tokenizer *t, const char *text, size_t bytes, int32_t *ids) {
  for (size_t i = 0; i < bytes; i++) ids[i] = t->byte_id[(unsigned char)text[i]];
  return bytes;
}

static bool decodes_to(const ef_tokenizer *t, const int32_t *ids, size_t count, const char *text,
                       size_t bytes) {
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    if (ids[i] < 0 || (size_t)ids[i] >= t->size) return false;
    size_t start = t->start[ids[i]], n = t->start[ids[i] + 1] - start;
    if (n > bytes - at || memcmp(t->text + start, text + at, n) != 0) return false;
    at += n;
  }
  return at == bytes;
}

/* A run without the marker; room for as many ids as bytes. What the library does not give back byte by byte
 * (text that is not UTF-8) is written as bytes. */
static ef_status encode_run(const ef_tokenizer *t, const char *text, size_t bytes, int32_t *ids,
                            size_t *count) {
  *count = 0;
  if (bytes == 0) return EF_OK;
  ef_sp_code code = ef_sp_encode(t->sp, text, bytes, ids, bytes, count);
  EF_TRY(EF_CHECK(code != EF_SP_MACHINE, EF_MACHINE, "the tokenizer failed on a text of %zu bytes", bytes));
  bool exact = code == EF_SP_OK && *count <= bytes && decodes_to(t, ids, *count, text, bytes);
  if (!exact) *count = encode_bytes(t, text, bytes, ids);
  return EF_OK;
}

static ef_status encode_into(const ef_tokenizer *t, const char *text, size_t bytes, int32_t *ids,
                             size_t *count) {
  *count = 0;
  while (bytes > 0) {
    const char *found = memmem(text, bytes, marker, MARKER_BYTES);
    size_t run = found ? (size_t)(found - text) : bytes, n;
    EF_TRY(encode_run(t, text, run, ids + *count, &n));
    *count += n;
    if (found) {
      *count += encode_bytes(t, found, MARKER_BYTES, ids + *count);
      run += MARKER_BYTES;
    }
    text += run;
    bytes -= run;
  }
  return EF_OK;
}

ef_status ef_tokenizer_encode(const ef_tokenizer *tokenizer, const char *text, size_t bytes, int32_t **ids,
                              size_t *count) {
  EF_TRY(EF_NEW(*ids, bytes));
  ef_status status = encode_into(tokenizer, text, bytes, *ids, count);
  if (status == EF_OK) return EF_OK;
  ef_free(*ids);
  *ids = NULL;
  return status;
}

ef_status ef_tokenizer_decode(const ef_tokenizer *tokenizer, const int32_t *ids, size_t count, char **text,
                              size_t *bytes) {
  const ef_tokenizer *t = tokenizer;
  *bytes = 0;
  for (size_t i = 0; i < count; i++) {
    EF_TRY(EF_CHECK(ids[i] >= 0 && (size_t)ids[i] < t->size, EF_INPUT,
                    "token %d is outside of the vocabulary of %zu", ids[i], t->size));
    *bytes += t->start[ids[i] + 1] - t->start[ids[i]];
  }
  EF_TRY(EF_NEW(*text, *bytes + 1));
  char *out = *text;
  for (size_t i = 0; i < count; i++) {
    size_t n = t->start[ids[i] + 1] - t->start[ids[i]];
    memcpy(out, t->text + t->start[ids[i]], n);
    out += n;
  }
  return EF_OK;
}
