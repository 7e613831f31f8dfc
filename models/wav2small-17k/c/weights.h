// SPDX-License-Identifier: Apache-2.0
//
// weights.h: wav2small-17k, generated from the int8 .tflite with SHA-256
// d92ccc6aa0773af7abe56a05276307cd2f082a30536a2b56ebd1840f3cd7f817
#ifndef W2S_WEIGHTS_H
#define W2S_WEIGHTS_H

#include "wav2small.h"

#define W2S_MODEL_NAME "wav2small-17k"
#define W2S_MODEL_17K 1

extern const w2s_model w2s_model_data;

#endif
