/* Files for checkpoint.sh that only HDF5 can make, with right checksums:
 *   hdf5_maker foreign FILE            an HDF5 file that edgefuse did not write
 *   hdf5_maker version FILE NUMBER     changes the attribute format_version of an edgefuse file
 */
#include <hdf5.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int make_foreign(const char *path) {
  const hsize_t shape[1] = {4};
  const double values[4] = {1, 2, 3, 4};
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  hid_t space = H5Screate_simple(1, shape, NULL);
  hid_t data = H5Dcreate2(file, "values", H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  herr_t rc = H5Dwrite(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
  H5Dclose(data);
  H5Sclose(space);
  return H5Fclose(file) < 0 || rc < 0;
}

static int set_version(const char *path, int64_t version) {
  hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
  hid_t attribute = H5Aopen_by_name(file, "/", "format_version", H5P_DEFAULT, H5P_DEFAULT);
  herr_t rc = H5Awrite(attribute, H5T_NATIVE_INT64, &version);
  H5Aclose(attribute);
  return H5Fclose(file) < 0 || rc < 0;
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "foreign") == 0) return make_foreign(argv[2]);
  if (argc == 4 && strcmp(argv[1], "version") == 0) return set_version(argv[2], strtoll(argv[3], NULL, 10));
  return 2;
}
