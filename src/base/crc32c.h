/* CRC-32C (Castagnoli, reflected polynomial 0x82F63B78), as in iSCSI and ext4. */
#ifndef BF_BASE_CRC32C_H
#define BF_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* CRC of the bytes so far (`crc`, 0 at the start) followed by these: bf_crc32c(0, "123456789", 9) = 0xE3069283. */
uint32_t bf_crc32c(uint32_t crc, const void *data, size_t size);

#endif
