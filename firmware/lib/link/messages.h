/*
 * Generated from host/wav2small_micro/link/messages.py: do not edit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LINK_MESSAGES_H
#define LINK_MESSAGES_H

#include <stdint.h>

/// Constants ///

#define LINK_PROTOCOL_VERSION 2u     /**< HELLO with another one is refused */
#define LINK_MAX_PAYLOAD 1024u       /**< bytes */
#define LINK_BLOCK_SAMPLES 320u      /**< samples in a full AUDIO, 20 ms */
#define LINK_NAME_SIZE 24u           /**< bytes of a name, padded with zeros */
#define LINK_SHA256_SIZE 32u         /**< bytes */
#define LINK_FRAME_SILENCE_MS 200u   /**< within a frame, then text again */
#define LINK_LOGMEL_PER_DB 128u      /**< scale of a log-mel tap */
#define LINK_RESET_MAGIC 0x52455345u /**< guards RESET */

/// Message codes ///

enum link_type {
    LINK_HELLO = 0x01,
    LINK_START = 0x02,
    LINK_AUDIO = 0x03,
    LINK_FINISH = 0x04,
    LINK_COUNTERS = 0x05,
    LINK_RESET = 0x06,
    LINK_PING = 0x07,
    LINK_STOP = 0x08,
    LINK_HELLO_REPLY = 0x81,
    LINK_START_REPLY = 0x82,
    LINK_CREDIT = 0x83,
    LINK_RESULT = 0x84,
    LINK_COUNTERS_REPLY = 0x85,
    LINK_PONG = 0x87,
    LINK_ACK = 0x88,
    LINK_WINDOW = 0xC0,
    LINK_ROW = 0xC1,
    LINK_FAULT = 0xC2,
    LINK_BOOT = 0xC3,
    LINK_BLOCK_TICKS = 0xC4,
    LINK_HEARD = 0xC5,
    LINK_ERROR = 0xFF,
};

/// Values of fields ///

/** How the log-mel of a session is normalised. */
enum link_norm {
    /** by the mean and variance of the clip, whose sums come in START */
    LINK_NORM_GIVEN = 0,
    /** by the causal running mean and variance */
    LINK_NORM_LIVE = 1,
    /** by the mean and variance of the clip, which the device buffers (build option) */
    LINK_NORM_BUFFERED = 2,
};

/** Where the samples of a session come from. */
enum link_source {
    /** AUDIO messages */
    LINK_SOURCE_LINK = 0,
    /** the board's microphone */
    LINK_SOURCE_MICROPHONE = 1,
};

/** Bits of `options` in START. */
enum link_option {
    /** send a BLOCK_TICKS for every block */
    LINK_OPTION_PROFILE = 1,
    /** send what the microphone heard, block by block, as HEARD */
    LINK_OPTION_AUDIO = 2,
};

/** Bits of `flags` in HELLO_REPLY. */
enum link_flag {
    /** the device runs in an emulator */
    LINK_FLAG_EMULATED = 1,
    /** under QEMU's -icount shift=0 the ticks count instructions exactly */
    LINK_FLAG_ICOUNT_TICKS = 2,
    /** the board has a microphone */
    LINK_FLAG_MICROPHONE = 4,
    /** a watchdog guards the firmware */
    LINK_FLAG_WATCHDOG = 8,
    /** this link runs over semihosting, not over the UART */
    LINK_FLAG_SEMIHOSTING = 16,
};

/** Why the device started last. */
enum link_reset_cause {
    /** the board cannot tell */
    LINK_RESET_CAUSE_UNKNOWN = 0,
    /** power came on */
    LINK_RESET_CAUSE_POWER_ON = 1,
    /** the reset pin */
    LINK_RESET_CAUSE_PIN = 2,
    /** RESET, or the text command `reset` */
    LINK_RESET_CAUSE_SOFTWARE = 3,
    /** the watchdog ran out */
    LINK_RESET_CAUSE_WATCHDOG = 4,
    /** the fault handler; a FAULT event follows */
    LINK_RESET_CAUSE_FAULT = 5,
    /** the supply fell, or a sleep mode was refused */
    LINK_RESET_CAUSE_LOW_POWER = 6,
};

/** What ended the run before. */
enum link_fault_kind {
    /** HardFault */
    LINK_FAULT_KIND_HARD = 1,
    /** MemManage */
    LINK_FAULT_KIND_MEMORY = 2,
    /** BusFault */
    LINK_FAULT_KIND_BUS = 3,
    /** UsageFault */
    LINK_FAULT_KIND_USAGE = 4,
    /** the stack met its guard */
    LINK_FAULT_KIND_STACK = 5,
    /** an interrupt that nothing handles; `address` is its number */
    LINK_FAULT_KIND_EXCEPTION = 6,
};

/** Why the device refuses a request. A frame with a wrong CRC is counted, never answered. */
enum link_error_code {
    /** no such request; detail: its code */
    LINK_ERROR_UNKNOWN_TYPE = 1,
    /** the payload is too short or too long; detail: its length */
    LINK_ERROR_BAD_LENGTH = 2,
    /** another protocol version; detail: the device's */
    LINK_ERROR_BAD_VERSION = 3,
    /** this session does not run; detail: the one that does, 0: none */
    LINK_ERROR_NO_SESSION = 4,
    /** not now, e.g. AUDIO after FINISH */
    LINK_ERROR_BAD_STATE = 5,
    /** FINISH before every block came; detail: the next block wanted */
    LINK_ERROR_MISSING_AUDIO = 6,
    /** this build or board cannot; detail: the value refused */
    LINK_ERROR_NOT_SUPPORTED = 7,
    /** more samples than fit the buffer of the build; detail: how many fit */
    LINK_ERROR_TOO_LONG = 8,
    /** the library refused the audio; detail: its w2s_status */
    LINK_ERROR_AUDIO_ERROR = 9,
    /** a field has a value without meaning here; detail: the value */
    LINK_ERROR_BAD_VALUE = 10,
    /** the board's microphone does not start */
    LINK_ERROR_MICROPHONE = 11,
};

/** Layers whose rows can be tapped. Bit n of `tap_mask` asks for layer n. */
enum link_layer {
    /** normalised log-mel, int16 in 1/128 dB, 26 bands */
    LINK_LAYER_LOGMEL = 0,
    /** the network's input, int8, 26 bands */
    LINK_LAYER_INPUT = 1,
    /** int8, 26 bands x 13 channels */
    LINK_LAYER_L1 = 2,
    /** int8, 26 bands x 13 channels */
    LINK_LAYER_L2 = 3,
    /** int8, 26 bands x 13 channels, before the pool */
    LINK_LAYER_L3 = 4,
    /** int8, 13 bands x 13 channels */
    LINK_LAYER_L4 = 5,
    /** int8, 13 bands x 13 channels */
    LINK_LAYER_L5 = 6,
    /** int8, 13 bands x 13 channels */
    LINK_LAYER_L6 = 7,
    /** int8, 13 bands x 13 channels */
    LINK_LAYER_L7 = 8,
    /** int8, 13 bands x 13 channels, after the max pool that follows l3 */
    LINK_LAYER_POOL = 9,
    /** int8, 169 values: dense order (72K) or 13 bands x 13 channels (17K) */
    LINK_LAYER_LIN = 10,
    /** int8, as lin */
    LINK_LAYER_SOF = 11,
    LINK_LAYERS = 12,
};

/// Payloads: little endian, packed ///

/** HELLO, request. */
typedef struct __attribute__((packed)) {
    uint16_t protocol; /**< protocol version that the host speaks */
} link_hello_t;
typedef char link_hello_size_check[(sizeof(link_hello_t) == 2u) ? 1 : -1];

/** START, request. */
typedef struct __attribute__((packed)) {
    uint32_t session;        /**< chosen by the host, never 0 */
    uint8_t norm;            /**< a `Norm` */
    uint8_t source;          /**< a `Source` */
    uint8_t window_segments; /**< half-second segments in a WINDOW event, 0: no events */
    uint8_t options;         /**< bits of `Option` */
    uint32_t tap_mask;       /**< bit n asks for the rows of layer n */
    uint64_t samples;        /**< length of the clip, 0: not known (norm LIVE) [samples] */
    int64_t sum;             /**< sum of the samples (norm GIVEN) [1/32768] */
    uint64_t sum_squares;    /**< sum of the squares (norm GIVEN) [1/32768^2] */
} link_start_t;
typedef char link_start_size_check[(sizeof(link_start_t) == 36u) ? 1 : -1];

/** AUDIO, request. */
typedef struct __attribute__((packed)) {
    uint32_t session; /**< the session */
    uint32_t block;   /**< number of the block, from 0 */
    int16_t pcm[];    /**< mono samples at 16 kHz, 1 to `block_samples` of them [1/32768] */
} link_audio_t;
typedef char link_audio_size_check[(sizeof(link_audio_t) == 8u) ? 1 : -1];

/** FINISH, request. */
typedef struct __attribute__((packed)) {
    uint32_t session; /**< the session */
    uint32_t blocks;  /**< how many blocks the host sent; source MICROPHONE: any [blocks] */
} link_finish_t;
typedef char link_finish_size_check[(sizeof(link_finish_t) == 8u) ? 1 : -1];

/** RESET, request. */
typedef struct __attribute__((packed)) {
    uint32_t magic; /**< 0x52455345 */
} link_reset_t;
typedef char link_reset_size_check[(sizeof(link_reset_t) == 4u) ? 1 : -1];

/** STOP, request. */
typedef struct __attribute__((packed)) {
    uint32_t session; /**< the session */
} link_stop_t;
typedef char link_stop_size_check[(sizeof(link_stop_t) == 4u) ? 1 : -1];

/** HELLO_REPLY, reply. */
typedef struct __attribute__((packed)) {
    uint16_t protocol;        /**< protocol version that the device speaks */
    uint8_t fw_major;         /**< firmware version, major */
    uint8_t fw_minor;         /**< firmware version, minor */
    uint8_t fw_patch;         /**< firmware version, patch */
    uint8_t flags;            /**< bits of `Flag` */
    uint32_t boot_id;         /**< changes with every start of the device */
    uint32_t clock_hz;        /**< clock of the core [Hz] */
    uint16_t max_payload;     /**< largest payload that the device takes [bytes] */
    uint16_t block_samples;   /**< most samples in one AUDIO [samples] */
    uint8_t segments;         /**< half-second segments that the sliding window can hold */
    uint8_t buffer_seconds;   /**< longest clip for norm BUFFERED, 0: not built in [s] */
    uint8_t audio_window;     /**< blocks that may be in flight [blocks] */
    uint8_t reset_cause;      /**< a `ResetCause` */
    char board[24];           /**< name of the board */
    char model[24];           /**< name of the model */
    uint8_t model_sha256[32]; /**< SHA-256 of the int8.tflite that the model came from */
} link_hello_reply_t;
typedef char link_hello_reply_size_check[(sizeof(link_hello_reply_t) == 102u) ? 1 : -1];

/** START_REPLY, reply. */
typedef struct __attribute__((packed)) {
    uint32_t session;     /**< the session */
    uint32_t next_block;  /**< the block that the device wants */
    uint8_t audio_window; /**< blocks that may be in flight [blocks] */
} link_start_reply_t;
typedef char link_start_reply_size_check[(sizeof(link_start_reply_t) == 9u) ? 1 : -1];

/** CREDIT, reply. */
typedef struct __attribute__((packed)) {
    uint32_t session;     /**< the session */
    uint32_t next_block;  /**< the block that the device wants */
    uint8_t audio_window; /**< blocks that may be in flight [blocks] */
} link_credit_t;
typedef char link_credit_size_check[(sizeof(link_credit_t) == 9u) ? 1 : -1];

/** RESULT, reply. */
typedef struct __attribute__((packed)) {
    uint32_t session;  /**< the session */
    int32_t status;    /**< a w2s_status, 0: the answer is valid */
    int32_t arousal;   /**< arousal [Q16] */
    int32_t dominance; /**< dominance [Q16] */
    int32_t valence;   /**< valence [Q16] */
    uint32_t frames;   /**< log-mel frames that went in [frames] */
    uint32_t rows;     /**< rows of lin and sof that came out [rows] */
} link_result_t;
typedef char link_result_size_check[(sizeof(link_result_t) == 28u) ? 1 : -1];

/** COUNTERS_REPLY, reply. */
typedef struct __attribute__((packed)) {
    uint32_t frames_ok;           /**< frames taken [frames] */
    uint32_t crc_errors;          /**< frames with a wrong CRC [frames] */
    uint32_t framing_errors;      /**< frames cut short, too long or not COBS [frames] */
    uint32_t rx_overruns;         /**< bytes lost because the receive ring was full [bytes] */
    uint32_t uart_errors;         /**< overrun, noise and framing errors of the UART */
    uint32_t microphone_overruns; /**< samples of the microphone lost [samples] */
    uint32_t blocks_accepted;     /**< blocks of audio taken [blocks] */
    uint32_t blocks_repeated;     /**< blocks that had been taken before [blocks] */
    uint32_t blocks_refused;      /**< blocks that came too early [blocks] */
    uint32_t tx_frames;           /**< frames sent [frames] */
    uint32_t stack_size;          /**< size of the stack [bytes] */
    uint32_t stack_high_water;    /**< most of the stack that was ever in use [bytes] */
    uint32_t tick_hz;             /**< rate of the ticks [Hz] */
    uint64_t samples;             /**< samples in this session [samples] */
    uint64_t ticks_front_end;     /**< in the log-mel front end [ticks] */
    uint64_t ticks_network;       /**< in the network [ticks] */
    uint64_t ticks_pool;          /**< in the attention pool and the head [ticks] */
    uint64_t ticks_total;         /**< in the library altogether [ticks] */
    uint64_t uptime;              /**< since the device started, sleep included [ticks] */
} link_counters_reply_t;
typedef char link_counters_reply_size_check[(sizeof(link_counters_reply_t) == 100u) ? 1 : -1];

/** WINDOW, event. */
typedef struct __attribute__((packed)) {
    uint32_t session;      /**< the session */
    uint32_t segment;      /**< number of the half second that ended, from 0 */
    int32_t arousal;       /**< arousal [Q16] */
    int32_t dominance;     /**< dominance [Q16] */
    int32_t valence;       /**< valence [Q16] */
    uint32_t level_rms;    /**< level of the half second [1/32768, RMS] */
    uint32_t lost_samples; /**< lost by the microphone in this session so far [samples] */
} link_window_t;
typedef char link_window_size_check[(sizeof(link_window_t) == 28u) ? 1 : -1];

/** ROW, event. */
typedef struct __attribute__((packed)) {
    uint32_t session;     /**< the session */
    uint8_t layer;        /**< a `Layer` */
    uint8_t element_size; /**< 1: int8, 2: int16 [bytes] */
    uint16_t reserved;    /**< 0 */
    uint32_t row;         /**< number of the row, from 0 */
    uint8_t data[];       /**< the row, bands outside and channels inside */
} link_row_t;
typedef char link_row_size_check[(sizeof(link_row_t) == 12u) ? 1 : -1];

/** FAULT, event. */
typedef struct __attribute__((packed)) {
    uint32_t kind;    /**< a `FaultKind` */
    uint32_t pc;      /**< program counter [address] */
    uint32_t lr;      /**< link register [address] */
    uint32_t cfsr;    /**< Configurable Fault Status Register */
    uint32_t hfsr;    /**< HardFault Status Register */
    uint32_t address; /**< faulting address, where BFAR or MMFAR holds one [address] */
    uint32_t xpsr;    /**< program status register */
} link_fault_t;
typedef char link_fault_size_check[(sizeof(link_fault_t) == 28u) ? 1 : -1];

/** BOOT, event. */
typedef struct __attribute__((packed)) {
    uint32_t boot_id;    /**< as in HELLO_REPLY */
    uint8_t reset_cause; /**< a `ResetCause` */
} link_boot_t;
typedef char link_boot_size_check[(sizeof(link_boot_t) == 5u) ? 1 : -1];

/** BLOCK_TICKS, event. */
typedef struct __attribute__((packed)) {
    uint32_t session;         /**< the session */
    uint32_t block;           /**< number of the block, from 0 */
    uint32_t front_end;       /**< log-mel of the samples [ticks] */
    uint32_t attention;       /**< attention pool [ticks] */
    uint32_t l1;              /**< first convolution, and quantising its input [ticks] */
    uint32_t l2;              /**< second convolution [ticks] */
    uint32_t l3;              /**< third convolution [ticks] */
    uint32_t l4;              /**< fourth convolution [ticks] */
    uint32_t l5;              /**< fifth convolution [ticks] */
    uint32_t l6;              /**< sixth convolution [ticks] */
    uint32_t l7;              /**< seventh convolution [ticks] */
    uint32_t pool;            /**< max pool [ticks] */
    uint32_t lin;             /**< linear layer `lin` [ticks] */
    uint32_t sof;             /**< linear layer `sof` [ticks] */
    uint32_t library;         /**< the library altogether [ticks] */
    uint32_t answer;          /**< level of the sound, and the window's answer [ticks] */
    uint32_t interrupts;      /**< interrupts since the block before [ticks] */
    uint32_t interrupt_count; /**< how many [interrupts] */
    uint32_t asleep;          /**< asleep since the block before [ticks] */
    uint32_t elapsed;         /**< all that passed since the block before [ticks] */
    uint32_t readings;        /**< how often the library read the clock [readings] */
    uint32_t reading;         /**< what one reading takes [ticks] */
} link_block_ticks_t;
typedef char link_block_ticks_size_check[(sizeof(link_block_ticks_t) == 88u) ? 1 : -1];

/** HEARD, event. */
typedef struct __attribute__((packed)) {
    uint32_t session; /**< the session */
    uint64_t sample;  /**< number of the first sample, from 0, lost ones counted [samples] */
    int16_t pcm[];    /**< mono samples at 16 kHz [1/32768] */
} link_heard_t;
typedef char link_heard_size_check[(sizeof(link_heard_t) == 12u) ? 1 : -1];

/** ERROR, reply. */
typedef struct __attribute__((packed)) {
    uint8_t error;        /**< an `ErrorCode` */
    uint8_t request_type; /**< code of the request */
    uint16_t reserved;    /**< 0 */
    uint32_t detail;      /**< see `ErrorCode` */
} link_error_t;
typedef char link_error_size_check[(sizeof(link_error_t) == 8u) ? 1 : -1];

#endif
