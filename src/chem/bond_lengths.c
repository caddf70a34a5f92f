#include <string.h>

#include "base/size.h"
#include "chem/bonds.h"

/* Typical lengths in picometres, as EDM's evaluation uses them. */
static const struct {
    char a[3], b[3];
    uint16_t length[3]; /* of orders 1, 2, 3; 0 none */
} lengths[] = {
    {"H", "H", {74}},       {"H", "C", {109}},           {"H", "N", {101}},           {"H", "O", {96}},
    {"H", "F", {92}},       {"H", "B", {119}},           {"H", "Si", {148}},          {"H", "P", {144}},
    {"H", "As", {152}},     {"H", "S", {134}},           {"H", "Cl", {127}},          {"H", "Br", {141}},
    {"H", "I", {161}},      {"C", "C", {154, 134, 120}}, {"C", "N", {147, 129, 116}}, {"C", "O", {143, 120, 113}},
    {"C", "F", {135}},      {"C", "Si", {185}},          {"C", "P", {184}},           {"C", "S", {182, 160}},
    {"C", "Cl", {177}},     {"C", "Br", {194}},          {"C", "I", {214}},           {"N", "N", {145, 125, 110}},
    {"N", "O", {140, 121}}, {"N", "F", {136}},           {"N", "Cl", {175}},          {"N", "Br", {214}},
    {"N", "S", {168}},      {"N", "I", {222}},           {"N", "P", {177}},           {"O", "O", {148, 121}},
    {"O", "F", {142}},      {"O", "Br", {172}},          {"O", "S", {151}},           {"O", "P", {163, 150}},
    {"O", "Si", {163}},     {"O", "Cl", {164}},          {"O", "I", {194}},           {"F", "F", {142}},
    {"F", "S", {158}},      {"F", "Si", {160}},          {"F", "Cl", {166}},          {"F", "Br", {178}},
    {"F", "P", {156}},      {"F", "I", {187}},           {"B", "Cl", {175}},          {"Si", "Si", {233}},
    {"Si", "S", {200}},     {"Si", "Cl", {202}},         {"Si", "Br", {215}},         {"Si", "I", {243}},
    {"Cl", "Cl", {199}},    {"Cl", "P", {203}},          {"Cl", "S", {207}},          {"Cl", "Br", {214}},
    {"S", "S", {204}},      {"S", "Br", {225}},          {"S", "P", {210, 186}},      {"S", "I", {234}},
    {"Br", "Br", {228}},    {"Br", "P", {222}},          {"P", "P", {221}},           {"I", "I", {266}},
};

static bool is(unsigned element, const char *symbol)
{
    return strcmp(bf_element_of(element)->symbol, symbol) == 0;
}

double bf_bond_length(unsigned element_a, unsigned element_b, int order)
{
    if (order < 1 || order > 3) return 0;
    for (size_t i = 0; i < BF_COUNT(lengths); i++) {
        if ((is(element_a, lengths[i].a) && is(element_b, lengths[i].b)) ||
            (is(element_a, lengths[i].b) && is(element_b, lengths[i].a)))
            return 0.01 * lengths[i].length[order - 1];
    }
    return 0;
}

int bf_bond_order(unsigned element_a, unsigned element_b, double d)
{
    static const double margin[] = {0.10, 0.05, 0.03};
    int order = 0;
    for (; order < 3; order++) {
        const double typical = bf_bond_length(element_a, element_b, order + 1);
        if (typical == 0 || !(d < typical + margin[order])) break;
    }
    return order;
}
