#include "base/crc32c.h"

#include <pthread.h>

/* Slicing by 8 (Kounavis and Berry 2005): table[j][b] is the CRC of byte b followed by j zero bytes. */
static uint32_t table[8][256];
static pthread_once_t table_once = PTHREAD_ONCE_INIT;

static void table_fill(void)
{
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t c = b;
        for (int bit = 0; bit < 8; bit++) c = c >> 1 ^ (c & 1 ? 0x82F63B78u : 0);
        table[0][b] = c;
    }
    for (uint32_t b = 0; b < 256; b++) {
        for (int j = 1; j < 8; j++) table[j][b] = table[j - 1][b] >> 8 ^ table[0][table[j - 1][b] & 255];
    }
}

static uint32_t load_le(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

uint32_t bf_crc32c(uint32_t crc, const void *data, size_t size)
{
    const uint8_t *p = data;
    pthread_once(&table_once, table_fill);
    crc = ~crc;
    for (; size >= 8; size -= 8, p += 8) {
        uint32_t a = crc ^ load_le(p), b = load_le(p + 4);
        crc = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^ table[4][a >> 24] ^
              table[3][b & 255] ^ table[2][b >> 8 & 255] ^ table[1][b >> 16 & 255] ^ table[0][b >> 24];
    }
    for (; size > 0; size--, p++) crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}
