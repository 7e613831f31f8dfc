/* SPDX-License-Identifier: Apache-2.0 */
/* A session: one clip, or one stream, from START to RESULT.
 *
 * Blocks of audio are taken strictly in order; what the network says on the way (rows of tapped
 * layers, sliding windows) leaves through the outlet at once. There is one session at a time, and
 * a new one may begin at any moment: the host that began the old one may be gone. */
#ifndef SESSION_H
#define SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "messages.h"
#include "outlet.h"
#include "wav2small.h"

/* Blocks in flight. Four frames of a full block are 2.6 KB, which fit the 4 KB receive ring of the
 * boards with room for retries and pings. */
#ifndef SESSION_AUDIO_WINDOW
#define SESSION_AUDIO_WINDOW 4
#endif

enum {
    /* One segment of the library's ring is under way, the others can be in a window. */
    SESSION_MAX_WINDOW = W2S_SEGMENTS - 1,
};

typedef enum {
    SESSION_NONE,     /* since boot, or after STOP */
    SESSION_RUNNING,  /* takes audio */
    SESSION_FINISHED, /* has its result */
    SESSION_FAILED,   /* the library refused the audio: `status` says why */
} session_state_t;

typedef struct {
    uint32_t accepted;
    uint32_t repeated; /* had been taken before */
    uint32_t refused;  /* came before their turn, or when none was wanted */
} session_blocks_t;

typedef struct {
    uint64_t front_end;
    uint64_t network;
    uint64_t pool;
    uint64_t total; /* all calls into the library, less the time to send what was tapped */
} session_ticks_t;

/* The number of a session that the text console began: no host can name it. */
#define SESSION_OF_CONSOLE 0u

typedef struct {
    w2s_context engine;
    const w2s_model *model;
    w2s_status model_status; /* whether the library can run it */
    outlet_t *outlet;

    session_state_t state;
    uint32_t id;
    uint32_t next_block;
    uint64_t samples;
    w2s_status status;
    w2s_adv result;

    uint8_t window_segments; /* in a WINDOW event; 0 for none */
    bool live;               /* normalised by what was heard so far: windows make sense */
    bool print_windows;      /* as text, for a person at a terminal; survives the session */
    uint32_t segments;       /* finished ones, as far as they have been reported */
    uint64_t level_squares;  /* of the half second that is coming in */
    uint32_t level_samples;
    uint32_t level_rms; /* of the last whole half second */

    uint8_t source;             /* a link_source */
    bool hears;                 /* the board's microphone, which is on */
    bool echoes;                /* what it hears goes to the host */
    uint32_t microphone_before; /* board_microphone_overruns() at the start */

    bool profile;            /* a BLOCK_TICKS follows each block */
    uint64_t ticks_total;    /* of the library */
    uint64_t ticks_sending;  /* rows and windows */
    session_blocks_t blocks; /* since boot */
} session_t;

/* Binds the session to a model and to the outlet of its events. Call once. W2S_E_MODEL where the
 * library cannot run the model: no session will start then. */
w2s_status session_init(session_t *session, const w2s_model *model, outlet_t *outlet);

/* Begins the session that `request` describes, whatever went before. Where the library refuses
 * (status other than W2S_OK) no session runs. The caller has checked the values. */
w2s_status session_start(session_t *session, const link_start_t *request);

/* Takes the block of `count` samples that is due. The session must be running. The board's marker
 * is high meanwhile, and during session_finish(). */
w2s_status session_push(session_t *session, const int16_t *pcm, size_t count);

/* Ends the audio and computes the result, once; the session must be running. W2S_E_SHORT and the
 * like are results too. */
void session_finish(session_t *session);

/* From now on the session, which has just begun, hears the board's microphone. False, and the
 * session is over, where that does not start. */
bool session_hear(session_t *session, bool echoes);

/* Whether a block of the microphone waits. */
bool session_is_due(const session_t *session);

/* Takes it; sends it to the host, where that wants it and there is time. */
void session_take_heard(session_t *session);

/* Takes what waits of the microphone, the last samples too, and turns it off. */
void session_hear_end(session_t *session);

/* Samples that the microphone lost during the session. */
uint32_t session_lost(const session_t *session);

/* Forgets the session. */
void session_stop(session_t *session);

/* Ticks spent since the start of the session. */
session_ticks_t session_ticks(const session_t *session);

/* Rows that went in (log-mel) and came out (lin and sof). */
uint32_t session_frames(const session_t *session);
uint32_t session_rows(const session_t *session);

#endif
