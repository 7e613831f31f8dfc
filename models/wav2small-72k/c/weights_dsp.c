// SPDX-License-Identifier: Apache-2.0
//
// weights_dsp.c: wav2small-72k, packed for kernels/dsp, from the .tflite
// ed9acc0f88525acad088f24caf205c19c63d7146b057951650417cca6cf9656a
#include "weights.h"

// clang-format off

#ifdef W2S_KERNELS_DSP

#error "wav2small-72k: sof: right shifts of 10 .. 12, not 5 .. 11: build with W2S_KERNELS=portable"

#endif

// clang-format on
