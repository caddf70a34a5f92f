/* UTF-8 (RFC 3629): shortest forms only, no surrogates, nothing above U+10FFFF. */
#ifndef BF_BASE_UTF8_H
#define BF_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define BF_UTF8_CODES 0x110000 /* characters have numbers below this */

/* Length of the character at p, which has `room` > 0 bytes before its end; 0 (and *code untouched) when it is not valid
 * UTF-8. */
size_t bf_utf8_decode(const unsigned char *p, size_t room, uint32_t *code);

/* The bytes of the character c < BF_UTF8_CODES; their number. */
size_t bf_utf8_encode(uint32_t c, char out[4]);

#endif
