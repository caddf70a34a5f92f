/*
 * How many heavy atoms ligands have in pockets of a given size: numbers counted over the training set of
 * CrossDocked2020, as the TargetDiff release publishes them (utils/evaluation/atom_num_config.py, there as shares).
 * That release is
 *
 *   Copyright (c) 2023 Jiaqi Guan
 *
 *   Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
 *   documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
 *   rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to
 *   permit persons to whom the Software is furnished to do so, subject to the following conditions:
 *
 *   The above copyright notice and this permission notice shall be included in all copies or substantial portions of
 * the Software.
 *
 *   THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO
 * THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
 * AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT,
 * TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
 * SOFTWARE.
 */
#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "chem/pocket.h"

enum { BINS = 10, MOST = 58, LARGEST = 10 };

/* Sizes at which the next bin begins, Angstrom. */
static const double bounds[BINS - 1] = {26.52218454781356,  27.875010450039014, 28.827148928234973,
                                        29.653040886224233, 30.439636480866106, 31.234028070512103,
                                        32.014619850535716, 33.035326071776495, 34.57565983834558};

/* The order within a bin is that of the release: drawn numbers depend on it. */
static const struct {
    uint8_t atoms;
    uint16_t seen;
} table[BINS][MOST] = {
    {{10, 1196}, {6, 839},  {9, 1152}, {22, 65},  {11, 1131}, {13, 645}, {12, 807}, {28, 86},  {8, 807},
     {7, 626},   {16, 151}, {18, 190}, {5, 92},   {19, 240},  {17, 205}, {20, 164}, {24, 110}, {27, 122},
     {14, 300},  {26, 141}, {21, 105}, {15, 164}, {33, 33},   {29, 61},  {3, 31},   {4, 85},   {30, 52},
     {31, 57},   {23, 146}, {34, 20},  {36, 19},  {25, 84},   {32, 24},  {39, 7},   {35, 17},  {37, 12},
     {38, 5},    {40, 3},   {43, 3},   {2, 2},    {41, 1}},
    {{26, 175}, {13, 747}, {28, 185},  {22, 169}, {20, 444}, {15, 437}, {11, 1204}, {10, 819}, {25, 177},
     {14, 731}, {9, 456},  {12, 1039}, {17, 374}, {34, 48},  {24, 171}, {21, 297},  {19, 358}, {16, 407},
     {23, 247}, {43, 8},   {32, 131},  {18, 334}, {51, 2},   {8, 203},  {30, 113},  {33, 78},  {29, 116},
     {31, 98},  {27, 188}, {7, 78},    {38, 4},   {6, 38},   {37, 12},  {35, 57},   {36, 20},  {44, 9},
     {40, 3},   {39, 19},  {5, 2},     {50, 1},   {41, 1},   {53, 1}},
    {{16, 604}, {32, 105}, {24, 329}, {18, 547}, {23, 513}, {20, 737}, {21, 666}, {14, 613}, {27, 368},
     {12, 438}, {11, 317}, {19, 574}, {30, 176}, {22, 420}, {29, 243}, {15, 474}, {9, 102},  {33, 41},
     {25, 379}, {13, 347}, {28, 270}, {42, 1},   {26, 329}, {17, 614}, {10, 370}, {37, 6},   {31, 117},
     {35, 113}, {44, 2},   {40, 18},  {38, 14},  {34, 38},  {8, 38},   {54, 1},   {36, 32},  {39, 7},
     {6, 11},   {7, 14},   {45, 4},   {51, 2},   {46, 1},   {43, 1},   {5, 1},    {41, 1}},
    {{24, 436}, {18, 472}, {10, 306}, {28, 318}, {25, 489}, {20, 881}, {17, 441}, {19, 643}, {22, 513},
     {21, 697}, {26, 438}, {23, 591}, {13, 213}, {11, 97},  {15, 414}, {27, 474}, {29, 316}, {31, 226},
     {16, 644}, {30, 244}, {14, 337}, {12, 224}, {35, 124}, {37, 26},  {9, 24},   {39, 6},   {34, 66},
     {33, 95},  {40, 27},  {36, 64},  {38, 21},  {32, 99},  {44, 6},   {51, 1},   {42, 11},  {43, 5},
     {8, 3},    {41, 6},   {48, 2},   {47, 2},   {57, 1},   {50, 1},   {6, 1}},
    {{17, 420}, {14, 247}, {25, 608}, {24, 469}, {32, 208}, {29, 378}, {18, 420}, {20, 1021}, {28, 458},
     {19, 554}, {41, 30},  {23, 630}, {31, 307}, {15, 325}, {35, 117}, {27, 588}, {34, 110},  {44, 8},
     {30, 304}, {13, 98},  {9, 8},    {16, 407}, {26, 504}, {21, 858}, {38, 26},  {33, 131},  {22, 439},
     {36, 73},  {10, 26},  {37, 39},  {12, 82},  {57, 1},   {11, 34},  {39, 10},  {50, 5},    {47, 3},
     {40, 35},  {42, 6},   {55, 1},   {67, 1},   {48, 4},   {43, 1},   {45, 1}},
    {{26, 512}, {38, 46},  {17, 297}, {24, 525}, {32, 356}, {25, 624}, {34, 206}, {28, 541}, {31, 379}, {22, 739},
     {21, 829}, {29, 397}, {30, 424}, {20, 801}, {23, 643}, {19, 421}, {42, 11},  {27, 656}, {65, 10},  {35, 180},
     {18, 326}, {16, 236}, {41, 24},  {14, 109}, {33, 238}, {37, 47},  {43, 9},   {13, 34},  {10, 10},  {15, 134},
     {36, 92},  {40, 29},  {48, 10},  {11, 17},  {39, 26},  {12, 20},  {44, 10},  {9, 12},   {49, 3},   {66, 3},
     {45, 2},   {67, 2},   {69, 1},   {51, 1},   {57, 6},   {55, 1},   {50, 1}},
    {{26, 613}, {28, 816}, {29, 496}, {22, 506}, {19, 245}, {23, 567}, {24, 565}, {30, 562}, {21, 537}, {15, 79},
     {33, 350}, {36, 186}, {35, 218}, {25, 664}, {32, 488}, {34, 215}, {31, 590}, {27, 912}, {20, 416}, {14, 21},
     {17, 155}, {16, 124}, {40, 45},  {58, 4},   {13, 14},  {41, 42},  {39, 25},  {38, 89},  {18, 225}, {48, 12},
     {37, 88},  {44, 10},  {43, 27},  {11, 1},   {42, 20},  {50, 4},   {57, 14},  {45, 10},  {54, 3},   {46, 10},
     {52, 2},   {65, 12},  {49, 4},   {10, 4},   {69, 2},   {12, 5},   {66, 2},   {47, 1}},
    {{34, 293}, {32, 612}, {27, 847}, {22, 332}, {20, 387}, {35, 219}, {33, 424}, {23, 557}, {28, 750},
     {29, 449}, {26, 627}, {24, 486}, {21, 342}, {31, 693}, {25, 656}, {16, 111}, {40, 144}, {17, 124},
     {19, 236}, {37, 122}, {44, 30},  {30, 585}, {36, 234}, {41, 93},  {43, 48},  {38, 155}, {10, 2},
     {42, 87},  {15, 41},  {18, 101}, {57, 7},   {39, 70},  {48, 7},   {51, 4},   {66, 3},   {52, 3},
     {54, 7},   {46, 29},  {53, 1},   {45, 23},  {50, 4},   {12, 4},   {49, 9},   {67, 1},   {13, 4},
     {14, 25},  {65, 3},   {11, 4},   {47, 3},   {58, 1},   {69, 1}},
    {{32, 626}, {37, 230}, {26, 854}, {46, 26},  {28, 624}, {33, 632}, {27, 835}, {31, 733}, {30, 678}, {29, 509},
     {34, 506}, {38, 197}, {21, 220}, {25, 486}, {24, 400}, {22, 240}, {36, 332}, {35, 416}, {41, 97},  {17, 34},
     {23, 368}, {40, 127}, {39, 126}, {48, 31},  {42, 120}, {63, 2},   {45, 38},  {20, 105}, {15, 26},  {43, 62},
     {54, 52},  {50, 5},   {12, 2},   {19, 87},  {44, 45},  {13, 2},   {58, 8},   {47, 21},  {51, 9},   {67, 5},
     {57, 10},  {18, 27},  {56, 3},   {16, 12},  {49, 10},  {61, 3},   {55, 2},   {68, 1},   {52, 6},   {62, 1},
     {11, 1},   {14, 4},   {53, 2},   {10, 1},   {59, 1}},
    {{35, 521}, {44, 663}, {49, 27},  {26, 381}, {39, 427}, {32, 696}, {23, 94},  {31, 604}, {29, 383}, {27, 423},
     {45, 87},  {33, 815}, {38, 379}, {28, 491}, {40, 163}, {42, 175}, {36, 474}, {24, 367}, {67, 22},  {30, 413},
     {22, 95},  {43, 220}, {34, 513}, {50, 16},  {19, 26},  {37, 399}, {51, 17},  {41, 285}, {17, 11},  {48, 101},
     {25, 218}, {21, 77},  {66, 19},  {13, 2},   {16, 14},  {46, 96},  {20, 70},  {55, 25},  {52, 25},  {47, 66},
     {15, 5},   {18, 22},  {54, 17},  {63, 1},   {65, 10},  {56, 9},   {57, 15},  {60, 1},   {58, 2},   {61, 2},
     {70, 2},   {59, 3},   {64, 2},   {53, 4},   {14, 1},   {12, 1},   {69, 2},   {86, 1}},
};

unsigned bf_prior_bin(double size)
{
    unsigned bin = 0;
    while (bin < BINS - 1 && bounds[bin] <= size) bin++;
    return bin;
}

unsigned bf_prior_count(unsigned bin, double u)
{
    unsigned total = 0, sum = 0, i = 0;
    bin = BF_MIN(bin, BINS - 1);
    for (unsigned k = 0; k < MOST; k++) total += table[bin][k].seen;
    /* how many running sums are at most u, the last (1) left out */
    while ((sum += table[bin][i].seen) < total && (double)sum / total <= u) i++;
    return table[bin][i].atoms;
}

bf_status bf_pocket_size(const float (*x)[3], uint32_t n, double *size, bf_err *err)
{
    double top[LARGEST] = {0}; /* squared, descending */
    uint32_t found = 0;
    if (n < 2) return bf_fail(err, BF_FILE, "a pocket of fewer than two atoms has no size");
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const double d[3] = {(double)x[i][0] - x[j][0], (double)x[i][1] - x[j][1], (double)x[i][2] - x[j][2]};
            const double square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
            if (found == LARGEST && square <= top[LARGEST - 1]) continue;
            uint32_t at = found < LARGEST ? found++ : LARGEST - 1;
            for (; at > 0 && top[at - 1] < square; at--) top[at] = top[at - 1];
            top[at] = square;
        }
    }
    *size = found % 2 == 1 ? sqrt(top[found / 2]) : 0.5 * (sqrt(top[found / 2 - 1]) + sqrt(top[found / 2]));
    return BF_OK;
}
