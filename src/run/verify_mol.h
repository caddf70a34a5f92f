/* What the replays of molecules in pockets share: golden README, section 12. */
#ifndef BF_RUN_VERIFY_MOL_H
#define BF_RUN_VERIFY_MOL_H

#include "run/model.h"
#include "run/molcraft.h"
#include "run/replay.h"

/* Part of the official network, and never used. */
#define BF_MOL_UNREAD "unio2net.init_h_emb_layer."

/* Complexes of one batch: which atoms they have, and the words that the network's graph wants. */
typedef struct bf_mol_batch {
    uint32_t complexes, pocket, ligand; /* atoms of all complexes */
    float *pocket_of, *ligand_of;       /* [pocket], [ligand]: complex of every atom, ascending */
    uint32_t *offset, *segment;         /* nodes: [complexes + 1], [pocket + ligand] */
    uint32_t *row, *node;               /* [pocket + ligand]: from nodes to rows (pockets, then ligands) and back */
} bf_mol_batch;

/* Of the stored tensors `pocket_of` and `ligand_of`. Free in every case. */
bf_status bf_mol_batch_read(const bf_verify *v, const char *pocket_of, const char *ligand_of, bf_mol_batch *out,
                            bf_err *err);
void bf_mol_batch_free(bf_mol_batch *b);

/* A file's settings and how they are computed. */
typedef struct bf_mol_case {
    bf_verify *v;
    bf_molcraft settings;
    bf_config config;
    bf_hybrid hybrid;
    bf_unio2 net;
    double scale;              /* position_scale */
    const bf_mol_batch *batch; /* that the next graph is for */
} bf_mol_case;

/* From `config` and `position_scale` of the metadata; type_weight: of the loss of types. Close in every case. */
bf_status bf_mol_case_open(bf_verify *v, double type_weight, bf_mol_case *out, bf_err *err);
void bf_mol_case_close(bf_mol_case *c);

/* bf_net_fn: the network for c->batch (bf_mol_case *), with inputs of its own that bf_mol_fill writes. */
void bf_mol_net(void *user, bf_graph *g, const bf_tid *input, bf_tid t, bf_tid *out);
/* Places of atoms, and the pockets: positions [pocket,3] centred, features. */
bf_status bf_mol_fill(const bf_mol_case *c, const bf_graph *g, const float *pocket_x, const float *pocket_v,
                      bf_err *err);

/*
 * Positions in Angstrom into the network's frame, in place: divided by the scale, `noise` [pocket,3] added to the
 * pocket where it is not NULL, multiplied by `rotation` [3,3] from the right where it is not NULL, and the mean of the
 * pocket of each complex, which goes to centre [complexes,3], subtracted. ligand_x may be NULL.
 */
void bf_mol_frame(const bf_mol_case *c, float *pocket_x, float *ligand_x, const float *noise, const float *rotation,
                  double *centre);

/* The neighbours of these positions against the stored edges [2,E], (source, target) sorted by target, then distance.
 */
bf_status bf_mol_check_edges(const bf_mol_case *c, const char *name, const float *pocket_x, const float *ligand_x,
                             bf_err *err);

/* The loss of a stored batch. Set what is above the line, read, build, plan and emit the graph, fill, run, then look.
 */
typedef struct bf_mol_loss {
    bf_mol_case *c;
    const char *data, *draws; /* prefixes of the tensors: "s0.", "s0."; "", "loss." */
    bool framed;              /* positions are in the network's frame already; else: */
    double noise_std;         /* of the noise on the pocket */
    bool rotate;
    double
        relative; /* tolerance of the losses beside their noise: a part of the largest; 0: as of all forward values */
    /* ---- */
    bf_replay *r;
    bf_mol_batch batch;
    float *pocket_x, *pocket_v, *ligand_x, *types;
    float *t, *times; /* of the complexes, of the atoms */
    float *weight;    /* of an atom, so that every complex counts as much */
    bf_tid time, total, weights;
    bf_group_nodes nodes[2];
} bf_mol_loss;
bf_status bf_mol_loss_read(bf_mol_loss *s, bf_err *err);
bf_status bf_mol_loss_build(bf_mol_loss *s, bf_replay *r, bool gradients, bf_err *err);
bf_status bf_mol_loss_fill(const bf_mol_loss *s, bf_err *err);
bf_status bf_mol_loss_value(const bf_mol_loss *s, float *loss, bf_err *err);
/* Losses of the groups and edges. */
bf_status bf_mol_loss_check(const bf_mol_loss *s, bf_err *err);
void bf_mol_loss_free(bf_mol_loss *s);

/* "vanilla", "end_back", ... */
bf_status bf_mol_mode(const char *name, bf_sampler_mode *out, bf_err *err);

/* The stored sampling run PREFIX + ...; centred pockets in pocket_x, centre as bf_mol_frame gave it. Weights are those
 * of BF_SET_VALUE. */
bf_status bf_mol_check_sampling(const bf_mol_case *c, bf_params *params, const char *prefix, bf_sampler_mode mode,
                                const float *pocket_x, const float *pocket_v, const double *centre, bf_err *err);

#endif
