// SPDX-License-Identifier: Apache-2.0
//
// first.S: l1, the 3x3 convolution 1->13 of one row.
//
// Nine taps are five SMLAD: with U[x] = {above[x], here[x]} and L[x] = {below[x], below[x+1]},
//     sum = U[x] w0 + U[x+1] w1 + U[x+2] w2 + L[x] w3 + L[x+2] w4.
// Weights are scaled by 2^k beforehand (requantise.h), 13 records of {bias, w0 .. w4, multiplier,
// rounding}. Six or seven bands at a time: their words stay in s0 .. s17, their sums in r0 .. r6.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_dsp_first, "ax", %progbits

        .equ    PIXEL, 28
        .equ    WORDS, 28               // of U, and of L

// A word in lr against three sums (or fewer at the ends, where the name is "none").
        .macro  tap weight, sum
        .ifnc   \sum, none
        smlad   \sum, lr, \weight, \sum
        .endif
        .endm

        .macro  upper word, s0, s1, s2
        vmov    lr, \word
        tap     r7, \s0
        tap     r8, \s1
        tap     r9, \s2
        .endm

        .macro  lower word, s0, s2
        vmov    lr, \word
        tap     r10, \s0
        tap     r11, \s2
        .endm

        .macro  finish reg, band
        smmla   \reg, \reg, r7, r8
        usat    \reg, #8, \reg, asr #12
        strh    \reg, [r9, #((\band) * PIXEL)]
        .endm

// Bands x .. x+5, or x+6: r0 of the caller in s28 (words), weights in s29, pixels in s30.
        .macro  block x, seven
        vmov    r0, s28
        add     r1, r0, #(4 * (\x))
        vldm    r1, {s0-s8}             // U[x] .. U[x+8]; the ninth is not used by six bands
        add     r1, r0, #(4 * (WORDS + (\x)))
        vldm    r1, {s9-s17}
        vmov    r12, s29
        mov     r0, #13
        vmov    s31, r0
        vmov    r0, s30
        add     r0, r0, #((\x) * PIXEL)
        vmov    s27, r0
        .balign 4
1:      ldm     r12!, {r6-r11}          // bias, w0 .. w4
        mov     r0, r6
        mov     r1, r6
        mov     r2, r6
        mov     r3, r6
        mov     r4, r6
        mov     r5, r6
        upper   s0, r0, none, none
        upper   s1, r1, r0, none
        upper   s2, r2, r1, r0
        upper   s3, r3, r2, r1
        upper   s4, r4, r3, r2
        upper   s5, r5, r4, r3
        .if     \seven
        upper   s6, r6, r5, r4
        upper   s7, none, r6, r5
        upper   s8, none, none, r6
        .else
        upper   s6, none, r5, r4
        upper   s7, none, none, r5
        .endif
        lower   s9, r0, none
        lower   s10, r1, none
        lower   s11, r2, r0
        lower   s12, r3, r1
        lower   s13, r4, r2
        lower   s14, r5, r3
        .if     \seven
        lower   s15, r6, r4
        lower   s16, none, r5
        lower   s17, none, r6
        .else
        lower   s15, none, r4
        lower   s16, none, r5
        .endif
        ldm     r12!, {r7, r8}          // multiplier, rounding
        vmov    r9, s27
        vmov    r10, s31
        finish  r0, 0
        finish  r1, 1
        finish  r2, 2
        finish  r3, 3
        finish  r4, 4
        finish  r5, 5
        .if     \seven
        finish  r6, 6
        .endif
        add     r9, r9, #2
        vmov    s27, r9
        subs    r10, r10, #1
        vmov    s31, r10
        bne.w   1b
        .endm

// void w2s_dsp_first(const uint32_t *words, const uint32_t *weights, uint32_t *row)
        .global w2s_dsp_first
        .type   w2s_dsp_first, %function
        .thumb_func
        .balign 16
w2s_dsp_first:
        push    {r4-r11, lr}
        vpush   {s16-s31}
        add     r2, r2, #PIXEL
        vmov    s28, r0
        vmov    s29, r1
        vmov    s30, r2
        block   0, 1
        block   7, 1
        block   14, 0
        block   20, 0
        vpop    {s16-s31}
        pop     {r4-r11, pc}
        .size   w2s_dsp_first, . - w2s_dsp_first

#endif
