/*
 * Conditioning by particles: what is given x_K is heard, and what is drawn follows from it exactly, in the limit.
 *
 * A flow whose network is the best one is a model of messages: at every step each variable sends y_i ~ p_R(y_i |
 * theta), its receiver distribution E_{x' ~ p_O(theta)} N(y_i; x', 1 / alpha_i) (of classes N(y_i; alpha (K e_x' - 1),
 * alpha K I)), all of them hear all y_i, and at the end x ~ p_O(x | theta_n). With steps enough the variables of a
 * message are independent given theta, and its marginal over the messages is the distribution of the data. Under it a
 * variable whose value is x sends N(x, 1 / alpha_i), whatever the others do. So, with messages y_K of what is given
 * drawn from there,
 *
 *   p(x_U | x_K) = E_{y_K | x_K} p(x_U | y_K, x_K),
 *   p(x_U, y_U | y_K, x_K) ~ p_O(x_K | theta_n) prod_i p_R(y_K,i | theta_{i-1}) p_R(y_U,i | theta_{i-1})  p_O(x_U |
 * theta_n)
 *
 * which is a sequence to filter: P particles hear the same y_K, draw y_U,i each from its own theta, and are weighted by
 *
 *   w_i = p_R(y_K,i | theta_{i-1}) / N(y_K,i; x_K, 1 / alpha_i)         (the same divisor for all)
 *       real values, components (pi, m, s):  sum pi N(y; m, s^2 + 1 / alpha) / N(y; x, 1 / alpha)
 *       bins with centres c:                 sum_k p_k exp(alpha ((y - x)^2 - (y - c_k)^2) / 2)
 *       classes:                             sum_k p_k exp(y_k - y_x)
 *
 * and at last by p_O(x_K | theta_n), of bins and classes (of real values the messages leave nothing open). Where the
 * effective number of particles (sum w)^2 / sum w^2 falls below P / 2 they are drawn anew, systematically. One particle
 * at the end, by its weight, is the sample. Clamping is the same with P = 1: the weights that would say that what was
 * drawn early does not go with what is given are not there. The expectation of ln w_i over y_i in a short step, -(alpha
 * K / 2) |e - p|^2 of classes and -(alpha / 2) (x - m)^2 of real values, is ProtBFN's weight (spec 2.10); it leaves the
 * part out that has mean 0 but does not vanish over many steps, and is not exact.
 *
 * Sums over variables, weights and resampling are in double on the host, and depend on seed, sample and step alone.
 */
#ifndef BF_FLOW_PARTICLES_H
#define BF_FLOW_PARTICLES_H

#include "flow/ops.h"

/* What a group has in the sampler; rows of a sample's particles are one behind the other. */
typedef struct bf_particles_group {
    const bf_flow *flow;
    bf_flow_shape shape;                     /* batch: samples times particles */
    bf_mem state, value;                     /* moved on; what it was sent about */
    bf_mem input, net, t, xi, given, record; /* as for bf_flow_op_step; given [batch, dims] */
} bf_particles_group;

typedef struct bf_particles bf_particles;

/* Memory on the device for these groups. */
uint64_t bf_particles_bytes(int groups, const bf_particles_group *group);
/* `particles` divides the batch. The groups are copied. */
bf_status bf_particles_new(bf_ctx *ctx, int particles, int groups, const bf_particles_group *group, bf_particles **out,
                           bf_err *err);
void bf_particles_free(bf_particles *p);

/* Which draw: sample `first` is the first one here. */
typedef struct bf_particles_key {
    uint64_t seed;
    uint32_t first, step;
} bf_particles_key;

void bf_particles_begin(bf_particles *p); /* all weights alike */
/* Logarithms of the weights [batch] since the beginning, or since the sample's particles were drawn anew. */
const double *bf_particles_weights(const bf_particles *p);
/* Before a step: the noise of messages about what is given becomes the same for all particles of a sample. */
bf_status bf_particles_share(bf_particles *p, bf_err *err);
/* After it: weighs by the messages, and draws anew where that is needed. */
bf_status bf_particles_hear(bf_particles *p, const bf_particles_key *key, bf_err *err);
/* After the last call: weighs, by the messages where a step followed it (`stepped`), else by what it says about what is
 * given, and chooses a row [samples] of each sample. */
bf_status bf_particles_choose(bf_particles *p, const bf_particles_key *key, bool stepped, uint32_t *row, bf_err *err);

#endif
