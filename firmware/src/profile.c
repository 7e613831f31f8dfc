/* SPDX-License-Identifier: Apache-2.0 */
#include "profile.h"

#include "board.h"

static uint32_t readings;

/* Where the last block ended. */
static uint32_t uptime_before;
static board_load_t load_before;

void profile_start(bool on) {
    board_measure(on);
    load_before = board_load();
    uptime_before = (uint32_t)board_uptime();
}

/* At every row the library reads its clock: a sign of life for the watchdog, too. */
uint64_t profile_clock(void) {
    board_watchdog_kick();
    ++readings;
    return board_work_ticks();
}

profile_mark_t profile_mark(const session_t *session) {
    profile_mark_t mark = {
        .library = (uint32_t)session->ticks_total,
        .sending = (uint32_t)session->ticks_sending,
        .readings = readings,
    };
    for (int layer = 0; layer < W2S_TAPS; ++layer) {
        mark.layers[layer] = (uint32_t)w2s_ticks(&session->engine, (w2s_tap)layer);
    }
    mark.work = (uint32_t)board_work_ticks();
    return mark;
}

static uint32_t ticks_of_a_reading(void) {
    const uint64_t begin = profile_clock();
    return (uint32_t)(profile_clock() - begin);
}

/* What is left of the work. A clock that is read for each part may run a tick ahead of the whole.
 */
static uint32_t rest(uint32_t work, uint32_t parts) { return work > parts ? work - parts : 0u; }

void profile_send(session_t *session, uint32_t block, const profile_mark_t *before) {
    const profile_mark_t after = profile_mark(session);
    const uint32_t work = after.work - before->work;
    const uint32_t library = after.library - before->library;
    const uint32_t uptime = (uint32_t)board_uptime();
    const board_load_t load = board_load();
#define LAYER(tap) (after.layers[W2S_TAP_##tap] - before->layers[W2S_TAP_##tap])
    const link_block_ticks_t ticks = {
        .session = session->id,
        .block = block,
        .front_end = LAYER(LOGMEL),
        .attention = LAYER(INPUT),
        .l1 = LAYER(L1),
        .l2 = LAYER(L1 + 1),
        .l3 = LAYER(L1 + 2),
        .l4 = LAYER(L4),
        .l5 = LAYER(L4 + 1),
        .l6 = LAYER(L4 + 2),
        .l7 = LAYER(L4 + 3),
        .pool = LAYER(POOL),
        .lin = LAYER(LIN),
        .sof = LAYER(SOF),
        .library = library,
        .answer = rest(work, library + (after.sending - before->sending)),
        .interrupts = (uint32_t)(load.interrupts - load_before.interrupts),
        .interrupt_count = load.count - load_before.count,
        .asleep = (uint32_t)(load.asleep - load_before.asleep),
        .elapsed = uptime - uptime_before,
        .readings = after.readings - before->readings,
        .reading = ticks_of_a_reading(),
    };
#undef LAYER
    uptime_before = uptime;
    load_before = load;
    outlet_event(session->outlet, LINK_BLOCK_TICKS, &ticks, sizeof ticks, NULL, 0);
}
