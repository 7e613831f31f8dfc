// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-72k, generated from the int8 .tflite with SHA-256
// 6e61d4274668a5db3f8d69ce2101a5a91c7fe1c2cf90e00c4121cadf4dd00278
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-72k"
#define W2S_MODEL_72K 1

extern const w2s_model w2s_model_data;

#endif
