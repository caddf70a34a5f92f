#include "chem/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

/* Every pixel is the mean of FINE x FINE. */
enum { FINE = 3, SWEEPS = 30 };

static const double pi = 3.14159265358979323846, stick = 0.12, ball = 0.30, spacing = 0.21;

void bf_draw_defaults(bf_draw *d)
{
    *d = (bf_draw){.width = 480, .height = 480, .background = {255, 255, 255}, .hydrogens = true};
}

/* ---- where from -------------------------------------------------------------------------------------------------- */

/* Radius of an atom's ball: bonded parts stay visible, elements differ. */
static double ball_radius(unsigned element)
{
    return ball * (0.45 + 0.75 * (double)bf_element_of(element)->covalent);
}

/* Eigenvectors (rows of v) of a symmetric matrix by Jacobi's rotations, largest value first. */
static void principal_axes(double a[3][3], double v[3][3])
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 3; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++) {
        const int p = sweep % 3 == 2 ? 1 : 0, q = sweep % 3 == 0 ? 1 : 2;
        if (fabs(a[p][q]) < 1e-12) continue;
        const double theta = 0.5 * atan2(2 * a[p][q], a[q][q] - a[p][p]), c = cos(theta), s = sin(theta);
        for (int k = 0; k < 3; k++) { /* columns, then rows */
            const double x = a[k][p], y = a[k][q];
            a[k][p] = c * x - s * y;
            a[k][q] = s * x + c * y;
        }
        for (int k = 0; k < 3; k++) {
            const double x = a[p][k], y = a[q][k], vx = v[p][k], vy = v[q][k];
            a[p][k] = c * x - s * y;
            a[q][k] = s * x + c * y;
            v[p][k] = c * vx - s * vy;
            v[q][k] = s * vx + c * vy;
        }
    }
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 2 - i; j++) {
            if (a[j][j] >= a[j + 1][j + 1]) continue;
            double row[3];
            const double value = a[j][j];
            a[j][j] = a[j + 1][j + 1];
            a[j + 1][j + 1] = value;
            memcpy(row, v[j], sizeof row);
            memcpy(v[j], v[j + 1], sizeof row);
            memcpy(v[j + 1], row, sizeof row);
        }
    }
}

void bf_view_of(const bf_mol *m, bf_view *v)
{
    double spread[3][3] = {{0}};
    *v = (bf_view){.radius = 1};
    for (uint32_t i = 0; i < m->atoms; i++)
        for (int c = 0; c < 3; c++) v->centre[c] += m->atom[i].x[c] / (double)m->atoms;
    for (uint32_t i = 0; i < m->atoms; i++) {
        double d[3], square = 0;
        for (int c = 0; c < 3; c++) {
            d[c] = m->atom[i].x[c] - v->centre[c];
            square += d[c] * d[c];
        }
        for (int a = 0; a < 3; a++)
            for (int b = 0; b < 3; b++) spread[a][b] += d[a] * d[b];
        v->radius = fmax(v->radius, sqrt(square) + 0.6);
    }
    principal_axes(spread, v->axis);
    /* right, up and towards the eye as on the screen: no mirror image */
    const double(*x)[3] = (const double(*)[3])v->axis;
    for (int c = 0; c < 3; c++)
        v->axis[2][c] = x[0][(c + 1) % 3] * x[1][(c + 2) % 3] - x[0][(c + 2) % 3] * x[1][(c + 1) % 3];
}

void bf_view_turn(bf_view *v, double angle)
{
    for (int c = 0; c < 3; c++) {
        const double right = v->axis[0][c], eye = v->axis[2][c];
        v->axis[0][c] = cos(angle) * right - sin(angle) * eye;
        v->axis[2][c] = sin(angle) * right + cos(angle) * eye;
    }
}

/* ---- the canvas -------------------------------------------------------------------------------------------------- */

typedef struct canvas {
    int width, height; /* of the fine grid */
    double scale;      /* fine pixels per Angstrom */
    double radius;     /* depth runs from -radius to radius */
    float *depth;      /* nearest so far */
    uint8_t (*rgb)[3];
    const uint8_t *background;
} canvas;

/* Light from the upper left behind the eye, a spot where it is mirrored, mist with distance. */
static void shade(canvas *k, int x, int y, double depth, const double normal[3], const uint8_t colour[3])
{
    static const double light[3] = {-0.41, 0.50, 0.76}, half[3] = {-0.22, 0.27, 0.94};
    const size_t at = (size_t)y * (size_t)k->width + (size_t)x;
    if (k->depth[at] >= (float)depth) return;
    k->depth[at] = (float)depth;
    double facing = 0, mirror = 0;
    for (int c = 0; c < 3; c++) {
        facing += normal[c] * light[c];
        mirror += normal[c] * half[c];
    }
    const double lit = 0.42 + 0.58 * fmax(facing, 0), spot = 0.45 * pow(fmax(mirror, 0), 40);
    const double mist = 0.4 * fmin(fmax(0.5 - 0.5 * depth / k->radius, 0), 1);
    for (int c = 0; c < 3; c++) {
        const double surface = fmin(colour[c] * lit + 255 * spot, 255);
        k->rgb[at][c] = (uint8_t)lround(surface + mist * (k->background[c] - surface));
    }
}

static int clamp(double v, int high)
{
    return v < 0 ? 0 : v > high ? high : (int)v;
}

/* The fine pixels that a disc or stick between two points (Angstrom, of the view) can touch. */
typedef struct frame {
    int left, right, top, bottom;
} frame;

static frame frame_of(const canvas *k, const double a[3], const double b[3], double r)
{
    const double cx = 0.5 * k->width, cy = 0.5 * k->height, s = k->scale;
    return (frame){clamp(cx + s * (fmin(a[0], b[0]) - r) - 1, k->width - 1),
                   clamp(cx + s * (fmax(a[0], b[0]) + r) + 1, k->width - 1),
                   clamp(cy - s * (fmax(a[1], b[1]) + r) - 1, k->height - 1),
                   clamp(cy - s * (fmin(a[1], b[1]) - r) + 1, k->height - 1)};
}

static void draw_ball(canvas *k, const double at[3], double r, const uint8_t colour[3])
{
    const frame f = frame_of(k, at, at, r);
    for (int y = f.top; y <= f.bottom; y++) {
        for (int x = f.left; x <= f.right; x++) {
            const double dx = (x + 0.5 - 0.5 * k->width) / k->scale - at[0];
            const double dy = (0.5 * k->height - y - 0.5) / k->scale - at[1];
            const double square = r * r - dx * dx - dy * dy;
            if (square <= 0) continue;
            const double dz = sqrt(square), normal[3] = {dx / r, dy / r, dz / r};
            shade(k, x, y, at[2] + dz, normal, colour);
        }
    }
}

/* A cylinder from a to b seen along z: of each pixel the nearer of the points where its ray meets the surface. */
static void draw_stick(canvas *k, const double a[3], const double b[3], double r, const uint8_t colour[3])
{
    const frame f = frame_of(k, a, b, r);
    double u[3], length = 0;
    for (int c = 0; c < 3; c++) length += (b[c] - a[c]) * (b[c] - a[c]);
    length = sqrt(length);
    if (length < 1e-9) return;
    for (int c = 0; c < 3; c++) u[c] = (b[c] - a[c]) / length;
    const double across = 1 - u[2] * u[2];
    if (across < 1e-9) return; /* seen end on: hidden by its balls */
    for (int y = f.top; y <= f.bottom; y++) {
        for (int x = f.left; x <= f.right; x++) {
            const double dx = (x + 0.5 - 0.5 * k->width) / k->scale - a[0];
            const double dy = (0.5 * k->height - y - 0.5) / k->scale - a[1];
            /* |d + z e_z - u (u.(d + z e_z))| = r: a quadratic equation in z */
            const double along = u[0] * dx + u[1] * dy;
            const double p = -u[2] * along / across, q = (dx * dx + dy * dy - along * along - r * r) / across;
            const double root = p * p - q;
            if (root < 0) continue;
            const double z = -p + sqrt(root), t = along + u[2] * z;
            if (t < 0 || t > length) continue;
            const double normal[3] = {(dx - t * u[0]) / r, (dy - t * u[1]) / r, (z - t * u[2]) / r};
            shade(k, x, y, a[2] + z, normal, colour);
        }
    }
}

/* ---- the molecule ------------------------------------------------------------------------------------------------ */

static void to_view(const bf_view *v, const float x[3], double out[3])
{
    for (int a = 0; a < 3; a++) {
        out[a] = 0;
        for (int c = 0; c < 3; c++) out[a] += v->axis[a][c] * (x[c] - v->centre[c]);
    }
}

/* One to three sticks side by side, each half in the colour of its atom. */
static void draw_bond(canvas *k, const bf_mol *m, const bf_view *v, const bf_bond *b)
{
    const int sticks = b->order == BF_BOND_AROMATIC ? 2 : b->order < 1 ? 1 : b->order > 3 ? 3 : b->order;
    const double r = sticks == 1 ? stick : sticks == 2 ? 0.62 * stick : 0.5 * stick;
    double p[2][3], side[3];
    to_view(v, m->atom[b->a].x, p[0]);
    to_view(v, m->atom[b->b].x, p[1]);
    const double dx = p[1][0] - p[0][0], dy = p[1][1] - p[0][1], flat = sqrt(dx * dx + dy * dy);
    side[0] = flat > 1e-9 ? -dy / flat : 1;
    side[1] = flat > 1e-9 ? dx / flat : 0;
    side[2] = 0;
    for (int s = 0; s < sticks; s++) {
        const double shift = spacing * (s - 0.5 * (sticks - 1));
        double end[2][3], middle[3];
        for (int c = 0; c < 3; c++) {
            end[0][c] = p[0][c] + shift * side[c];
            end[1][c] = p[1][c] + shift * side[c];
            middle[c] = 0.5 * (end[0][c] + end[1][c]);
        }
        draw_stick(k, end[0], middle, r, bf_element_of(m->atom[b->a].element)->rgb);
        draw_stick(k, middle, end[1], r, bf_element_of(m->atom[b->b].element)->rgb);
    }
}

static void draw_all(canvas *k, const bf_mol *m, const bf_view *v, bool hydrogens)
{
    for (uint32_t i = 0; i < m->bonds; i++) {
        const bf_bond *b = &m->bond[i];
        if (!hydrogens && (m->atom[b->a].element == 1 || m->atom[b->b].element == 1)) continue;
        draw_bond(k, m, v, b);
    }
    for (uint32_t i = 0; i < m->atoms; i++) {
        const bf_atom *a = &m->atom[i];
        double at[3];
        if (!hydrogens && a->element == 1) continue;
        to_view(v, a->x, at);
        draw_ball(k, at, ball_radius(a->element), bf_element_of(a->element)->rgb);
    }
}

static void reduce(const canvas *k, bf_image *im)
{
    for (uint32_t y = 0; y < im->height; y++) {
        for (uint32_t x = 0; x < im->width; x++) {
            for (int c = 0; c < 3; c++) {
                unsigned sum = 0;
                for (uint32_t i = 0; i < FINE * FINE; i++)
                    sum += k->rgb[(size_t)(FINE * y + i / FINE) * (size_t)k->width + FINE * x + i % FINE][c];
                im->pixels[3 * ((size_t)y * im->width + x) + (size_t)c] =
                    (uint8_t)((sum + FINE * FINE / 2) / (FINE * FINE));
            }
        }
    }
}

bf_status bf_mol_draw(const bf_mol *m, const bf_view *v, const bf_draw *d, bf_image *out, bf_err *err)
{
    bf_status st = BF_OK;
    bf_image im = {.width = d->width, .height = d->height, .channels = 3};
    canvas k = {.width = FINE * (int)d->width, .height = FINE * (int)d->height, .radius = v->radius};
    *out = (bf_image){0};
    BF_CHECK(d->width > 0 && d->height > 0 && d->width <= BF_DRAW_MAX_SIDE && d->height <= BF_DRAW_MAX_SIDE, BF_USAGE,
             "a picture of %u x %u pixels (1 to %d each)", (unsigned)d->width, (unsigned)d->height, BF_DRAW_MAX_SIDE);
    const size_t fine = (size_t)k.width * (size_t)k.height;
    k.scale = 0.48 * BF_MIN(k.width, k.height) / v->radius;
    k.background = d->background;
    BF_NEW(k.depth, fine);
    BF_NEW(k.rgb, fine);
    BF_NEW(im.pixels, 3 * (size_t)d->width * d->height);
    for (size_t i = 0; i < fine; i++) {
        k.depth[i] = -INFINITY;
        memcpy(k.rgb[i], d->background, 3);
    }
    draw_all(&k, m, v, d->hydrogens);
    reduce(&k, &im);
    *out = im;
    im = (bf_image){0};
out:
    free(k.depth);
    free(k.rgb);
    bf_image_free(&im);
    return st;
}

bf_status bf_mol_film(const char *path, const bf_mol *m, const bf_draw *d, uint32_t frames, uint32_t centiseconds,
                      bf_err *err)
{
    bf_status st = BF_OK;
    bf_gif *g = NULL;
    bf_view v;
    bf_view_of(m, &v);
    BF_TRY(bf_gif_open(path, d->width, d->height, 3, &g, err));
    for (uint32_t i = 0; i < frames; i++) {
        bf_image im;
        BF_TRY(bf_mol_draw(m, &v, d, &im, err));
        st = bf_gif_frame(g, im.pixels, centiseconds, err);
        bf_image_free(&im);
        if (st != BF_OK) goto out;
        bf_view_turn(&v, 2 * pi / frames);
    }
    st = bf_gif_close(g, err);
    g = NULL;
out:
    bf_gif_discard(g);
    return st;
}
