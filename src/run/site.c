#include "run/site.h"

#include <math.h>
#include <stdio.h>

#define POINT_RADIUS 14.0 /* around a point there is no ligand whose atoms reach further */

static bf_status parse_point(const char *text, double point[3], bf_err *err)
{
    char rest;
    const bool fits = sscanf(text, "%lf,%lf,%lf%c", &point[0], &point[1], &point[2], &rest) == 3;
    for (int c = 0; fits && c < 3; c++)
        if (!(fabs(point[c]) <= BF_MOL_MAX_COORDINATE)) return bf_fail(err, BF_USAGE, "%s: no point in space", text);
    return fits ? BF_OK : bf_fail(err, BF_USAGE, "a centre is x,y,z in Angstrom, such as 11,90.5,57.5, not %s", text);
}

bf_status bf_site_of(const char *receptor, const char *ligand, const char *center, double radius, bf_site *out,
                     bf_err *err)
{
    bf_status st = BF_OK;
    bf_site_options s = {.receptor = receptor, .ligand = ligand};
    BF_CHECK((ligand == NULL) != (center == NULL), BF_USAGE,
             "where in %s? either a ligand that is there or the centre of the pocket says it", receptor);
    if (center) BF_TRY(parse_point(center, s.point, err));
    s.radius = radius > 0 ? radius : ligand ? BF_POCKET_RADIUS : POINT_RADIUS;
    BF_TRY(bf_site_read(&s, out, err));
out:
    return st;
}
