// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-72k, generated from the int8 .tflite with SHA-256
// f3f7fea6a5057aeeb791ff4c2dc80c539dc4603634c537be3acc8aa878b4e3ea
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-72k"
#define W2S_MODEL_72K 1

extern const w2s_model w2s_model_data;

#endif
