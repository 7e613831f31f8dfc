// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-72k, generated from the int8 .tflite with SHA-256
// ed9acc0f88525acad088f24caf205c19c63d7146b057951650417cca6cf9656a
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-72k"
#define W2S_MODEL_72K 1

extern const w2s_model w2s_model_data;

#endif
