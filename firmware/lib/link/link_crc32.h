/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32 as in zlib, PNG and Ethernet (reflected polynomial 0xEDB88320). */
#ifndef LINK_CRC32_H
#define LINK_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `length` bytes at `data`, going on from `crc` (0 for the first piece), so that
 * a message can be summed in pieces: crc(a + b) = link_crc32(link_crc32(0, a), b). */
uint32_t link_crc32(uint32_t crc, const void *data, size_t length);

#endif
