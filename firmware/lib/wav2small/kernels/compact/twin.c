// SPDX-License-Identifier: Apache-2.0
//
// twin.c: l1, lin and sof on hosts, as in the set "dsp".
#include "../dsp/twin.c"
