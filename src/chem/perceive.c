#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "chem/bonds.h"

enum { H = 1, B = 5, C = 6, N = 7, O = 8, F = 9, SI = 14, P = 15, S = 16, CL = 17, SE = 34, BR = 35, IODINE = 53 };
enum {
    MAX_DEGREE = 8,
    BUDGET = 20000,
    TOTAL = 20000000 /* steps of a search for a better choice, of all for a molecule */,
    CROWD = 200
};

/* What perception knows of an atom and of a bond beside what the molecule holds. */
typedef struct site {
    uint32_t neighbour[MAX_DEGREE], bond[MAX_DEGREE];
    int degree;
    int room;  /* what bonds may add beyond single ones */
    bool ring; /* in the search: on the path */
} site;

typedef struct link {
    double gain[2]; /* of raising it from single to double, from double to triple */
    int raised;     /* 0 single, 1 double, 2 triple */
    bool flat;      /* in a ring that looks aromatic */
} link;

typedef struct perception {
    bf_mol *m;
    const uint8_t *aromatic;
    site *site;
    link *link;
    bool hydrogens;  /* the molecule has any */
    int steps, left; /* of the budgets */
} perception;

static double distance(const bf_mol *m, uint32_t i, uint32_t j)
{
    const float *a = m->atom[i].x, *b = m->atom[j].x;
    const double d[3] = {(double)a[0] - b[0], (double)a[1] - b[1], (double)a[2] - b[2]};
    return sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

/* Of the angle at i, in degrees. */
static double angle(const bf_mol *m, uint32_t i, uint32_t j, uint32_t k)
{
    const double a = distance(m, i, j), b = distance(m, i, k), c = distance(m, j, k);
    const double cosine = (a * a + b * b - c * c) / (2 * a * b);
    return acos(fmax(-1, fmin(1, cosine))) * 57.29577951308232;
}

/* ---- which atoms are bound --------------------------------------------------------------------------------------- */

static int most_neighbours(unsigned element)
{
    switch (element) {
    case H:
    case F:
    case CL:
    case BR:
    case IODINE: return 1;
    case O: return 2;
    case B:
    case C:
    case N:
    case SI: return 4;
    case P: return 5;
    case S:
    case SE: return 6;
    default: return MAX_DEGREE;
    }
}

/* How long a bond is for its elements; above 1 it is longer than the radii say. */
static double stretch(const bf_mol *m, uint32_t i, uint32_t j)
{
    return distance(m, i, j) /
           ((double)bf_element_of(m->atom[i].element)->covalent + bf_element_of(m->atom[j].element)->covalent);
}

typedef struct candidate {
    double stretch;
    uint32_t a, b;
} candidate;

static int by_stretch(const void *a, const void *b)
{
    const candidate *x = a, *y = b;
    if (x->stretch != y->stretch) return x->stretch < y->stretch ? -1 : 1;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static int by_ends(const void *a, const void *b)
{
    const bf_bond *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

/* Pairs that are close enough, the relatively shortest first. */
static bf_status list_pairs(const bf_mol *m, candidate **out, size_t *n, bf_err *err)
{
    static const double slack = 0.45, least = 0.4;
    bf_status st = BF_OK;
    candidate *list = NULL;
    size_t room = 0;
    *n = 0;
    for (uint32_t i = 0; i < m->atoms; i++) {
        const double radius = bf_element_of(m->atom[i].element)->covalent + slack;
        for (uint32_t j = i + 1; j < m->atoms; j++) {
            const double d = distance(m, i, j);
            if (d > radius + bf_element_of(m->atom[j].element)->covalent || d < least) continue;
            BF_CHECK(*n < (size_t)CROWD * m->atoms, BF_FILE, "atoms too close together for a molecule");
            if (*n == room) {
                room = room > 0 ? 2 * room : 256;
                candidate *more = realloc(list, room * sizeof *list);
                BF_CHECK(more != NULL, BF_RUNTIME, "out of memory for the bonds of a molecule");
                list = more;
            }
            list[(*n)++] = (candidate){stretch(m, i, j), i, j};
        }
    }
    if (*n > 0) qsort(list, *n, sizeof *list, by_stretch);
    *out = list;
    list = NULL;
out:
    free(list);
    return st;
}

/* Single bonds, taken in order while both atoms can have one more. */
static bf_status connect(perception *p, bf_err *err)
{
    bf_status st = BF_OK;
    bf_mol *m = p->m;
    candidate *list = NULL;
    size_t n;
    BF_TRY(list_pairs(m, &list, &n, err));
    m->bonds = 0;
    for (size_t i = 0; i < n; i++) {
        site *a = &p->site[list[i].a], *b = &p->site[list[i].b];
        if (a->degree >= most_neighbours(m->atom[list[i].a].element) ||
            b->degree >= most_neighbours(m->atom[list[i].b].element))
            continue;
        BF_TRY(bf_mol_add_bond(m, (bf_bond){.a = list[i].a, .b = list[i].b, .order = BF_BOND_SINGLE}, err));
        a->degree++;
        b->degree++;
    }
    if (m->bonds > 0) qsort(m->bond, m->bonds, sizeof *m->bond, by_ends);
    for (uint32_t i = 0; i < m->atoms; i++) p->site[i].degree = 0;
    for (uint32_t i = 0; i < m->bonds; i++) {
        const uint32_t ends[2] = {m->bond[i].a, m->bond[i].b};
        for (int k = 0; k < 2; k++) {
            site *s = &p->site[ends[k]];
            s->neighbour[s->degree] = ends[1 - k];
            s->bond[s->degree++] = i;
        }
    }
out:
    free(list);
    return st;
}

/* ---- how much each atom can add ---------------------------------------------------------------------------------- */

static unsigned element(const perception *p, uint32_t i)
{
    return p->m->atom[i].element;
}

/* Neighbours of i of an element that have no other neighbour. */
static int terminal_neighbours(const perception *p, uint32_t i, unsigned z)
{
    int n = 0;
    for (int k = 0; k < p->site[i].degree; k++) {
        const uint32_t j = p->site[i].neighbour[k];
        n += element(p, j) == z && p->site[j].degree == 1;
    }
    return n;
}

static double angle_sum(const perception *p, uint32_t i)
{
    const uint32_t *n = p->site[i].neighbour;
    return angle(p->m, i, n[0], n[1]) + angle(p->m, i, n[0], n[2]) + angle(p->m, i, n[1], n[2]);
}

/* N+ with an O-: of the terminal oxygens the farthest carries the charge, and only where the bond is too short for
 * N-OH.
 */
static bool charge_oxide(perception *p, uint32_t i)
{
    const site *s = &p->site[i];
    uint32_t oxygen = UINT32_MAX;
    double longest = 0;
    bool close = false;
    if (angle_sum(p, i) < 345) return false;
    for (int k = 0; k < s->degree; k++) {
        const uint32_t j = s->neighbour[k];
        const double d = distance(p->m, i, j);
        if (element(p, j) != O || p->site[j].degree != 1) continue;
        close = close || d < 1.33;
        if (d > longest) longest = d, oxygen = j;
    }
    if (!close) return false;
    p->m->atom[i].charge = 1;
    p->m->atom[oxygen].charge = -1;
    return true;
}

/* The middle of an azide or diazo group: straight, a nitrogen at its end. */
static bool charge_azide(perception *p, uint32_t i)
{
    const site *s = &p->site[i];
    if (angle(p->m, i, s->neighbour[0], s->neighbour[1]) < 155) return false;
    for (int k = 0; k < 2; k++) {
        const uint32_t j = s->neighbour[k];
        if (element(p, j) != N || p->site[j].degree != 1) continue;
        p->m->atom[i].charge = 1;
        p->m->atom[j].charge = -1;
        return true;
    }
    return false;
}

static void charge_nitrogen(perception *p, uint32_t i)
{
    const int degree = p->site[i].degree;
    if (degree == 4) p->m->atom[i].charge = 1;
    if (degree == 3) charge_oxide(p, i);
    if (degree == 2) charge_azide(p, i);
}

/* The bonds of atom i lie on a line, so that it can have two double bonds or a triple one. */
static bool straight(const perception *p, uint32_t i)
{
    const site *s = &p->site[i];
    if (s->degree == 1) return p->site[s->neighbour[0]].degree == 1 || straight(p, s->neighbour[0]);
    return s->degree == 2 && angle(p->m, i, s->neighbour[0], s->neighbour[1]) > 150;
}

static int room_of(const perception *p, uint32_t i)
{
    const int degree = p->site[i].degree, charge = p->m->atom[i].charge;
    switch (element(p, i)) {
    case C:
        if (degree == 3) return angle_sum(p, i) < 338 ? 0 : 1; /* a pyramid has no double bond */
        return degree < 3 && !straight(p, i) ? 1 : 4 - degree;
    case N: return degree == 1 && !straight(p, i) ? 1 : 3 + charge - degree;
    case O: return 2 + charge - degree;
    case P: return degree == 4 ? 1 : degree < 3 ? 3 - degree : 0;
    case S:
    case SE:
        if (degree == 1) return 1;
        if (degree == 2) return terminal_neighbours(p, i, O) == 2 ? 2 : 0;
        return degree == 3 ? 1 : degree == 4 ? 2 : 0;
    default: return 0;
    }
}

/* ---- what lengths say of orders ---------------------------------------------------------------------------------- */

static double typical(unsigned a, unsigned b, int order)
{
    /* Sulphur and phosphorus bind oxygen, nitrogen and each other: single bonds as in esters, double ones as in oxides.
     */
    static const struct {
        uint8_t a, b;
        float length[3];
    } more[] = {{O, S, {1.60f, 1.45f, 0}}, {N, S, {1.67f, 1.54f, 0}}, {O, P, {1.60f, 1.48f, 0}},
                {N, P, {1.66f, 1.58f, 0}}, {C, S, {1.80f, 1.64f, 0}}, {O, SE, {1.80f, 1.62f, 0}},
                {C, P, {1.84f, 1.68f, 0}}, {C, SE, {1.93f, 1.78f, 0}}};
    for (size_t i = 0; i < BF_COUNT(more); i++) {
        if ((more[i].a == a && more[i].b == b) || (more[i].a == b && more[i].b == a)) return more[i].length[order - 1];
    }
    return bf_bond_length(a, b, order);
}

/* A bond of sulphur or phosphorus that is more than single has an end like an oxide's. */
static bool may_rise(const perception *p, uint32_t i, uint32_t j)
{
    const bool heavy_i = element(p, i) == S || element(p, i) == P || element(p, i) == SE;
    const unsigned z = element(p, j);
    if (!heavy_i || p->site[i].degree == 1) return true;
    return (z == O || z == S || z == SE) ? p->site[j].degree == 1 : z == N ? p->site[j].degree <= 2 : z == C;
}

/* A carbon with three neighbours in its plane has a double bond: rather it than another atom. */
static double wish(const perception *p, uint32_t i)
{
    return !p->hydrogens && element(p, i) == C && p->site[i].degree == 3 && angle_sum(p, i) > 352 ? 0.05 : 0;
}

/* gain: by how much the bond is shorter than midway between the typical lengths of two orders. */
static void weigh(perception *p, uint32_t k)
{
    const uint32_t a = p->m->bond[k].a, b = p->m->bond[k].b;
    const double d = distance(p->m, a, b);
    link *l = &p->link[k];
    double length[3];
    for (int order = 1; order <= 3; order++) length[order - 1] = typical(element(p, a), element(p, b), order);
    l->gain[0] = l->gain[1] = -INFINITY;
    if (p->site[a].room == 0 || p->site[b].room == 0 || length[1] == 0) return;
    if (!may_rise(p, a, b) || !may_rise(p, b, a)) return;
    l->gain[0] = 0.5 * (length[0] + length[1]) - d;
    if (p->aromatic != NULL && p->aromatic[a] && p->aromatic[b]) l->gain[0] += 0.1;
    if (length[2] > 0 && straight(p, a) && straight(p, b)) l->gain[1] = 0.5 * (length[1] + length[2]) - d;
    l->gain[0] += wish(p, a) + wish(p, b);
    /* With all hydrogens known an empty valence is worse than any length; without, lengths decide. */
    for (int i = 0; i < 2 && p->hydrogens; i++) l->gain[i] += 1;
}

/* ---- rings that look aromatic ------------------------------------------------------------------------------------ */

enum { LARGEST_RING = 6 };

static uint32_t bond_between(const perception *p, uint32_t a, uint32_t b)
{
    for (int k = 0; k < p->site[a].degree; k++) {
        if (p->site[a].neighbour[k] == b) return p->site[a].bond[k];
    }
    return UINT32_MAX;
}

/* Largest distance of the ring's atoms from its mean plane. */
static double warp(const bf_mol *m, const uint32_t *ring, int n)
{
    double centre[3] = {0}, normal[3] = {0}, most = 0;
    for (int i = 0; i < n; i++)
        for (int c = 0; c < 3; c++) centre[c] += m->atom[ring[i]].x[c] / (double)n;
    for (int i = 0; i < n; i++) {
        const float *x = m->atom[ring[i]].x, *y = m->atom[ring[(i + 1) % n]].x;
        for (int c = 0; c < 3; c++) {
            const int d = (c + 1) % 3, e = (c + 2) % 3;
            normal[c] += (x[d] - centre[d]) * (y[e] - centre[e]) - (x[e] - centre[e]) * (y[d] - centre[d]);
        }
    }
    const double length = sqrt(normal[0] * normal[0] + normal[1] * normal[1] + normal[2] * normal[2]);
    for (int i = 0; i < n && length > 0; i++) {
        double out = 0;
        for (int c = 0; c < 3; c++) out += normal[c] / length * (m->atom[ring[i]].x[c] - centre[c]);
        most = fmax(most, fabs(out));
    }
    return most;
}

/* Flat, of atoms that can be aromatic, and on the whole not longer than between single and double bonds. */
static void judge_ring(perception *p, const uint32_t *ring, int n)
{
    double excess = 0;
    int conjugated = 0;
    for (int i = 0; i < n; i++) {
        const uint32_t a = ring[i], b = ring[(i + 1) % n];
        const unsigned z = element(p, a);
        const double one = typical(element(p, a), element(p, b), 1), two = typical(element(p, a), element(p, b), 2);
        if (p->site[a].room == 0 && !(z == N || z == O || z == S || z == SE)) return;
        conjugated += p->site[a].room > 0;
        if (two > 0) excess += distance(p->m, a, b) - 0.5 * (one + two);
    }
    if (conjugated < 4 || excess / n > 0.03 || warp(p->m, ring, n) > 0.25) return;
    for (int i = 0; i < n; i++) p->link[bond_between(p, ring[i], ring[(i + 1) % n])].flat = true;
}

/* Rings of five and six through the path that begins with ring[0], their lowest atom. */
static void follow_ring(perception *p, uint32_t *ring, int n)
{
    const site *s = &p->site[ring[n - 1]];
    for (int k = 0; k < s->degree; k++) {
        const uint32_t next = s->neighbour[k];
        bool seen = next < ring[0];
        if (next == ring[0] && n >= 5 && ring[1] < ring[n - 1]) judge_ring(p, ring, n);
        for (int i = 0; i < n; i++) seen = seen || ring[i] == next;
        if (seen || n == LARGEST_RING) continue;
        ring[n] = next;
        follow_ring(p, ring, n + 1);
    }
}

/* Lengths of positions that are not exact say little of single bonds: in such a ring both kinds are expected. */
static void favour_rings(perception *p)
{
    static const double bonus = 0.04;
    uint32_t ring[LARGEST_RING];
    for (uint32_t i = 0; i < p->m->atoms; i++) {
        ring[0] = i;
        follow_ring(p, ring, 1);
    }
    for (uint32_t k = 0; k < p->m->bonds; k++) {
        if (p->link[k].flat) p->link[k].gain[0] += bonus;
    }
}

/* ---- choosing ---------------------------------------------------------------------------------------------------- */

static double gain_of_raising(const link *l)
{
    return l->raised < 2 ? l->gain[l->raised] : -INFINITY;
}

static void raise_bond(perception *p, uint32_t k, int by)
{
    p->link[k].raised += by;
    p->site[p->m->bond[k].a].room -= by;
    p->site[p->m->bond[k].b].room -= by;
}

/* The best single step that is possible, again and again. */
static void choose_greedily(perception *p)
{
    for (;;) {
        uint32_t best = UINT32_MAX;
        double most = 0;
        for (uint32_t k = 0; k < p->m->bonds; k++) {
            const bf_bond *b = &p->m->bond[k];
            const double gain = gain_of_raising(&p->link[k]);
            if (gain > most && p->site[b->a].room > 0 && p->site[b->b].room > 0) most = gain, best = k;
        }
        if (best == UINT32_MAX) break;
        raise_bond(p, best, 1);
    }
}

/*
 * Looks for a walk that begins at atom i, which has room, and raises and lowers bonds by turns, with a sum of gains
 * that is positive; changes them and returns true when there is one. raise: the next bond is to be raised. A walk may
 * stop behind any lowered bond (the atom it leads to gets room) and behind a raised one where the atom has room. All
 * changes of a walk that is given up are taken back.
 */
static bool improve_from(perception *p, uint32_t i, bool raise, double sum)
{
    site *s = &p->site[i];
    if (p->steps-- <= 0 || s->ring) return false;
    s->ring = true;
    bool found = false;
    for (int k = 0; k < s->degree && !found; k++) {
        const uint32_t j = s->neighbour[k], bond = s->bond[k];
        link *l = &p->link[bond];
        const double change = raise ? gain_of_raising(l) : l->raised > 0 ? -l->gain[l->raised - 1] : -INFINITY;
        if (change == -INFINITY || p->site[j].ring) continue;
        l->raised += raise ? 1 : -1;
        const bool may_stop = !raise || p->site[j].room > 0;
        if (may_stop && sum + change > 1e-6) {
            p->site[j].room += raise ? -1 : 1;
            found = true;
        } else {
            found = improve_from(p, j, !raise, sum + change);
        }
        if (!found) l->raised -= raise ? 1 : -1;
    }
    s->ring = false;
    return found;
}

/* Walks from every atom with room until none helps. Each takes one of the room of the atom where it begins. */
static void improve(perception *p)
{
    bool again = true;
    while (again && p->left > 0) {
        again = false;
        for (uint32_t i = 0; i < p->m->atoms; i++) {
            if (p->site[i].room <= 0) continue;
            const int budget = BF_MIN(BUDGET, p->left);
            p->steps = budget;
            const bool better = improve_from(p, i, true, 0);
            p->left -= budget - BF_MAX(p->steps, 0);
            if (!better) continue;
            p->site[i].room--;
            again = true;
        }
    }
}

bf_status bf_perceive_bonds(bf_mol *m, const uint8_t *aromatic, bf_err *err)
{
    bf_status st = BF_OK;
    perception p = {.m = m, .aromatic = aromatic, .left = TOTAL};
    BF_CHECK(m->atoms <= BF_PERCEIVE_MAX_ATOMS, BF_FILE, "bonds of %u atoms (at most %d)", (unsigned)m->atoms,
             BF_PERCEIVE_MAX_ATOMS);
    BF_NEW(p.site, m->atoms);
    BF_TRY(connect(&p, err));
    BF_NEW(p.link, m->bonds);
    for (uint32_t i = 0; i < m->atoms; i++) {
        m->atom[i].charge = 0;
        m->atom[i].radical = m->atom[i].valence = 0;
        p.hydrogens = p.hydrogens || element(&p, i) == H;
    }
    for (uint32_t i = 0; i < m->atoms; i++) {
        if (element(&p, i) == N) charge_nitrogen(&p, i);
    }
    for (uint32_t i = 0; i < m->atoms; i++) p.site[i].room = BF_MAX(room_of(&p, i), 0);
    for (uint32_t k = 0; k < m->bonds; k++) weigh(&p, k);
    if (!p.hydrogens) favour_rings(&p);
    choose_greedily(&p);
    improve(&p);
    for (uint32_t k = 0; k < m->bonds; k++) m->bond[k].order = (uint8_t)(BF_BOND_SINGLE + p.link[k].raised);
out:
    free(p.site);
    free(p.link);
    return st;
}
