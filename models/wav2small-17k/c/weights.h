// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-17k, generated from the int8 .tflite with SHA-256
// 9e731fab6583dba576ff468103502a1c1085ec96721e10606a90f0625364248e
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-17k"
#define W2S_MODEL_17K 1

extern const w2s_model w2s_model_data;

#endif
