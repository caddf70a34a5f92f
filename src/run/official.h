/* The configuration JSON of the official releases (golden files, converted checkpoints), as descriptions of ours. */
#ifndef BF_RUN_OFFICIAL_H
#define BF_RUN_OFFICIAL_H

#include <jansson.h>

#include "flow/flow.h"
#include "net/net.h"
#include "run/config.h"

/* Parses text of the metadata or of a file; `name` for messages. The caller decrefs *out. */
bf_status bf_official_parse(const char *name, const char *text, json_t **out, bf_err *err);

/* "class_name" of one part ({"class_name", "parameters"}), "" when absent. */
const char *bf_official_class(const json_t *part);

/* {"net", "input_adapter", "output_adapter"} with net class UNetModel, UNetVDM or GPT -> a resolved description.
 * BF_FILE on missing or impossible entries. */
bf_status bf_official_net(const json_t *model, bf_net_config *out, bf_err *err);
bool bf_official_net_known(const char *class_name);

bf_status bf_official_image_adapter(const json_t *part, bf_image_adapter *out, bf_err *err);
bf_status bf_official_text_adapter(const json_t *part, bf_text_adapter *out, bf_err *err);
bf_status bf_official_output_adapter(const json_t *part, bf_output_adapter *out, bf_err *err);

/* {"bayesian_flow", "loss", "distribution_factory"} with flow class DiscreteBayesianFlow or CtsBayesianFlow (the output
 * distribution says whether the data are continuous or discretised). BF_FILE as above. */
bf_status bf_official_flow(const json_t *model, bf_flow *out, bf_err *err);

/* A whole configuration file ({"model": {"net", "bayesian_flow", ...}}): network and flow as keys of ours, the height,
 * width and channels of an example, and the network itself. BF_FILE for a network or a flow that is not known. */
bf_status bf_official_config(const json_t *root, bf_config *c, uint32_t shape[3], bf_net_config *net, bf_err *err);
/* Some official options have no key of ours: then the network that the keys describe is another one. */
bool bf_official_same_net(const bf_net_config *a, const bf_net_config *b);

#endif
