/* Pictures of molecules: balls and sticks in the usual colours, lit from the upper left, farther parts paler. */
#ifndef BF_CHEM_DRAW_H
#define BF_CHEM_DRAW_H

#include "io/image.h"
#include "io/mol.h"

/* How a molecule is turned and scaled: the same for all pictures of one film. */
typedef struct bf_view {
    double axis[3][3]; /* rows: right, up, towards the eye */
    double centre[3];
    double radius; /* that the picture shows around the centre, whatever the turn */
} bf_view;

/* The widest side of the molecule lies across the picture, the narrowest in depth. */
void bf_view_of(const bf_mol *m, bf_view *v);
/* Turned about the vertical axis of the picture, radians. */
void bf_view_turn(bf_view *v, double angle);

typedef struct bf_draw {
    uint32_t width, height; /* pixels, at most BF_DRAW_MAX_SIDE */
    uint8_t background[3];
    bool hydrogens;
} bf_draw;
enum { BF_DRAW_MAX_SIDE = 4096 };
void bf_draw_defaults(bf_draw *d); /* 480 x 480, white, with hydrogens */

/* RGB picture [height, width, 3]. Aromatic bonds are drawn as double ones. BF_USAGE for sides of 0 or too large. */
bf_status bf_mol_draw(const bf_mol *m, const bf_view *v, const bf_draw *d, bf_image *out, bf_err *err);
/* The molecule turning once, `frames` pictures of a GIF that last `centiseconds` each. Atomic. */
bf_status bf_mol_film(const char *path, const bf_mol *m, const bf_draw *d, uint32_t frames, uint32_t centiseconds,
                      bf_err *err);

#endif
