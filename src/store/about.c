#include "store/about.h"

#include "store/h5_internal.h"

ef_status ef_h5_about_get(ef_h5_about *about) {
  *about = (ef_h5_about){.built = {H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE}};
#ifdef H5_HAVE_PARALLEL
  about->parallel = true;
#endif
  herr_t rc = H5get_libversion(&about->linked[0], &about->linked[1], &about->linked[2]);
  return EF_H5_CHECK(rc >= 0, EF_MACHINE, "HDF5 does not tell its version");
}
