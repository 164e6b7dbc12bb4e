/* Sanitizer builds only: plugins of MPI stay loaded, so that the leak reports keep their stacks. */
int dlclose(void *handle);
int dlclose(void *handle) {
  (void)handle;
  return 0;
}
