/* market.h5: what a market study found, as NXdata groups that viewers draw (kind "series").
 *
 *   /simulation/<workload>/summary   (mechanism)         means over the slots
 *   /simulation/<workload>/slots     (mechanism, slot)   every slot
 *   /simulation/<workload>/traffic   (slot)              users, bidders, unit cost, coins
 *   /simulation/<workload>/time      (mechanism, slot)   measured seconds: the only figures that two equal
 *                                                        studies do not share, with /sweep/.../seconds
 *   /bids/<workload>                 (bidder)            slot, bid, demand; (bidder, mechanism) units,
 * payment /sweep/<setting>/<workload>      (point, mechanism)  means over the slots /traces/<name> (entry)
 * what drove it; attributes `synthetic` and `file`
 *
 * Groups with an axis `mechanism` have its names in the attribute `mechanisms` ("aeria-t,aeria-e,...");
 * /simulation says of each, in the same order, whether it is truthful and has one price.
 */
#pragma once

#include "study/study.h"

/* Writes `path`; `ranks` goes into the header. EF_MACHINE. Local. */
ef_status ef_market_file_write(const ef_study *study, const char *path, int ranks);
