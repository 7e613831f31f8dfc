// SPDX-License-Identifier: Apache-2.0
// Generated from host/wav2small_micro/link/messages.py: do not edit.

export const PROTOCOL_VERSION = 2; // HELLO with another one is refused
export const MAX_PAYLOAD = 1024; // bytes
export const BLOCK_SAMPLES = 320; // samples in a full AUDIO, 20 ms
export const NAME_SIZE = 24; // bytes of a name, padded with zeros
export const SHA256_SIZE = 32; // bytes
export const FRAME_SILENCE_MS = 200; // within a frame, then text again
export const LOGMEL_PER_DB = 128; // scale of a log-mel tap
export const RESET_MAGIC = 1380275013; // guards RESET
export const Q16_ONE = 65536; // 1.0 of arousal, dominance, valence

/** How the log-mel of a session is normalised. */
export const Norm = { GIVEN: 0, LIVE: 1, BUFFERED: 2 };

/** Where the samples of a session come from. */
export const Source = { LINK: 0, MICROPHONE: 1 };

/** Bits of `options` in START. */
export const Option = { PROFILE: 1, AUDIO: 2 };

/** Bits of `flags` in HELLO_REPLY. */
export const Flag = { EMULATED: 1, ICOUNT_TICKS: 2, MICROPHONE: 4, WATCHDOG: 8, SEMIHOSTING: 16 };

/** Why the device started last. */
export const ResetCause = { UNKNOWN: 0, POWER_ON: 1, PIN: 2, SOFTWARE: 3, WATCHDOG: 4, FAULT: 5, LOW_POWER: 6 };

/** What ended the run before. */
export const FaultKind = { HARD: 1, MEMORY: 2, BUS: 3, USAGE: 4, STACK: 5, EXCEPTION: 6 };

/** Why the device refuses a request. A frame with a wrong CRC is counted, never answered. */
export const ErrorCode = { UNKNOWN_TYPE: 1, BAD_LENGTH: 2, BAD_VERSION: 3, NO_SESSION: 4, BAD_STATE: 5, MISSING_AUDIO: 6, NOT_SUPPORTED: 7, TOO_LONG: 8, AUDIO_ERROR: 9, BAD_VALUE: 10, MICROPHONE: 11 };

/** Layers whose rows can be tapped. Bit n of `tap_mask` asks for layer n. */
export const Layer = { LOGMEL: 0, INPUT: 1, L1: 2, L2: 3, L3: 4, L4: 5, L5: 6, L6: 7, L7: 8, POOL: 9, LIN: 10, SOF: 11 };

/** By code: name and fields, `[field, type]` in the order of the wire. */
export const MESSAGES = {
  0x01: { name: "HELLO", fields: [["protocol", "u16"]] },
  0x02: { name: "START", fields: [["session", "u32"], ["norm", "u8"], ["source", "u8"], ["window_segments", "u8"], ["options", "u8"], ["tap_mask", "u32"], ["samples", "u64"], ["sum", "i64"], ["sum_squares", "u64"]] },
  0x03: { name: "AUDIO", fields: [["session", "u32"], ["block", "u32"], ["pcm", "i16[]"]] },
  0x04: { name: "FINISH", fields: [["session", "u32"], ["blocks", "u32"]] },
  0x05: { name: "COUNTERS", fields: [] },
  0x06: { name: "RESET", fields: [["magic", "u32"]] },
  0x07: { name: "PING", fields: [["data", "u8[]"]] },
  0x08: { name: "STOP", fields: [["session", "u32"]] },
  0x81: { name: "HELLO_REPLY", fields: [["protocol", "u16"], ["fw_major", "u8"], ["fw_minor", "u8"], ["fw_patch", "u8"], ["flags", "u8"], ["boot_id", "u32"], ["clock_hz", "u32"], ["max_payload", "u16"], ["block_samples", "u16"], ["segments", "u8"], ["buffer_seconds", "u8"], ["audio_window", "u8"], ["reset_cause", "u8"], ["board", "char[24]"], ["model", "char[24]"], ["model_sha256", "u8[32]"]] },
  0x82: { name: "START_REPLY", fields: [["session", "u32"], ["next_block", "u32"], ["audio_window", "u8"]] },
  0x83: { name: "CREDIT", fields: [["session", "u32"], ["next_block", "u32"], ["audio_window", "u8"]] },
  0x84: { name: "RESULT", fields: [["session", "u32"], ["status", "i32"], ["arousal", "i32"], ["dominance", "i32"], ["valence", "i32"], ["frames", "u32"], ["rows", "u32"]] },
  0x85: { name: "COUNTERS_REPLY", fields: [["frames_ok", "u32"], ["crc_errors", "u32"], ["framing_errors", "u32"], ["rx_overruns", "u32"], ["uart_errors", "u32"], ["microphone_overruns", "u32"], ["blocks_accepted", "u32"], ["blocks_repeated", "u32"], ["blocks_refused", "u32"], ["tx_frames", "u32"], ["stack_size", "u32"], ["stack_high_water", "u32"], ["tick_hz", "u32"], ["samples", "u64"], ["ticks_front_end", "u64"], ["ticks_network", "u64"], ["ticks_pool", "u64"], ["ticks_total", "u64"], ["uptime", "u64"]] },
  0x87: { name: "PONG", fields: [["data", "u8[]"]] },
  0x88: { name: "ACK", fields: [] },
  0xc0: { name: "WINDOW", fields: [["session", "u32"], ["segment", "u32"], ["arousal", "i32"], ["dominance", "i32"], ["valence", "i32"], ["level_rms", "u32"], ["lost_samples", "u32"]] },
  0xc1: { name: "ROW", fields: [["session", "u32"], ["layer", "u8"], ["element_size", "u8"], ["reserved", "u16"], ["row", "u32"], ["data", "u8[]"]] },
  0xc2: { name: "FAULT", fields: [["kind", "u32"], ["pc", "u32"], ["lr", "u32"], ["cfsr", "u32"], ["hfsr", "u32"], ["address", "u32"], ["xpsr", "u32"]] },
  0xc3: { name: "BOOT", fields: [["boot_id", "u32"], ["reset_cause", "u8"]] },
  0xc4: { name: "BLOCK_TICKS", fields: [["session", "u32"], ["block", "u32"], ["front_end", "u32"], ["attention", "u32"], ["l1", "u32"], ["l2", "u32"], ["l3", "u32"], ["l4", "u32"], ["l5", "u32"], ["l6", "u32"], ["l7", "u32"], ["pool", "u32"], ["lin", "u32"], ["sof", "u32"], ["library", "u32"], ["answer", "u32"], ["interrupts", "u32"], ["interrupt_count", "u32"], ["asleep", "u32"], ["elapsed", "u32"], ["readings", "u32"], ["reading", "u32"]] },
  0xc5: { name: "HEARD", fields: [["session", "u32"], ["sample", "u64"], ["pcm", "i16[]"]] },
  0xff: { name: "ERROR", fields: [["error", "u8"], ["request_type", "u8"], ["reserved", "u16"], ["detail", "u32"]] },
};
