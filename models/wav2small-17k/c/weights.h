// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-17k, generated from the int8 .tflite with SHA-256
// ef884f243915e914a745f068a384a23c3c2c672b558a55ce2ad87af8bdb08d39
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-17k"
#define W2S_MODEL_17K 1

extern const w2s_model w2s_model_data;

#endif
