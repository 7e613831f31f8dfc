// SPDX-License-Identifier: Apache-2.0
//
// dense_bands.S: lin and sof of 17K, as in the set "dsp".
#include "../dsp/dense_bands.S"
