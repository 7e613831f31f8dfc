// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-17k, generated from the int8 .tflite with SHA-256
// 68dd0ef4112a0cebcfe903ab3cd75cd1c58ca0f6814477d727cf507c06eba000
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-17k"
#define W2S_MODEL_17K 1

extern const w2s_model w2s_model_data;

#endif
