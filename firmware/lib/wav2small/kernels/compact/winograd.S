// SPDX-License-Identifier: Apache-2.0
//
// winograd.S: the 3x3 convolution 13->13 by Winograd F(4,3) along time, in exact integers: V rows
// to four output rows of bytes. transform.S makes the V rows; packing/compact.py the weights;
// twin_winograd.c is the same in C.
//
// From the products M[p] of six points p (../dsp/products.inc; Lavin and Gray, arXiv 1509.09308),
// with s1, d1 = M1 +- M2 and s2, d2 = M3 +- M4, the four rows are, times 24,
//
//     y0 = M0 + s1 +   s2              y2 = s1 + 4 s2
//     y1 =      d1 + 2 d2              y3 = d1 + 8 d2 + M5
//
// 24 = 8 * 3: multiplied by the inverse of 3 modulo 2^32, and by 2^(k-3), they are the scaled sums
// that ../dsp/requantise.h wants, exactly, whatever wrapped on the way.
//
// Weights: six times {6 points of 40 words, 2 records}, then {6 points of 20 words, 1 record}; a
// record is {2^(k-3) / 3, bias, multiplier, rounding}.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_compact_winograd, "ax", %progbits

        .equ    PIXEL, 28               // bytes of halfwords, in a V row
        .equ    BYTES, 12               // in a row, without channel 12
        .equ    HEADER, 40
        .equ    POINTS, 6

#include "../dsp/products.inc"

// Output of one sum: {inverse, bias, multiplier, rounding} are r3-r6.
        .macro  finish y, at
        mla     \y, \y, r3, r4
        smmla   \y, \y, r5, r6
        usat    \y, #8, \y, asr #12
        strb.w  \y, [r2, #(\at)]
        .endm

// Band x of four rows, from the M at r0 (points 0-3) and r1 (4, 5), to the bytes at r2, which are
// `step` from band to band and `row` from row to row.
        .macro  outputs x, size, row, step
        ldr.w   r7, [r0, #(1 * (\size) + 4 * (\x))]
        ldr.w   r8, [r0, #(2 * (\size) + 4 * (\x))]
        ldr.w   r9, [r0, #(3 * (\size) + 4 * (\x))]
        ldr.w   r10, [r1, #(4 * (\x))]
        ldr.w   r11, [r0, #(4 * (\x))]
        ldr.w   r12, [r1, #(1 * (\size) + 4 * (\x))]
        add.w   lr, r7, r8
        sub.w   r7, r7, r8
        add.w   r8, r9, r10
        sub.w   r9, r9, r10             // s1, s2 = lr, r8; d1, d2 = r7, r9
        add.w   r11, r11, lr
        add.w   r11, r11, r8
        finish  r11, 0 * (\row) + (\x) * (\step)
        add.w   r11, r7, r9, lsl #1
        finish  r11, 1 * (\row) + (\x) * (\step)
        add.w   r11, lr, r8, lsl #2
        finish  r11, 2 * (\row) + (\x) * (\step)
        add.w   r12, r12, r7
        add.w   r12, r12, r9, lsl #3
        finish  r12, 3 * (\row) + (\x) * (\step)
        .endm

// All bands of one output channel, 13 a turn: M at r0, four rows at r2.
        .macro  output_rows bands, size, row, step
        movw    r1, #(4 * (\size))
        add     r1, r1, r0
        .if     (\bands) > 13
        mov     r7, #((\bands) / 13)
        vmov    s31, r7
        .endif
        .balign 4
1:      .irp    x, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        outputs \x, \size, \row, \step
        .endr
        .if     (\bands) > 13
        vmov    r7, s31
        add     r0, r0, #(13 * 4)
        add     r1, r1, #(13 * 4)
        add     r2, r2, #(13 * (\step))
        subs    r7, r7, #1
        vmov    s31, r7
        bne.w   1b
        .endif
        .endm

// void w2s_compact_winograd_<bands>(uint32_t *slabs, const uint32_t *weights, uint32_t *rows)
        .macro  winograd bands, row
        .global w2s_compact_winograd_\bands
        .type   w2s_compact_winograd_\bands, %function
        .thumb_func
        .balign 16
        .equ    SIZE\bands, HEADER + ((\bands) + 2) * PIXEL + (\bands) * 8
w2s_compact_winograd_\bands:
        push    {r4-r11, lr}
        vpush   {s16-s31}
        sub     sp, sp, #20
        str     r0, [sp, #0]            // slabs
        str     r2, [sp, #4]            // bytes of the channel
        mov     r3, #6
        str     r3, [sp, #8]            // pairs of channels left
        vmov    s30, r1                 // weights
2:      pair_products \bands, SIZE\bands, POINTS
        mov     r3, #2                  // output channels of the pair
        ldr     r0, [sp, #0]
        add     r0, r0, #(HEADER + ((\bands) + 2) * PIXEL)
4:      str     r3, [sp, #12]
        str     r0, [sp, #16]
        vmov    r7, s30
        ldr     r2, [sp, #4]
        ldm     r7!, {r3-r6}
        vmov    s30, r7
        output_rows \bands, SIZE\bands, \row, BYTES
        ldr     r0, [sp, #16]
        ldr     r2, [sp, #4]
        add     r0, r0, #(4 * (\bands))
        add     r2, r2, #1
        str     r2, [sp, #4]
        ldr     r3, [sp, #12]
        subs    r3, r3, #1
        bne.w   4b
        ldr     r3, [sp, #8]
        subs    r3, r3, #1
        str     r3, [sp, #8]
        bne.w   2b

        alone_products \bands, SIZE\bands, POINTS
        vmov    r7, s30
        ldr     r0, [sp, #0]
        ldr     r2, [sp, #4]
        add     r0, r0, #(HEADER + ((\bands) + 2) * PIXEL)
        add     r2, r2, #((\bands) * BYTES - BYTES)     // from channel 12 of band 0, if it had one
        ldm     r7!, {r3-r6}
        output_rows \bands, SIZE\bands, \row, 1
        add     sp, sp, #20
        vpop    {s16-s31}
        pop     {r4-r11, pc}
        .size   w2s_compact_winograd_\bands, . - w2s_compact_winograd_\bands
        .endm

        winograd 26, 340
        winograd 13, 172

#endif
