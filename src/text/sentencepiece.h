/* The SentencePiece library behind a C interface: a thin shim, the only C++ of the tree. No exception leaves
 * it; a failure gives a code and one line of text. Texts are taken and given as bytes with their number.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ef_sp ef_sp; /* opaque */

/* EF_SP_REFUSED: the library says no to this input. EF_SP_MACHINE: no memory, or a failure inside of it. */
typedef enum ef_sp_code { EF_SP_OK, EF_SP_REFUSED, EF_SP_MACHINE } ef_sp_code;

typedef enum ef_sp_kind { EF_SP_TEXT, EF_SP_BYTE, EF_SP_CONTROL, EF_SP_UNKNOWN } ef_sp_kind;

/* Trains BPE with byte fallback on `count` texts; on success *sp is to be freed with ef_sp_free. Local. */
ef_sp_code ef_sp_train(const char *const *texts, const size_t *bytes, size_t count, size_t vocabulary,
                       ef_sp **sp, char *message, size_t message_size);

/* From the bytes of a model file. Local. */
ef_sp_code ef_sp_load(const void *model, size_t model_bytes, ef_sp **sp, char *message, size_t message_size);
void ef_sp_free(ef_sp *sp);

/* Bytes of the model file; they belong to sp. Local. */
const void *ef_sp_model(const ef_sp *sp, size_t *model_bytes);

/* Number of pieces; kind and spelling of one: `*bytes` bytes that belong to sp (a byte piece: "<0x41>").
 * Local. */
size_t ef_sp_size(const ef_sp *sp);
ef_sp_kind ef_sp_piece(const ef_sp *sp, size_t id, const char **text, size_t *bytes);

/* Ids of a text: writes at most `capacity` of them and their true number. Local. */
ef_sp_code ef_sp_encode(const ef_sp *sp, const char *text, size_t bytes, int32_t *ids, size_t capacity,
                        size_t *count);

#ifdef __cplusplus
}
#endif
