/* Shared by the reader and the writer of safetensors: the CRC entries of __metadata__. */
#ifndef BF_IO_SAFETENSORS_KEYS_H
#define BF_IO_SAFETENSORS_KEYS_H

#define BF_ST_KEY_CRC "bfncl.crc32c"
#define BF_ST_KEY_HEADER_CRC "bfncl.header_crc32c"
#define BF_ST_NO_CRC "00000000" /* stands for the header's CRC while it is computed */

#endif
