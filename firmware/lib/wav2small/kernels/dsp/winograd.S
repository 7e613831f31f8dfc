// SPDX-License-Identifier: Apache-2.0
//
// winograd.S: the 3x3 convolution 13->13 by Winograd F(6,3) along time, in exact integers: V rows
// to six output rows. transform.S makes the V rows; packing/dsp.py the weights; twin.c is the same
// in C.
//
// For each of the eight points p, output channel o and band x (Lavin and Gray, arXiv 1509.09308)
//
//     M[p] = sum over channels c and bands kx of V[p][x + kx][c] * U[p][o][kx][c]
//
// and with s1, d1 = M1 +- M2, s2, d2 = M3 +- M4, s3, d3 = M5 +- M6 the six rows are, times 360,
//
//     y0 = M0 + s1 +    s2 + 32 s3        y3 = d1 +  8 d2 + 4 d3
//     y1 =      d1 +  2 d2 + 16 d3        y4 = s1 + 16 s2 + 2 s3
//     y2 =      s1 +  4 s2 +  8 s3        y5 = d1 + 32 d2 +   d3 + M7
//
// 360 = 8 * 45: multiplied by the inverse of 45 modulo 2^32, and by 2^(k-3), they are the scaled
// sums that requantise.h wants, exactly, whatever wrapped on the way.
//
// The products, and what a slab is: products.inc.
// Weights: six times {8 points of 40 words, 2 records}, then {8 points of 20 words, 1 record}; a
// record is {2^(k-3) / 45, bias, multiplier, rounding}.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_dsp_winograd, "ax", %progbits

        .equ    PIXEL, 28
        .equ    HEADER, 64
        .equ    POINTS, 8

#include "products.inc"

// Output of one sum: {inverse, bias, multiplier, rounding} are r3-r6.
        .macro  finish y, bands, row, x, last
        mla     \y, \y, r3, r4
        smmla   \y, \y, r5, r6
        usat    \y, #8, \y, asr #12
        strh    \y, [r2, #((\row) * ((\bands) + 2) * PIXEL + (\x) * PIXEL)]
        .if     \last
        strh    \y, [r2, #((\row) * ((\bands) + 2) * PIXEL + (\x) * PIXEL - 26)]
        .endif
        .endm

// Band x of six rows, from the M at r0 (points 0-3) and r1 (4-7), to the pixels at r2. y0 comes
// last, when its registers are free.
        .macro  outputs bands, x, size, last
        ldr     r7, [r0, #(1 * (\size) + 4 * (\x))]
        ldr     r8, [r0, #(2 * (\size) + 4 * (\x))]
        ldr     r9, [r0, #(3 * (\size) + 4 * (\x))]
        ldr     r10, [r1, #(4 * (\x))]
        ldr     r11, [r1, #(1 * (\size) + 4 * (\x))]
        ldr     r12, [r1, #(2 * (\size) + 4 * (\x))]
        add     lr, r7, r8
        sub     r7, r7, r8
        add     r8, r9, r10
        sub     r9, r9, r10
        add     r10, r11, r12
        sub     r11, r11, r12           // s1 s2 s3 = lr r8 r10, d1 d2 d3 = r7 r9 r11
        add     r12, r7, r9, lsl #1
        add     r12, r12, r11, lsl #4
        finish  r12, \bands, 1, \x, \last
        add     r12, r7, r9, lsl #3
        add     r12, r12, r11, lsl #2
        finish  r12, \bands, 3, \x, \last
        add.w   r7, r7, r11             // .w: a load behind it must not straddle two words
        add     r7, r7, r9, lsl #5
        ldr     r12, [r1, #(3 * (\size) + 4 * (\x))]
        ldr     r9, [r0, #(4 * (\x))]
        add.w   r7, r7, r12
        finish  r7, \bands, 5, \x, \last
        add     r12, lr, r8, lsl #2
        add     r12, r12, r10, lsl #3
        finish  r12, \bands, 2, \x, \last
        add     r12, lr, r8, lsl #4
        add     r12, r12, r10, lsl #1
        finish  r12, \bands, 4, \x, \last
        add.w   r9, r9, lr
        add.w   r9, r9, r8
        add     r9, r9, r10, lsl #5
        finish  r9, \bands, 0, \x, \last
        .endm

// All bands of one output channel: M at r0, six rows at r2. Two bands a turn (row 5 of a wide row
// is as far as an immediate reaches).
        .macro  output_rows bands, size, last
        movw    r1, #(4 * (\size))
        add     r1, r1, r0
        mov     r7, #((\bands) / 2)
        vmov    s31, r7
        .balign 4
1:      outputs \bands, 0, \size, \last
        outputs \bands, 1, \size, \last
        vmov    r7, s31
        add     r0, r0, #8
        add     r1, r1, #8
        add     r2, r2, #(2 * PIXEL)
        subs    r7, r7, #1
        vmov    s31, r7
        bne.w   1b
        .if     (\bands) & 1
        outputs \bands, 0, \size, \last
        .endif
        .endm

// void w2s_dsp_winograd_<bands>(uint32_t *slabs, const uint32_t *weights, uint32_t *rows)
        .macro  winograd bands
        .global w2s_dsp_winograd_\bands
        .type   w2s_dsp_winograd_\bands, %function
        .thumb_func
        .balign 16
        .equ    SIZE\bands, HEADER + ((\bands) + 2) * PIXEL + (\bands) * 8
w2s_dsp_winograd_\bands:
        push    {r4-r11, lr}
        vpush   {s16-s31}
        sub     sp, sp, #20
        add     r2, r2, #PIXEL          // band 0
        str     r0, [sp, #0]            // slabs
        str     r2, [sp, #4]            // pixels of the channel
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
        output_rows \bands, SIZE\bands, 0
        ldr     r0, [sp, #16]
        ldr     r2, [sp, #4]
        add     r0, r0, #(4 * (\bands))
        add     r2, r2, #2
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
        ldm     r7!, {r3-r6}
        output_rows \bands, SIZE\bands, 1
        add     sp, sp, #20
        vpop    {s16-s31}
        pop     {r4-r11, pc}
        .size   w2s_dsp_winograd_\bands, . - w2s_dsp_winograd_\bands
        .endm

        winograd 26
        winograd 13

#endif
