/* Text that the proxies write (fusion.transfer generated): an extension that carries a cluster's knowledge as
 * text beside the public text.
 *
 * A proxy's text is a row of samples of federation.context tokens: BOS, EF_PROMPT tokens of the public text
 * of its cluster's domain, then what the proxy draws at fusion.generated_temperature, fusion.generated_tokens
 * of them in all. It is a unit of work on one rank and is kept as a part; a stop in the middle begins it
 * anew.
 */
#pragma once

#include "fusion/proxy.h"

enum { EF_PROMPT = 8, EF_GENERATED_ROWS = 16 }; /* tokens of a prompt; samples that are written together */

/* True if the deck asks for it. Pure. */
bool ef_generated_on(const ef_deck *deck);

/* Tokens of one proxy's text, prompts with it. Pure. */
size_t ef_generated_length(const ef_deck *deck);

/* Makes the parts that are not there, for the proxies of round clusters->round. EF_STOPPED. Collective. */
ef_status ef_generated_make(ef_run *run, const ef_population *population, const ef_clusters *clusters);

/* The text of proxies first .. first+count-1, one behind the other; the caller's (ef_stream_free). Local. */
ef_status ef_generated_load(const ef_run *run, const ef_clusters *clusters, size_t first, size_t count,
                            ef_stream *text);
