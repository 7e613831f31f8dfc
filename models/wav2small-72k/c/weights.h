// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-72k, generated from the int8 .tflite with SHA-256
// 64963a2e580430e06eb0f05d10adc671c74e6bcbed606715e4bc96b6ca9fa9c7
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-72k"
#define W2S_MODEL_72K 1

extern const w2s_model w2s_model_data;

#endif
