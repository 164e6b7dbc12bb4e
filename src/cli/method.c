#include "cli/method.h"

ef_status ef_cli_method(ef_cli *cli, const char *name, const ef_method **method) {
  *method = name ? ef_method_find(name) : &ef_methods[0];
  EF_TRY(EF_CHECK(*method, EF_USAGE, "--method %s: no such method; edgefuse knows: %s", name,
                  ef_method_names()));
  for (const char *const *s = (*method)->settings; s && *s; s++) EF_TRY(ef_cli_set(cli, *s));
  return EF_OK;
}
