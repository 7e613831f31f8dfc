// SPDX-License-Identifier: Apache-2.0
//
// transform.S: input transform of Winograd F(6,3) along time (winograd.S), two channels at a time.
// From eight rows d0 .. d7 (the two past ones and six new ones):
//
//     V0 = 4 (d0 - d6) + 21 (d4 - d2)          V7 = 4 (d7 - d1) + 21 (d3 - d5)
//     V1, V2 = E +- O    E = 4 (d2 + d6) - 17 d4      O = 4 (d1 + d5) - 17 d3
//     V3, V4 = E +- O    E = d2 + 4 d6 - 5 d4         O = 2 (d1 + 4 d5 - 5 d3)
//     V5, V6 = E +- O    E = 2 (4 d2 + d6 - 5 d4)     O = 4 d1 + d5 - 5 d3
//
// Inputs are 0 .. 255, so |V| <= 34 * 255 < 2^15, and sums of what is not negative may be added as
// whole words: no halfword carries into the next.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_dsp_transform, "ax", %progbits

        .equ    PIXEL, 28
        .equ    HEADER, 64

        .macro  point p, reg, offset, size
        .if     (\p) < 4
        str     \reg, [r1, #((\p) * (\size) + (\offset))]
        .else
        str     \reg, [r2, #(((\p) - 4) * (\size) + (\offset))]
        .endif
        .endm

// One word (two channels): rows at r0, V rows at r1 and r2 (points 4-7), past rows at lr.
        .macro  word offset, row, size
        vmov    lr, s1
        ldr     r3, [lr, #(\offset)]                    // d0 .. d7 in r3 .. r10
        ldr     r4, [lr, #((\row) + (\offset))]
        ldr     r5, [r0, #(\offset)]
        ldr     r6, [r0, #(1 * (\row) + (\offset))]
        ldr     r7, [r0, #(2 * (\row) + (\offset))]
        ldr     r8, [r0, #(3 * (\row) + (\offset))]
        ldr     r9, [r0, #(4 * (\row) + (\offset))]
        ldr     r10, [r0, #(5 * (\row) + (\offset))]
        str     r9, [lr, #(\offset)]
        str     r10, [lr, #((\row) + (\offset))]
        add     r11, r7, r7, lsl #2
        add     r11, r11, r7, lsl #4                    // 21 d4
        add     r11, r11, r3, lsl #2
        add     r12, r5, r5, lsl #2
        add     r12, r12, r5, lsl #4                    // 21 d2
        add     r12, r12, r9, lsl #2
        ssub16  r11, r11, r12
        point   0, r11, \offset, \size
        add     r11, r6, r6, lsl #2
        add     r11, r11, r6, lsl #4                    // 21 d3
        add     r11, r11, r10, lsl #2
        add     r12, r8, r8, lsl #2
        add     r12, r12, r8, lsl #4                    // 21 d5
        add     r12, r12, r4, lsl #2
        ssub16  r11, r11, r12
        point   7, r11, \offset, \size
        add     r11, r5, r9                             // d0 and d7 are done: r3, r10 are free
        lsl     r11, r11, #2
        add     r12, r7, r7, lsl #4
        ssub16  r11, r11, r12
        add     lr, r4, r8
        lsl     lr, lr, #2
        add     r12, r6, r6, lsl #4
        ssub16  lr, lr, r12
        sadd16  r3, r11, lr
        ssub16  r10, r11, lr
        point   1, r3, \offset, \size
        point   2, r10, \offset, \size
        add     r7, r7, r7, lsl #2                      // 5 d4
        add     r6, r6, r6, lsl #2                      // 5 d3
        add     r11, r5, r9, lsl #2
        ssub16  r11, r11, r7
        add     lr, r4, r8, lsl #2
        ssub16  lr, lr, r6
        sadd16  lr, lr, lr
        sadd16  r3, r11, lr
        ssub16  r10, r11, lr
        point   3, r3, \offset, \size
        point   4, r10, \offset, \size
        add     r11, r9, r5, lsl #2
        ssub16  r11, r11, r7
        sadd16  r11, r11, r11
        add     lr, r8, r4, lsl #2
        ssub16  lr, lr, r6
        sadd16  r3, r11, lr
        ssub16  r10, r11, lr
        point   5, r3, \offset, \size
        point   6, r10, \offset, \size
        .endm

// void w2s_dsp_transform_<bands>(const uint32_t *rows, uint32_t *slabs, uint32_t *past)
// The last word that matters in the first pixel, the padding, is channel 12 of band 0: from there
// to the last band, 7 bands + 1 words, `unroll` at a time. The rest of the padding is 0, and so is
// its V; it is written every time, since slabs of both widths share their memory.
        .macro  zero_padding point, row, size
        .irp    i, 0, 4, 8, 12, 16, 20
        point   \point, r3, \i - 24, \size
        point   \point, r3, \row - PIXEL + \i - 24, \size
        .endr
        point   \point, r3, \row - PIXEL, \size
        .endm

        .macro  transform bands, unroll
        .global w2s_dsp_transform_\bands
        .type   w2s_dsp_transform_\bands, %function
        .thumb_func
        .balign 16
        .equ    ROW\bands, ((\bands) + 2) * PIXEL
        .equ    SIZE\bands, HEADER + ROW\bands + (\bands) * 8
w2s_dsp_transform_\bands:
        push    {r4-r11, lr}
        add     r0, r0, #24
        add     r2, r2, #24
        vmov    s1, r2
        add     r1, r1, #(HEADER + 24)
        movw    r2, #(4 * SIZE\bands)
        add     r2, r2, r1
        mov     r3, #0
        .irp    p, 0, 1, 2, 3, 4, 5, 6, 7
        zero_padding \p, ROW\bands, SIZE\bands
        .endr
        mov     r3, #((7 * (\bands) + 1) / (\unroll))
        vmov    s0, r3
        .balign 4
1:      word    0, ROW\bands, SIZE\bands
        word    4, ROW\bands, SIZE\bands
        word    8, ROW\bands, SIZE\bands
        .if     (\unroll) == 4
        word    12, ROW\bands, SIZE\bands
        .endif
        vmov    lr, s1
        vmov    r3, s0
        add     lr, lr, #(4 * (\unroll))
        add     r0, r0, #(4 * (\unroll))
        add     r1, r1, #(4 * (\unroll))
        add     r2, r2, #(4 * (\unroll))
        vmov    s1, lr
        subs    r3, r3, #1
        vmov    s0, r3
        bne.w   1b
        pop     {r4-r11, pc}
        .size   w2s_dsp_transform_\bands, . - w2s_dsp_transform_\bands
        .endm

        transform 26, 3
        transform 13, 4

#endif
