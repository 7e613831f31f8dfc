// SPDX-License-Identifier: Apache-2.0
//
// transform.S: input transform of Winograd F(4,3) along time (winograd.S), two channels at a time.
// From six rows d0 .. d5 (the two past ones and four new ones):
//
//     V0 = (4 d0 + d4) - 5 d2               V3 = (d4 + 2 d3) - (d2 + 2 d1)
//     V1 = (d3 + d4) - 4 (d1 + d2)          V4 = (d4 + 2 d1) - (d2 + 2 d3)
//     V2 = (d4 + 4 d1) - (d3 + 4 d2)        V5 = (d5 + 4 d1) - 5 d3
//
// Rows are bytes, 0 .. 255; UXTB16 takes a word of four channels apart into halfwords, the even ones
// and the odd ones. What is in brackets stays below 2^16: no halfword carries into the next, and
// |V| <= 8 * 255.

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP

        .syntax unified
        .thumb
        .section .text.w2s_compact_transform, "ax", %progbits

        .equ    PIXEL, 28               // bytes of halfwords, in a V row
        .equ    BYTES, 12               // in a row, without channel 12
        .equ    HEADER, 40
        .equ    LAST, 24                // channel 12 in a pixel of halfwords

// How a result leaves: a word at the V pixel (points 0-3 at r1, 4-5 at r2) ...
        .macro  store_word point, reg, offset, size
        .if     (\point) < 4
        str.w   \reg, [r1, #((\point) * (\size) + (\offset))]
        .else
        str.w   \reg, [r2, #(((\point) - 4) * (\size) + (\offset))]
        .endif
        .endm

// ... or channel 12, in its pixel and once more in the pixel to the left.
        .macro  store_last point, reg, offset, size
        .if     (\point) < 4
        strh    \reg, [r1, #((\point) * (\size) + LAST)]
        strh    \reg, [r1, #((\point) * (\size) + LAST + 2 - PIXEL)]
        .else
        strh    \reg, [r2, #(((\point) - 4) * (\size) + LAST)]
        strh    \reg, [r2, #(((\point) - 4) * (\size) + LAST + 2 - PIXEL)]
        .endif
        .endm

// V0 .. V5 from d0 .. d5 in r3 .. r8.
        .macro  points store, offset, size
        add     r9, r7, r3, lsl #2
        add     r10, r5, r5, lsl #2
        ssub16  r9, r9, r10
        \store  0, r9, \offset, \size
        add     r9, r6, r7
        add     r10, r4, r5
        lsl     r10, r10, #2
        ssub16  r9, r9, r10
        \store  1, r9, \offset, \size
        add     r9, r7, r4, lsl #2
        add     r10, r6, r5, lsl #2
        ssub16  r9, r9, r10
        \store  2, r9, \offset, \size
        add     r9, r7, r6, lsl #1
        add     r10, r5, r4, lsl #1
        ssub16  r9, r9, r10
        \store  3, r9, \offset, \size
        add     r9, r7, r4, lsl #1
        add     r10, r5, r6, lsl #1
        ssub16  r9, r9, r10
        \store  4, r9, \offset, \size
        add     r9, r8, r4, lsl #2
        add     r10, r6, r6, lsl #2
        ssub16  r9, r9, r10
        \store  5, r9, \offset, \size
        .endm

// Half of a word of bytes, turned right by `turn`: to the V word at `offset`.
        .macro  half at, turn, offset, row, size
        ldr.w   r3, [lr, #(\at)]
        ldr.w   r4, [lr, #((\row) + (\at))]
        ldr.w   r5, [r0, #(\at)]
        ldr.w   r6, [r0, #(1 * (\row) + (\at))]
        ldr.w   r7, [r0, #(2 * (\row) + (\at))]
        ldr.w   r8, [r0, #(3 * (\row) + (\at))]
        .if     \turn
        str.w   r7, [lr, #(\at)]        // the past of the next batch
        str.w   r8, [lr, #((\row) + (\at))]
        .endif
        .irp    reg, r3, r4, r5, r6, r7, r8
        uxtb16  \reg, \reg, ror #\turn
        .endr
        points  store_word, \offset, \size
        .endm

// Channel 12: its bytes at r11 (rows) and r12 (past).
        .macro  last row, size
        ldrb    r3, [r12]
        ldrb    r4, [r12, #(\row)]
        ldrb    r5, [r11]
        ldrb    r6, [r11, #(1 * (\row))]
        ldrb    r7, [r11, #(2 * (\row))]
        ldrb    r8, [r11, #(3 * (\row))]
        strb    r8, [r12, #(\row)]
        strb    r7, [r12], #1
        points  store_last, 0, \size
        add     r11, r11, #1
        .endm

// The padding is 0, and so is its V; it is written every time, since slabs of both widths share
// their memory. So is what the last pixel has of channel 12 to its right.
        .macro  zero_padding point, bands, size
        .irp    i, 0, 4, 8, 12, 16, 20, 24
        store_word \point, r3, \i, \size
        store_word \point, r3, ((\bands) + 1) * PIXEL + \i, \size
        .endr
        store_word \point, r3, (\bands) * PIXEL + LAST, \size
        .endm

// void w2s_compact_transform_<bands>(const uint32_t *rows, uint32_t *slabs, uint32_t *past)
        .macro  transform bands, row
        .global w2s_compact_transform_\bands
        .type   w2s_compact_transform_\bands, %function
        .thumb_func
        .balign 16
        .equ    SIZE\bands, HEADER + ((\bands) + 2) * PIXEL + (\bands) * 8
w2s_compact_transform_\bands:
        push    {r4-r11, lr}
        mov     lr, r2
        add     r1, r1, #HEADER
        movw    r2, #(4 * SIZE\bands)
        add     r2, r2, r1
        mov     r3, #0
        .irp    p, 0, 1, 2, 3, 4, 5
        zero_padding \p, \bands, SIZE\bands
        .endr
        add     r1, r1, #PIXEL          // band 0
        add     r2, r2, #PIXEL
        add     r11, r0, #((\bands) * BYTES)
        add     r12, lr, #((\bands) * BYTES)
        mov     r3, #(\bands)
        vmov    s0, r3
        .balign 4
1:      half    0, 0, 0, \row, SIZE\bands
        half    0, 8, 4, \row, SIZE\bands
        half    4, 0, 8, \row, SIZE\bands
        half    4, 8, 12, \row, SIZE\bands
        half    8, 0, 16, \row, SIZE\bands
        half    8, 8, 20, \row, SIZE\bands
        last    \row, SIZE\bands
        vmov    r3, s0
        add     r0, r0, #BYTES
        add     lr, lr, #BYTES
        add     r1, r1, #PIXEL
        add     r2, r2, #PIXEL
        subs    r3, r3, #1
        vmov    s0, r3
        bne.w   1b
        pop     {r4-r11, pc}
        .size   w2s_compact_transform_\bands, . - w2s_compact_transform_\bands
        .endm

        transform 26, 340
        transform 13, 172

#endif
