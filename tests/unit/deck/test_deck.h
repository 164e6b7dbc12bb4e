/* Shared by the tests of the deck: reading from text, and the message of a failure. */
#pragma once

#include "base/memory.h"
#include "deck/deck.h"
#include <criterion/criterion.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Reads `yaml` under the name deck.yaml with up to three overrides (NULL ends them). */
ef_status deck_from(const char *yaml, const char *const *overrides, ef_deck *deck);

/* Asserts that the deck is refused with exactly this message, and that nothing stays allocated. */
void expect_refused(const char *yaml, const char *override, const char *message);
