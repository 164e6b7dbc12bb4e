/* What this binary is: written into every file that it makes. */
#pragma once

const char *ef_build_version(void);  /* "0.1.0" */
const char *ef_build_revision(void); /* git describe, or "unknown" */
const char *ef_build_compiler(void); /* "GNU 12.2.0" */
const char *ef_build_type(void);     /* "Release -march=native" */
