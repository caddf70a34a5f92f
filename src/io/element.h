/* The chemical elements: symbols, weights, sizes. */
#ifndef BF_IO_ELEMENT_H
#define BF_IO_ELEMENT_H

#include <stddef.h>
#include <stdint.h>

enum { BF_ELEMENTS = 119 }; /* atomic numbers 1 to 118; 0 is "unknown" */

typedef struct bf_element {
    char symbol[3];
    double weight;       /* standard atomic weight, u; of radioactive elements a mass number */
    float covalent;      /* covalent radius, Angstrom (Cordero and others, 2008) */
    float van_der_waals; /* van der Waals radius, Angstrom (Bondi; 2 where none is known) */
    uint8_t rgb[3];      /* usual colour in pictures */
} bf_element;

/* z below BF_ELEMENTS; of 0: symbol "*". */
const bf_element *bf_element_of(unsigned z);
/* Atomic number of a symbol of n letters in any case; D and T are hydrogen; 0 when there is no such element. */
unsigned bf_element_number(const char *symbol, size_t n);

#endif
