// SPDX-License-Identifier: Apache-2.0
//
// dense.S: lin and sof of 72K, as in the set "dsp".
#include "../dsp/dense.S"
