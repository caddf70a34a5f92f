/* Decimal points in text, whatever locale the program that uses the library has set. */
#ifndef BF_BASE_CLOCALE_H
#define BF_BASE_CLOCALE_H

#include <locale.h>

typedef struct bf_clocale {
    locale_t c, old; /* both 0 when the locale could not be made: then the program's stays */
} bf_clocale;

/* Between the two calls this thread reads and prints numbers as in the "C" locale. */
bf_clocale bf_clocale_begin(void);
void bf_clocale_end(bf_clocale l);

#endif
