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
// A slab is what belongs to one point, from its address on:
//     64 bytes           weights that do not fit the registers (10 words)
//     (bands + 2) * 28   V: pixels of 14 halfwords, the first and the last being padding
//     bands * 4          M of one output channel
//     bands * 4          M of another
//
// Two output channels at four bands (or three) at a time: 8 sums stay in r0-r7, weights wait in
// s0-s29, and for 24 SMLAD there are 6 loads and 6 moves. Channel 12 is repeated in the pixel to
// its left (dsp.h), so that its taps 0 and 1 are one SMLAD: 20 words of weights a channel.
// Weights: six times {8 points of 40 words, 2 records}, then {8 points of 20 words, 1 record}; a
// record is {2^(k-3) / 45, bias, multiplier, rounding}.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_dsp_winograd, "ax", %progbits

        .equ    PIXEL, 28
        .equ    HEADER, 64
        .equ    POINTS, 8

// Register names: two weights, the slab, and windows of V.
wa      .req    r8
wb      .req    r9
slab    .req    r10

// acc(o, c): sums of band o and channel c; the first product of a sum needs no accumulator.
        .macro  mac2 first, a, b, v
        .if     \first
        smuad   \a, \v, wa
        smuad   \b, \v, wb
        .else
        smlad   \a, \v, wa, \a
        smlad   \b, \v, wb, \b
        .endif
        .endm

        .macro  loadv reg, x, pair
        ldr     \reg, [slab, #(HEADER + (\x) * PIXEL + (\pair) * 4)]
        .endm

        .macro  storem reg, offset, bands, x
        str     \reg, [slab, #(HEADER + ((\bands) + 2) * PIXEL + (\offset) + (\x) * 4)]
        .endm

// One pair of channels at four bands from x on: taps kx of V[x .. x+5], weights in pairs of s
// registers. The window slides over r11, r12, lr.
        .macro  four_bands x, pair, first, a0, b0, a1, b1, a2, b2
        vmov    wa, \a0
        vmov    wb, \b0
        loadv   r11, \x, \pair
        loadv   r12, \x + 1, \pair
        loadv   lr, \x + 2, \pair
        mac2    \first, r0, r1, r11
        mac2    \first, r2, r3, r12
        mac2    \first, r4, r5, lr
        loadv   r11, \x + 3, \pair
        mac2    \first, r6, r7, r11
        vmov    wa, \a1
        vmov    wb, \b1
        mac2    0, r0, r1, r12
        loadv   r12, \x + 4, \pair
        mac2    0, r2, r3, lr
        mac2    0, r4, r5, r11
        mac2    0, r6, r7, r12
        vmov    wa, \a2
        vmov    wb, \b2
        mac2    0, r0, r1, lr
        loadv   lr, \x + 5, \pair
        mac2    0, r2, r3, r11
        mac2    0, r4, r5, r12
        mac2    0, r6, r7, lr
        .endm

// The same for channels 10, 11 and 12, whose weights are in the slab's header: loads of weights
// and of V follow each other, which makes them cheaper.
        .macro  four_bands_last x
        ldr     wa, [slab, #0]
        ldr     wb, [slab, #4]
        loadv   r11, \x, 5
        loadv   r12, \x + 1, 5
        loadv   lr, \x + 2, 5
        mac2    0, r0, r1, r11
        mac2    0, r2, r3, r12
        mac2    0, r4, r5, lr
        loadv   r11, \x + 3, 5
        mac2    0, r6, r7, r11
        ldr     wa, [slab, #8]
        ldr     wb, [slab, #12]
        mac2    0, r0, r1, r12
        loadv   r12, \x + 4, 5
        mac2    0, r2, r3, lr
        mac2    0, r4, r5, r11
        mac2    0, r6, r7, r12
        ldr     wa, [slab, #16]
        ldr     wb, [slab, #20]
        mac2    0, r0, r1, lr
        loadv   lr, \x + 5, 5
        mac2    0, r2, r3, r11
        mac2    0, r4, r5, r12
        mac2    0, r6, r7, lr
        ldr     wa, [slab, #24]
        ldr     wb, [slab, #28]
        loadv   r11, \x, 6
        loadv   r12, \x + 1, 6
        loadv   lr, \x + 2, 6
        mac2    0, r0, r1, r11
        mac2    0, r2, r3, r12
        mac2    0, r4, r5, lr
        loadv   r11, \x + 3, 6
        mac2    0, r6, r7, r11
        ldr     wa, [slab, #32]
        ldr     wb, [slab, #36]
        loadv   r12, \x + 4, 6
        mac2    0, r0, r1, lr
        loadv   lr, \x + 5, 6
        mac2    0, r2, r3, r11
        mac2    0, r4, r5, r12
        mac2    0, r6, r7, lr
        .endm

        .macro  four x, bands
        four_bands \x, 0, 1, s0, s1, s2, s3, s4, s5
        four_bands \x, 1, 0, s6, s7, s8, s9, s10, s11
        four_bands \x, 2, 0, s12, s13, s14, s15, s16, s17
        four_bands \x, 3, 0, s18, s19, s20, s21, s22, s23
        four_bands \x, 4, 0, s24, s25, s26, s27, s28, s29
        four_bands_last \x
        storem  r0, 0, \bands, \x
        storem  r2, 0, \bands, \x + 1
        storem  r4, 0, \bands, \x + 2
        storem  r6, 0, \bands, \x + 3
        storem  r1, 4 * (\bands), \bands, \x
        storem  r3, 4 * (\bands), \bands, \x + 1
        storem  r5, 4 * (\bands), \bands, \x + 2
        storem  r7, 4 * (\bands), \bands, \x + 3
        .endm

// Three bands: the window of five fits r6, r7, r11, r12, lr.
        .macro  window x, pair
        loadv   r6, \x, \pair
        loadv   r7, \x + 1, \pair
        loadv   r11, \x + 2, \pair
        loadv   r12, \x + 3, \pair
        loadv   lr, \x + 4, \pair
        .endm

        .macro  three_taps first, v0, v1, v2
        mac2    \first, r0, r1, \v0
        mac2    \first, r2, r3, \v1
        mac2    \first, r4, r5, \v2
        .endm

        .macro  three_bands x, pair, first, a0, b0, a1, b1, a2, b2
        vmov    wa, \a0
        vmov    wb, \b0
        window  \x, \pair
        three_taps \first, r6, r7, r11
        vmov    wa, \a1
        vmov    wb, \b1
        three_taps 0, r7, r11, r12
        vmov    wa, \a2
        vmov    wb, \b2
        three_taps 0, r11, r12, lr
        .endm

        .macro  three_bands_last x
        ldr     wa, [slab, #0]
        ldr     wb, [slab, #4]
        window  \x, 5
        three_taps 0, r6, r7, r11
        ldr     wa, [slab, #8]
        ldr     wb, [slab, #12]
        three_taps 0, r7, r11, r12
        ldr     wa, [slab, #16]
        ldr     wb, [slab, #20]
        three_taps 0, r11, r12, lr
        ldr     wa, [slab, #24]
        ldr     wb, [slab, #28]
        window  \x, 6
        three_taps 0, r6, r7, r11
        ldr     wa, [slab, #32]
        ldr     wb, [slab, #36]
        three_taps 0, r11, r12, lr
        .endm

        .macro  three x, bands
        three_bands \x, 0, 1, s0, s1, s2, s3, s4, s5
        three_bands \x, 1, 0, s6, s7, s8, s9, s10, s11
        three_bands \x, 2, 0, s12, s13, s14, s15, s16, s17
        three_bands \x, 3, 0, s18, s19, s20, s21, s22, s23
        three_bands \x, 4, 0, s24, s25, s26, s27, s28, s29
        three_bands_last \x
        storem  r0, 0, \bands, \x
        storem  r2, 0, \bands, \x + 1
        storem  r4, 0, \bands, \x + 2
        storem  r1, 4 * (\bands), \bands, \x
        storem  r3, 4 * (\bands), \bands, \x + 1
        storem  r5, 4 * (\bands), \bands, \x + 2
        .endm

// The last output channel is alone: sums of six or seven bands in r0 .. r6, weights in r7-r9.
        .macro  mac1 first, a, v, w
        .if     \first
        smuad   \a, \v, \w
        .else
        smlad   \a, \v, \w, \a
        .endif
        .endm

        .macro  alone x, pair, first, seven, w0, w1, w2
        vmov    r7, \w0
        vmov    wa, \w1
        vmov    wb, \w2
        loadv   r11, \x, \pair
        loadv   r12, \x + 1, \pair
        loadv   lr, \x + 2, \pair
        mac1    \first, r0, r11, r7
        mac1    \first, r1, r12, r7
        mac1    0, r0, r12, wa
        mac1    \first, r2, lr, r7
        mac1    0, r1, lr, wa
        mac1    0, r0, lr, wb
        loadv   r11, \x + 3, \pair
        loadv   r12, \x + 4, \pair
        loadv   lr, \x + 5, \pair
        mac1    \first, r3, r11, r7
        mac1    0, r2, r11, wa
        mac1    0, r1, r11, wb
        mac1    \first, r4, r12, r7
        mac1    0, r3, r12, wa
        mac1    0, r2, r12, wb
        mac1    \first, r5, lr, r7
        mac1    0, r4, lr, wa
        mac1    0, r3, lr, wb
        loadv   r11, \x + 6, \pair
        loadv   r12, \x + 7, \pair
        .if     \seven
        loadv   lr, \x + 8, \pair
        mac1    \first, r6, r11, r7
        mac1    0, r6, r12, wa
        mac1    0, r6, lr, wb
        .endif
        mac1    0, r5, r11, wa
        mac1    0, r4, r11, wb
        mac1    0, r5, r12, wb
        .endm

// Channel 12 of the input: taps 0 and 1 in one.
        .macro  alone_last x, seven, w01, w2
        vmov    r7, \w01
        vmov    wb, \w2
        loadv   r11, \x, 6
        loadv   r12, \x + 1, 6
        loadv   lr, \x + 2, 6
        mac1    0, r0, r11, r7
        mac1    0, r1, r12, r7
        mac1    0, r2, lr, r7
        mac1    0, r0, lr, wb
        loadv   r11, \x + 3, 6
        loadv   r12, \x + 4, 6
        loadv   lr, \x + 5, 6
        mac1    0, r3, r11, r7
        mac1    0, r1, r11, wb
        mac1    0, r4, r12, r7
        mac1    0, r2, r12, wb
        mac1    0, r5, lr, r7
        mac1    0, r3, lr, wb
        loadv   r11, \x + 6, 6
        loadv   r12, \x + 7, 6
        .if     \seven
        loadv   lr, \x + 8, 6
        mac1    0, r6, r11, r7
        mac1    0, r6, lr, wb
        .endif
        mac1    0, r4, r11, wb
        mac1    0, r5, r12, wb
        .endm

        .macro  alone_block x, bands, seven
        alone   \x, 0, 1, \seven, s0, s1, s2
        alone   \x, 1, 0, \seven, s3, s4, s5
        alone   \x, 2, 0, \seven, s6, s7, s8
        alone   \x, 3, 0, \seven, s9, s10, s11
        alone   \x, 4, 0, \seven, s12, s13, s14
        alone   \x, 5, 0, \seven, s15, s16, s17
        alone_last \x, \seven, s18, s19
        storem  r0, 0, \bands, \x
        storem  r1, 0, \bands, \x + 1
        storem  r2, 0, \bands, \x + 2
        storem  r3, 0, \bands, \x + 3
        storem  r4, 0, \bands, \x + 4
        storem  r5, 0, \bands, \x + 5
        .if     \seven
        storem  r6, 0, \bands, \x + 6
        .endif
        .endm

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
        add     r7, r7, r11
        add     r7, r7, r9, lsl #5
        ldr     r12, [r1, #(3 * (\size) + 4 * (\x))]
        ldr     r9, [r0, #(4 * (\x))]
        add     r7, r7, r12
        finish  r7, \bands, 5, \x, \last
        add     r12, lr, r8, lsl #2
        add     r12, r12, r10, lsl #3
        finish  r12, \bands, 2, \x, \last
        add     r12, lr, r8, lsl #4
        add     r12, r12, r10, lsl #1
        finish  r12, \bands, 4, \x, \last
        add     r9, r9, lr
        add     r9, r9, r8
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
2:      ldr     slab, [sp, #0]
        mov     r3, #POINTS
        vmov    s31, r3
3:      vmov    r0, s30
        vldm    r0!, {s0-s29}
        ldm     r0!, {r1-r9, r11}
        vmov    s30, r0
        stm     slab, {r1-r9, r11}
        .if     (\bands) == 26
        four    0, 26
        four    4, 26
        four    8, 26
        four    12, 26
        four    16, 26
        three   20, 26
        three   23, 26
        .else
        four    0, 13
        three   4, 13
        three   7, 13
        three   10, 13
        .endif
        vmov    r1, s31
        add     slab, slab, #SIZE\bands
        subs    r1, r1, #1
        vmov    s31, r1
        bne.w   3b
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

        ldr     slab, [sp, #0]
        mov     r3, #POINTS
        vmov    s31, r3
5:      vmov    r0, s30
        vldm    r0!, {s0-s19}
        vmov    s30, r0
        .if     (\bands) == 26
        alone_block 0, 26, 1
        alone_block 7, 26, 1
        alone_block 14, 26, 0
        alone_block 20, 26, 0
        .else
        alone_block 0, 13, 1
        alone_block 7, 13, 0
        .endif
        vmov    r1, s31
        add     slab, slab, #SIZE\bands
        subs    r1, r1, #1
        vmov    s31, r1
        bne.w   5b
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
