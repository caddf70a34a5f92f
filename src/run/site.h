/* The place in a receptor that a user's options name. */
#ifndef BF_RUN_SITE_H
#define BF_RUN_SITE_H

#include "chem/site.h"

/*
 * Reads the receptor (PDB) and what says where its pocket is: either a ligand in its place (SDF, PDB or XYZ), or a
 * centre "x,y,z" in Angstrom; the other is NULL. radius in Angstrom, 0: 10 around a ligand, 14 around a point. BF_USAGE
 * for options that do not fit each other, BF_FILE for files that are damaged or lie elsewhere. Free with bf_site_free
 * in every case.
 */
bf_status bf_site_of(const char *receptor, const char *ligand, const char *center, double radius, bf_site *out,
                     bf_err *err);

#endif
