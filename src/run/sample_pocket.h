/* Drawing ligands into the pocket of a receptor: what is decided before, and what became of them. */
#ifndef BF_RUN_SAMPLE_POCKET_H
#define BF_RUN_SAMPLE_POCKET_H

#include "chem/site.h"
#include "run/model.h"

typedef struct bf_docking {
    bf_site site;
    uint32_t *atoms;  /* [n] of every ligand */
    uint32_t largest; /* of them */
    uint32_t batch;   /* ligands at a time */
} bf_docking;

/*
 * Reads the receptor that o->pocket names with what says where (o->ligand or o->center), decides how many atoms each of
 * the n ligands has (more than `held`, those of a scaffold) and how many of them make a batch, and tells the model's
 * next graphs how much room that takes. Free in every case. BF_USAGE for options that do not fit each other or the
 * model.
 */
bf_status bf_docking_new(const bfncl_sample_options *o, bf_model *m, uint64_t n, uint64_t seed, uint32_t held,
                         bf_docking *out, bf_err *err);
void bf_docking_free(bf_docking *d);

/* Judges the ligands: r->pocket, r->ligands; and writes it into them as properties. */
bf_status bf_docking_judge(const bf_docking *d, bf_mol *list, uint64_t n, bfncl_sample_result *r, bf_err *err);

#endif
