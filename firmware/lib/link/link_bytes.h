/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers in the byte order of the wire, at any address. */
#ifndef LINK_BYTES_H
#define LINK_BYTES_H

#include <stdint.h>

/* Four bytes, the lowest first. Compilers make it one load where the processor allows. */
static inline uint32_t link_load_le32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

#endif
