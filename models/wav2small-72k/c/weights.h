// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-72k, generated from the int8 .tflite with SHA-256
// 5bacdc2f444720966f50b4467b4c27a740d8fee5395a059ae0cec4e18c87ab19
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-72k"
#define W2S_MODEL_72K 1

extern const w2s_model w2s_model_data;

#endif
