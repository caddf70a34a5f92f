/* Drawing molecules from an open model of molecules. */
#ifndef BF_RUN_SAMPLE_MOL_H
#define BF_RUN_SAMPLE_MOL_H

#include "io/mol.h"
#include "run/progress.h"
#include "run/sample.h"
#include "run/sample_pocket.h"

typedef struct bf_mol_sampling {
    bf_model *m;
    bf_sampler *sampler; /* bf_sampling_new; where there is a scaffold, m->frame was set before it */
    uint32_t batch;      /* atoms; with `docking` ligands */
    uint64_t n, seed;
    const bf_sample_plan *how;
    const bf_mol *scaffold;    /* atoms that every molecule has, where they are; NULL: none */
    const bf_docking *docking; /* of a model with pockets; NULL: another */
    bf_report *report;         /* may be NULL */
    const char *film;          /* .gif or .png of how the first one forms; NULL: none */
} bf_mol_sampling;

/*
 * Molecules 0 .. n - 1 of a seed; molecule k is the same whatever n and the batch are. Each has as many atoms as one of
 * the training data, drawn at random, or as the docking says, those of the scaffold first; bonds are perceived from the
 * positions. The caller frees them with bf_mol_free_all. BF_USAGE when a molecule does not fit into the batch, or when
 * no molecule of the training data was larger than the scaffold; BF_FILE for an element of the scaffold that the model
 * does not know.
 */
bf_status bf_mol_sampling_run(const bf_mol_sampling *s, bf_mol **list, bf_err *err);

/* By the end of the name: molecule files (io/mol.h), or .png, a grid of pictures. BF_USAGE for another. */
bf_status bf_mol_samples_format(const char *path, bf_err *err);
bf_status bf_mol_samples_write(const char *path, const bf_mol *list, uint64_t n, bf_err *err);

#endif
