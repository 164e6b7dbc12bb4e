#include "deck/fields.h"

#include <string.h>

static void put_real(FILE *out, double value) {
  char text[EF_REAL_BYTES];
  fputs(ef_real_text(value, text), out);
}

static void put_type(FILE *out, const ef_field *field) {
  const char *unit = strcmp(field->unit, "1") == 0 ? "" : field->unit, *space = *unit ? " " : "";
  switch (field->kind) {
  case EF_KIND_INT:
    fprintf(out, "whole number, %lld to %lld%s%s", (long long)field->integer_least,
            (long long)field->integer_greatest, space, unit);
    break;
  case EF_KIND_REAL:
    fputs("number, ", out);
    put_real(out, field->real_least);
    fputs(" to ", out);
    put_real(out, field->real_greatest);
    fprintf(out, "%s%s", space, unit);
    break;
  case EF_KIND_BOOL:
    fputs("true or false", out);
    break;
  case EF_KIND_TEXT:
    fputs(*field->choices ? field->choices : "text", out);
    break;
  case EF_KIND_LIST:
    fputs("list of texts", out);
    break;
  case EF_KIND_FAMILIES:
    fputs("list of entries, keys below", out);
    break;
  }
}

static void put_default(FILE *out, const ef_field *field, int recipe) {
  switch (field->kind) {
  case EF_KIND_INT:
    fprintf(out, "%lld", (long long)field->integer[recipe]);
    break;
  case EF_KIND_REAL:
    put_real(out, field->real[recipe]);
    break;
  case EF_KIND_BOOL:
    fputs(field->integer[recipe] ? "true" : "false", out);
    break;
  case EF_KIND_TEXT:
    fputs(*field->text ? field->text : "\"\"", out);
    break;
  case EF_KIND_LIST:
    fputs("[]", out);
    break;
  case EF_KIND_FAMILIES:
    fputs("gpt2, llama, olmo", out);
    break;
  }
}

static void put_field(FILE *out, const ef_field *field, const char *indent) {
  fprintf(out, "%s%-18s ", indent, field->key);
  put_type(out, field);
  fputs("; default ", out);
  if (field->recipe) {
    put_default(out, field, 0);
    fputs(" (recipe paper) or ", out);
    put_default(out, field, 1);
    fputs(" (recipe extended)", out);
  } else {
    put_default(out, field, 0);
  }
  fprintf(out, "\n%s%-18s   %s\n", indent, "", field->help);
}

void ef_deck_help(FILE *out) {
  fputs(
      "The deck is YAML: sections of keys. Every key has a default; --set section.key=value overrides one.\n",
      out);
  for (size_t s = 0; s < ef_section_count; s++) {
    fprintf(out, "\n%s:  # %s\n", ef_sections[s].name, ef_sections[s].help);
    for (size_t i = 0; i < ef_field_count; i++) {
      if (strcmp(ef_fields[i].section, ef_sections[s].name) != 0) continue;
      put_field(out, &ef_fields[i], "  ");
      if (ef_fields[i].kind != EF_KIND_FAMILIES) continue;
      for (size_t f = 0; f < ef_family_field_count; f++) put_field(out, &ef_family_fields[f], "      ");
    }
  }
}
