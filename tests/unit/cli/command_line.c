/* The command line: one line for each mistake, exit code 2, help that names every option. */
#include "test_cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

Test(command_line, mistakes_give_one_line) {
  static const struct {
    const char *arguments[6], *message;
  } cases[] = {
      {{NULL}, "no command; edgefuse --help lists them"},
      {{"imprt"}, "imprt: unknown command; did you mean import?"},
      {{"quantumise"}, "quantumise: unknown command; edgefuse --help lists them"},
      {{"import", "a"}, "import: wants DIR OUT.h5; edgefuse import --help explains it"},
      {{"import", "a", "b", "c"}, "import: one argument too many: c"},
      {{"inspect"}, "inspect: wants FILE; edgefuse inspect --help explains it"},
      {{"inspect", "a", "--verfy"}, "inspect: unknown option --verfy; did you mean --verify?"},
      {{"inspect", "a", "--verify=1"}, "inspect: option --verify takes no value"},
      {{"generate", "--t=5"}, "generate: option --t is ambiguous"},
      {{"generate", "a", "--tokens"}, "generate: option --tokens wants a value"},
      {{"generate", "a", "-z"}, "generate: unknown option -z"},
      {{"generate", "a", "-vz"}, "generate: unknown option -vz"},
      {{"generate", "a", "--tokens", "9x"}, "generate: --tokens 9x: wants a whole number from 0 to 1000000"},
      {{"generate", "a", "--temperature=-1"}, "generate: --temperature -1: wants a number from 0 to 1000"},
      {{"generate", "a"}, "generate: wants --prompt TEXT or --ids 1,2,3"},
      {{"generate", "a", "--prompt=x", "--ids=1"}, "generate: wants --prompt TEXT or --ids 1,2,3"},
      {{"generate", "a", "--prompt=x", "--backend=bals"},
       "--backend bals: is not one of blas|ref|guard|guard:ref; did you mean blas?"},
      {{"forward", "a", "--ids", "b"}, "forward: wants --ids FILE.safetensors and --out FILE.h5"},
      {{"diff", "a", "b", "--set", "seed"}, "diff: --set seed: wants section.key=value"},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    cr_expect_eq(run_command(NULL, 0, cases[i].arguments), EF_USAGE, "%zu", i);
    cr_expect_str_eq(ef_message(), cases[i].message, "\n got: %s\nwant: %s", ef_message(), cases[i].message);
  }
}

Test(command_line, help_of_every_command) {
  for (const ef_command *command = ef_commands; command->name; command++) {
    char out[8192], usage[64];
    cr_expect_eq(RUN(out, command->name, "--help"), EF_OK, "%s: %s", command->name, ef_message());
    snprintf(usage, sizeof usage, "Usage: edgefuse %s ", command->name);
    cr_expect(strncmp(out, usage, strlen(usage)) == 0, "%s: %s", command->name, out);
    cr_expect_not_null(strstr(out, "--json"), "%s", command->name);
    cr_expect_eq(ef_command_find(command->name), command);
  }
  cr_expect_null(ef_command_find("nothing"));
}

Test(command_line, list_of_commands_and_version) {
  char out[8192];
  cr_expect_eq(RUN(out, "--help"), EF_OK);
  for (const ef_command *command = ef_commands; command->name; command++) {
    cr_expect_not_null(strstr(out, command->help), "%s", command->name);
  }
  cr_expect_not_null(strstr(out, "  75 stopped cleanly with a checkpoint"));
  cr_expect_eq(RUN(out, "--version"), EF_OK);
  cr_expect(strncmp(out, "edgefuse ", 9) == 0, "%s", out);
}

/* The program itself: exit codes, and one line on standard error. */
Test(command_line, exit_codes_of_the_program, .timeout = 60) {
  const char *binary = getenv("EDGEFUSE_BINARY");
  if (!binary) cr_skip_test("EDGEFUSE_BINARY is not set");
  static const struct {
    const char *arguments;
    int code, lines;
  } cases[] = {
      {"--version", 0, 0},
      {"no-such-command", 2, 1},
      {"import /no/such/folder /tmp/never.h5", 4, 1},
      {"inspect /no/such/file.h5", 5, 1},
  };
  for (size_t i = 0; i < COUNT(cases); i++) {
    char command[1024], line[1024];
    snprintf(command, sizeof command, "'%s' %s 2>&1 >/dev/null", binary, cases[i].arguments);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    int lines = 0;
    while (fgets(line, sizeof line, pipe)) {
      lines++;
      cr_expect(strncmp(line, "edgefuse: ", 10) == 0, "%s: %s", cases[i].arguments, line);
    }
    int rc = pclose(pipe);
    cr_expect(WIFEXITED(rc) && WEXITSTATUS(rc) == cases[i].code, "%s: %d", cases[i].arguments,
              WEXITSTATUS(rc));
    cr_expect_eq(lines, cases[i].lines, "%s: %d lines", cases[i].arguments, lines);
  }
}
