// SPDX-License-Identifier: Apache-2.0
//
// dense.S: lin or sof of 72K, 169 -> 169, two rows at a time.
//
// A word of weights holds two inputs' weights of two outputs: each halfword is w0 + 256 w1. One
// SMLAD with the word as it is gives S1 = sum x (w0 + 256 w1); SXTB16 leaves w0 alone, and another
// gives S0 = sum x w0; then sum x w1 = (S1 - S0) / 256, exactly, since |S1| < 2^31. So weights are
// 8 bits in flash and cost one instruction to unpack for two outputs.
//
// Four outputs (two words) and two rows: 8 sums in r0-r7, and for 8 SMLAD 4 loads and 2 SXTB16. A
// row is that of the trunk: 13 pixels of 7 words, where every second pixel's channel 12 comes with
// the word of the pixel before and its own last word is passed over: 85 words.
// Weights: 43 quads of {85 x 2 words, 4 records of requantise.h}; quad 42 has one output.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_dsp_dense, "ax", %progbits

        .equ    ROW, 15 * 28            // bytes from row to row

// Word `x` of both rows at r8 against the two words `w` of weights at r12.
        .macro  step x, w
        ldr     r10, [r8, #(4 * (\x))]
        ldr     r11, [r8, #(ROW + 4 * (\x))]
        ldr     r9, [r12, #(8 * (\w))]
        ldr     lr, [r12, #(8 * (\w) + 4)]
        smlad   r1, r10, r9, r1         // S1 of outputs 0, 1: row 0 in r1, row 1 in r5
        smlad   r5, r11, r9, r5
        sxtb16  r9, r9
        smlad   r0, r10, r9, r0         // S0
        smlad   r4, r11, r9, r4
        smlad   r3, r10, lr, r3
        smlad   r7, r11, lr, r7
        sxtb16  lr, lr
        smlad   r2, r10, lr, r2
        smlad   r6, r11, lr, r6
        .endm

// One output of both rows: their sums, the record at r12, to [r2] and 169 on.
        .macro  output sum0, sum1
        ldm     r12!, {r6-r9}           // 16 bias, multiplier, rounding, shift
        mov     r10, #4                 // half a step of the first rounding
        mov     r11, #8                 // a step of it
        add     \sum0, r6, \sum0, lsl #4
        add     \sum1, r6, \sum1, lsl #4
        smmla   \sum0, \sum0, r7, r10
        smmla   \sum1, \sum1, r7, r10
        and     r10, r11, \sum0, asr #31   // a step off where negative
        and     r11, r11, \sum1, asr #31
        sub     \sum0, \sum0, r10
        sub     \sum1, \sum1, r11
        add     \sum0, \sum0, r8
        add     \sum1, \sum1, r8
        asr     \sum0, \sum0, r9
        asr     \sum1, \sum1, r9
        usat    \sum0, #8, \sum0
        usat    \sum1, #8, \sum1
        eor     \sum0, \sum0, #128      // q + 128 to q
        eor     \sum1, \sum1, #128
        strb    \sum1, [r2, #169]
        strb    \sum0, [r2], #1
        .endm

// void w2s_dsp_dense(const uint32_t *rows, const uint32_t *weights, int8_t *out)
        .global w2s_dsp_dense
        .type   w2s_dsp_dense, %function
        .thumb_func
        .balign 16
w2s_dsp_dense:
        push    {r4-r11, lr}
        add     r0, r0, #28             // past the padding pixel
        vmov    s0, r0
        vmov    s2, r2                  // out
        mov     r5, #43
        vmov    s4, r5
        mov     r12, r1
1:      vmov    r8, s0
        mov     r0, #2
        vmov    s5, r0
        mov     r0, #0
        mov     r1, #0
        mov     r2, #0
        mov     r3, #0
        mov     r4, #0
        mov     r5, #0
        mov     r6, #0
        mov     r7, #0
        .balign 4
2:      .irp    pair, 0, 1, 2           // of pixels: 14 words, the last one passed over
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
        step    14 * \pair + \i, 13 * \pair + \i
        .endr
        .endr
        vmov    r9, s5
        add     r8, r8, #(3 * 56)
        add     r12, r12, #(3 * 13 * 8)
        subs    r9, r9, #1
        vmov    s5, r9
        bne.w   2b
        .irp    i, 0, 1, 2, 3, 4, 5, 6
        step    \i, \i
        .endr
        add     r12, r12, #(7 * 8)
        sub     r1, r1, r0
        sub     r5, r5, r4
        asr     r1, r1, #8
        asr     r5, r5, #8
        sub     r3, r3, r2
        sub     r7, r7, r6
        asr     r3, r3, #8
        asr     r7, r7, #8
        vmov    s8, r2                  // two outputs wait
        vmov    s9, r3
        vmov    s10, r6
        vmov    s11, r7
        vmov    r3, s4
        vmov    r2, s2
        output  r0, r4
        cmp     r3, #1                  // the last quad has one output
        beq.w   3f
        output  r1, r5
        vmov    r0, s8
        vmov    r1, s10
        output  r0, r1
        vmov    r0, s9
        vmov    r1, s11
        output  r0, r1
        vmov    s2, r2
        subs    r3, r3, #1
        vmov    s4, r3
        b.w     1b
3:      pop     {r4-r11, pc}
        .size   w2s_dsp_dense, . - w2s_dsp_dense

#endif
