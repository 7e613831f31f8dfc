// SPDX-License-Identifier: Apache-2.0
//
// i2s.c: slots of an I2S microphone to samples.
#include "i2s.h"

void i2s_init(i2s_t *i2s, i2s_layout layout, i2s_slot slot, uint16_t gain) {
    i2s->layout = layout;
    i2s->slot = slot;
    level_init(&i2s->level,
               gain * (1 << 10));  // 2^29 to 2^15 is Q32 by 2^18, and 2^-8 for the gain
}

// The upper 24 bits, of 2^29 at full scale. The lower 8 float on the wire.
static int32_t sample_of(const uint8_t *slot, i2s_layout layout) {
    const unsigned upper = layout == I2S_WORDS ? 2 : 0;  // byte that the upper halfword begins at
    const uint32_t word = (uint32_t)slot[upper + 1] << 24 | (uint32_t)slot[upper] << 16 |
                          (uint32_t)slot[(upper ^ 2) + 1] << 8;
    return (int32_t)word >> 2;
}

void i2s_to_pcm(i2s_t *i2s, const uint8_t *frame, size_t frames, int16_t *pcm) {
    const uint8_t *slot = frame + (i2s->slot == I2S_RIGHT ? I2S_FRAME / 2 : 0);
    for (; frames > 0; frames--, slot += I2S_FRAME) {
        *pcm++ = level_sample(&i2s->level, sample_of(slot, i2s->layout));
    }
}
