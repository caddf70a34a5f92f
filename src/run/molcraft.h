/*
 * The settings of MolCRAFT's release: "dynamics" in its configuration, as golden files and the hyper_parameters of its
 * checkpoints have it. Entries of a configuration that the release has only one released value for are checked against
 * it, so that a network of another kind is never taken for this one.
 */
#ifndef BF_RUN_MOLCRAFT_H
#define BF_RUN_MOLCRAFT_H

#include <jansson.h>

#include "io/tensors.h"
#include "net/unio2.h"
#include "run/config.h"

enum bf_molcraft_time { BF_MOLCRAFT_SIMPLE, BF_MOLCRAFT_RBF, BF_MOLCRAFT_RBFNN };
enum bf_molcraft_mode {
    BF_MOLCRAFT_VANILLA,
    BF_MOLCRAFT_END_BACK,
    BF_MOLCRAFT_END_BACK_PMF,
    BF_MOLCRAFT_END_BACK_MODE
};

typedef struct bf_molcraft {
    int features, types; /* numbers per pocket atom, classes of ligand atoms */
    int width, heads, layers, neighbours;
    int time_dim;  /* numbers that say the time; 0: none, the mode has no meaning */
    int time_mode; /* enum bf_molcraft_time */
    double sigma1, beta1;
    double t_min;     /* prediction of noise: positions are 0 before it */
    bool destination; /* the network predicts positions, not noise */
    bool discrete;    /* loss of `steps` steps instead of continuous time */
    int steps;
    bool random_start; /* mu_0 is one normal draw per molecule, not 0 */
    int mode;          /* of sampling, enum bf_molcraft_mode */
} bf_molcraft;

/* BF_FILE for a missing, impossible or unsupported entry. */
bf_status bf_molcraft_read(const json_t *dynamics, bf_molcraft *out, bf_err *err);

/* The network of these settings. */
bf_unio2 bf_molcraft_net(const bf_molcraft *m);

/* hyper_parameters of a PyTorch checkpoint as JSON, objects that act as dictionaries as such; and where "dynamics" is
 * in it. Both NULL where the file has none. The caller decrefs *hyper. */
bf_status bf_molcraft_hyper(const bf_pt *f, json_t **hyper, const json_t **dynamics, bf_err *err);

/* What the weights say about the time input goes before what the settings say; BF_FILE when the file has no
 * "ligand_atom_emb.weight" of the right width. */
bf_status bf_molcraft_time_input(bf_molcraft *m, const bf_tensors *f, bf_err *err);

/*
 * The keys of a configuration of ours (run/config.h) that say the same; `hyper`, which may be NULL, adds what its
 * sections data, train and evaluation say about scale, training and sampling. BF_FILE where no key says it.
 */
bf_status bf_molcraft_config(const bf_molcraft *m, const json_t *hyper, bf_config *out, bf_err *err);

/* The settings by name, for people. */
json_t *bf_molcraft_json(const bf_molcraft *m);

#endif
