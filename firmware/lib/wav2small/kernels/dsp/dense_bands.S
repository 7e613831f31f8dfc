// SPDX-License-Identifier: Apache-2.0
//
// dense_bands.S: lin or sof of 17K, a 1x1 convolution 13 -> 13: every band on its own.
//
// Two outputs at four bands (or three) at a time, as in winograd.S: sums in r0-r7, weights in
// s0-s13, seven words a pixel (the slot behind channel 12 has weight 0). Weights: seven pairs of
// {7 x 2 words, 2 records of requantise.h}; the fourteenth output is not written.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_dsp_dense_bands, "ax", %progbits

        .equ    PIXEL, 28
        .equ    CHANNELS, 13

wa      .req    r8
wb      .req    r9
pixels  .req    r10

        .macro  mac2 first, a, b, v
        .if     \first
        smuad   \a, \v, wa
        smuad   \b, \v, wb
        .else
        smlad   \a, \v, wa, \a
        smlad   \b, \v, wb, \b
        .endif
        .endm

        .macro  words band, word, first, bands, w0, w1
        vmov    wa, \w0
        vmov    wb, \w1
        ldr     r11, [pixels, #(((\band) + 0) * PIXEL + 4 * (\word))]
        ldr     r12, [pixels, #(((\band) + 1) * PIXEL + 4 * (\word))]
        ldr     lr, [pixels, #(((\band) + 2) * PIXEL + 4 * (\word))]
        mac2    \first, r0, r4, r11
        mac2    \first, r1, r5, r12
        mac2    \first, r2, r6, lr
        .if     (\bands) == 4
        ldr     r11, [pixels, #(((\band) + 3) * PIXEL + 4 * (\word))]
        mac2    \first, r3, r7, r11
        .endif
        .endm

// A sum to int8 at `band` of the output: {16 bias, multiplier, rounding, shift} in r8-r11, 4 in
// r12, the output in lr.
        .macro  finish sum, band, scratch
        add     \sum, r8, \sum, lsl #4
        smmla   \sum, \sum, r9, r12
        asr     \scratch, \sum, #31
        add     \sum, \sum, \scratch, lsl #3    // a step off where negative
        add     \sum, \sum, r10
        asr     \sum, \sum, r11
        usat    \sum, #8, \sum
        eor     \sum, \sum, #128                // q + 128 to q
        strb    \sum, [lr, #((\band) * CHANNELS)]
        .endm

        .macro  record w0, w1, w2, w3
        vmov    r8, \w0
        vmov    r9, \w1
        vmov    r10, \w2
        vmov    r11, \w3
        .endm

        .macro  block band, bands
        vmov    pixels, s24
        words   \band, 0, 1, \bands, s0, s1
        words   \band, 1, 0, \bands, s2, s3
        words   \band, 2, 0, \bands, s4, s5
        words   \band, 3, 0, \bands, s6, s7
        words   \band, 4, 0, \bands, s8, s9
        words   \band, 5, 0, \bands, s10, s11
        words   \band, 6, 0, \bands, s12, s13
        vmov    s26, r4                         // the second output waits
        vmov    lr, s25
        mov     r12, #4
        record  s14, s15, s16, s17
        finish  r0, \band + 0, r4
        finish  r1, \band + 1, r4
        finish  r2, \band + 2, r4
        .if     (\bands) == 4
        finish  r3, \band + 3, r4
        .endif
        vmov    r4, s26
        vmov    r3, s23
        cmp     r3, #1                          // the fourteenth
        beq.w   2f
        add     lr, lr, #1
        record  s18, s19, s20, s21
        finish  r4, \band + 0, r0
        finish  r5, \band + 1, r0
        finish  r6, \band + 2, r0
        .if     (\bands) == 4
        finish  r7, \band + 3, r0
        .endif
2:
        .endm

// void w2s_dsp_dense_bands(const uint32_t *row, const uint32_t *weights, int8_t *out)
        .global w2s_dsp_dense_bands
        .type   w2s_dsp_dense_bands, %function
        .thumb_func
        .balign 16
w2s_dsp_dense_bands:
        push    {r4-r11, lr}
        vpush   {s16-s27}
        add     r0, r0, #PIXEL                  // past the padding pixel
        vmov    s24, r0
        vmov    s25, r2
        vmov    s22, r1
        mov     r3, #7
        vmov    s23, r3
        .balign 4
1:      vmov    r1, s22
        vldm    r1!, {s0-s21}
        vmov    s22, r1
        block   0, 4
        block   4, 3
        block   7, 3
        block   10, 3
        vmov    r2, s25
        vmov    r3, s23
        add     r2, r2, #2
        vmov    s25, r2
        subs    r3, r3, #1
        vmov    s23, r3
        bne.w   1b
        vpop    {s16-s27}
        pop     {r4-r11, pc}
        .size   w2s_dsp_dense_bands, . - w2s_dsp_dense_bands

#endif
