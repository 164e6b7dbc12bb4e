/* Private to store/: the element types that safetensors files may name. */
#pragma once

#include "store/safetensors.h"

/* Type and bytes per element of the name in a header ("BF16"); 0 for a name that the format does not know.
 * Local. */
size_t ef_dtype_bytes(const char *name, ef_dtype *dtype);
