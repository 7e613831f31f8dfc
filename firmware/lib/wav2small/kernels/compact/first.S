// SPDX-License-Identifier: Apache-2.0
//
// first.S: l1, as in the set "dsp".
#include "../dsp/first.S"
