#include "base/clocale.h"

bf_clocale bf_clocale_begin(void)
{
    bf_clocale l = {newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), (locale_t)0};
    if (l.c != (locale_t)0) l.old = uselocale(l.c);
    return l;
}

void bf_clocale_end(bf_clocale l)
{
    if (l.c == (locale_t)0) return;
    uselocale(l.old);
    freelocale(l.c);
}
