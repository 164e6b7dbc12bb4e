#include "base/build.h"

#include "build_info.h"

const char *ef_build_version(void) { return EF_BUILD_VERSION; }
const char *ef_build_revision(void) { return EF_BUILD_REVISION; }
const char *ef_build_compiler(void) { return EF_BUILD_COMPILER; }
const char *ef_build_type(void) { return EF_BUILD_TYPE; }
