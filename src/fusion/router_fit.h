/* Routers and scales of the merged model that look at data: the domain prior and the routed scale
 * (deepfusion.md section 5, "Router init" and "Scale"), from public windows of each cluster's domain.
 */
#pragma once

#include "fusion/proxy.h"

/* Layer by layer, with the routers of the layers below already set: fusion.router = prior sets the router
 * rows from the mean router inputs of the clusters' own public text; fusion.scale scales the routed down
 * matrices by least squares. Does nothing when neither is asked for. bases (clusters->count) are the models
 * that were merged. EF_MACHINE. Local. */
ef_status ef_router_fit(const ef_run *run, const ef_clusters *clusters, const ef_model *bases, ef_model *moe);
