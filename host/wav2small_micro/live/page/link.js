// SPDX-License-Identifier: Apache-2.0
// The link in the browser: frames out of any stream of bytes, and a session with a board behind
// Web Serial. The table of messages is generated; docs/protocol.md explains it.
import {
  BLOCK_SAMPLES,
  Layer,
  MAX_PAYLOAD,
  MESSAGES,
  Norm,
  PROTOCOL_VERSION,
  Source,
} from "./messages.js";

// --- Codec ---------------------------------------------------------------------------------------

const CODES = Object.fromEntries(Object.entries(MESSAGES).map(([code, m]) => [m.name, +code]));
const MAX_ENCODED = MAX_PAYLOAD + 6 + Math.ceil((MAX_PAYLOAD + 6) / 254) + 1;
const SCALARS = {
  u8: [1, (view, at) => view.getUint8(at), (view, at, x) => view.setUint8(at, x)],
  u16: [2, (view, at) => view.getUint16(at, true), (view, at, x) => view.setUint16(at, x, true)],
  u32: [4, (view, at) => view.getUint32(at, true), (view, at, x) => view.setUint32(at, x, true)],
  i16: [2, (view, at) => view.getInt16(at, true), (view, at, x) => view.setInt16(at, x, true)],
  i32: [4, (view, at) => view.getInt32(at, true), (view, at, x) => view.setInt32(at, x, true)],
  u64: [
    8,
    (view, at) => view.getBigUint64(at, true),
    (view, at, x) => view.setBigUint64(at, BigInt(x), true),
  ],
  i64: [
    8,
    (view, at) => view.getBigInt64(at, true),
    (view, at, x) => view.setBigInt64(at, BigInt(x), true),
  ],
};
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff];
  return ~crc >>> 0;
}

function cobsDecode(encoded) {
  const decoded = [];
  for (let at = 0; at < encoded.length; ) {
    const length = encoded[at];
    if (length === 0 || at + length > encoded.length) return null;
    decoded.push(...encoded.subarray(at + 1, at + length));
    at += length;
    if (length < 255 && at < encoded.length) decoded.push(0);
  }
  return Uint8Array.from(decoded);
}

function cobsEncode(bytes) {
  const encoded = [0];
  let head = 0;
  for (const byte of bytes) {
    if (encoded.length - head === 255) {
      encoded[head] = 255;
      head = encoded.push(0) - 1;
    }
    if (byte === 0) {
      encoded[head] = encoded.length - head;
      head = encoded.push(0) - 1;
    } else {
      encoded.push(byte);
    }
  }
  encoded[head] = encoded.length - head;
  return encoded;
}

/** The fields of a payload by name, or null where it does not fit its message. */
function unpack(code, payload) {
  const message = MESSAGES[code];
  if (message === undefined) return null;
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const found = { name: message.name };
  let at = 0;
  for (const [field, type] of message.fields) {
    const [, element, count] = type.match(/^(\w+?)(?:\[(\d*)\])?$/);
    if (count === "") {
      found[field] = payload.slice(at);
      return found;
    }
    const size = count === undefined ? SCALARS[element][0] : +count;
    if (at + size > payload.length) return null;
    const bytes = payload.slice(at, at + size);
    if (count === undefined) found[field] = SCALARS[element][1](view, at);
    else if (element === "char") found[field] = new TextDecoder().decode(bytes).replace(/\0+$/, "");
    else found[field] = bytes;
    at += size;
  }
  return at === payload.length ? found : null;
}

function pack(name, values) {
  const parts = [];
  for (const [field, type] of MESSAGES[CODES[name]].fields) {
    const scalar = SCALARS[type];
    if (scalar === undefined) {
      parts.push(values[field]); // bytes: a tail
      continue;
    }
    const bytes = new Uint8Array(scalar[0]);
    scalar[2](new DataView(bytes.buffer), 0, values[field] ?? 0);
    parts.push(bytes);
  }
  return parts;
}

/** A whole frame with both delimiters. `values`: numbers by field, bytes for a tail. */
export function encode(name, values, seq) {
  const parts = [Uint8Array.of(CODES[name], seq), ...pack(name, values)];
  const body = parts.flatMap((part) => [...part]);
  const crc = crc32(body);
  const tail = [0, 8, 16, 24].map((shift) => (crc >>> shift) & 0xff);
  return Uint8Array.of(0, ...cobsEncode([...body, ...tail]), 0);
}

/** The message between two delimiters, or null for anything else. */
export function decode(encoded) {
  const raw = cobsDecode(encoded);
  if (raw === null || raw.length < 6) return null;
  const body = raw.subarray(0, -4);
  const crc = new DataView(raw.buffer, raw.byteOffset + raw.length - 4).getUint32(0, true);
  if (crc32(body) !== crc) return null;
  const message = unpack(body[0], body.slice(2));
  return message && { ...message, seq: body[1] };
}

/** Finds frames in a stream of bytes, whatever else is in it. */
export class FrameReader {
  frames = 0;
  /** Chunks with bytes of a frame in them that were none: what noise made of a frame. */
  damaged = 0;
  #buffer = new Uint8Array(0);

  /** Takes the next bytes and returns the messages that they complete. */
  feed(bytes) {
    const all = new Uint8Array(this.#buffer.length + bytes.length);
    all.set(this.#buffer);
    all.set(bytes, this.#buffer.length);
    const found = [];
    let start = 0;
    for (let end = all.indexOf(0); end >= 0; end = all.indexOf(0, start)) {
      const chunk = all.subarray(start, end);
      const message = chunk.length ? decode(chunk) : null;
      if (message) found.push(message);
      else if (chunk.length && !isText(chunk)) this.damaged++;
      start = end + 1;
    }
    this.#buffer = all.slice(start);
    if (this.#buffer.length > MAX_ENCODED) this.#buffer = new Uint8Array(0);
    this.frames += found.length;
    return found;
  }
}

function isText(bytes) {
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || [9, 10, 13].includes(byte));
}

// --- A board -------------------------------------------------------------------------------------

const BAUD = 921600;
const REPLY_MS = 1000;
const TRIES = 5;
const NUMBERS = 256; // of sequence

/** A board behind a port of Web Serial: requests with retries, and one live session. */
export class Board {
  #port;
  #reader = null;
  #writer = null;
  #seq = Math.floor(Math.random() * NUMBERS);
  #awaited = null;
  #frames = new FrameReader();
  #session = null;

  /** `onBytes` sees all that comes, as it comes; `onLost` an Error, once, when the board has gone. */
  constructor(port, onBytes, onLost) {
    this.#port = port;
    this.onBytes = onBytes;
    this.onLost = onLost;
  }

  /** Opens the port and says hello. Resolves to HELLO_REPLY; throws an Error that says what to do. */
  async open() {
    await this.#port.open({ baudRate: BAUD, bufferSize: 65536 });
    this.#writer = this.#port.writable.getWriter();
    this.#read(); // until the port is closed
    const hello = await this.#request("HELLO", { protocol: PROTOCOL_VERSION }, "HELLO_REPLY");
    return hello;
  }

  /** Begins a live session: windows of so many half seconds, and the log-mel rows. */
  async start(source, windowSegments) {
    const session = 1 + Math.floor(Math.random() * 0xfffffffe);
    const reply = await this.#request(
      "START",
      {
        session,
        norm: Norm.LIVE,
        source,
        window_segments: windowSegments,
        tap_mask: 1 << Layer.LOGMEL,
      },
      "START_REPLY",
    );
    this.#session = new AudioSender(session, reply.next_block, reply.audio_window, (values) =>
      this.#write(encode("AUDIO", values, this.#nextSeq())),
    );
  }

  /** Sends a block of BLOCK_SAMPLES int16 samples as soon as the board has room for it. */
  send(block) {
    this.#session?.push(new Uint8Array(block.buffer.slice(0)));
  }

  /** Ends the session and closes the port. */
  async close() {
    const session = this.#session;
    this.#session = null;
    session?.end();
    if (session) {
      await this.#request("STOP", { session: session.number }, "ACK").catch(() => {});
    }
    await this.#reader?.cancel().catch(() => {});
    this.#writer?.releaseLock();
    await this.#port.close().catch(() => {});
  }

  #nextSeq() {
    this.#seq = (this.#seq + 1) % NUMBERS;
    return this.#seq;
  }

  async #read() {
    this.#reader = this.#port.readable.getReader();
    try {
      for (;;) {
        const { value, done } = await this.#reader.read();
        if (done) break;
        this.onBytes(value);
        for (const message of this.#frames.feed(value)) this.#take(message);
      }
    } catch (error) {
      this.onLost(error);
    } finally {
      this.#reader.releaseLock();
    }
  }

  #take(message) {
    if (this.#awaited?.seq === message.seq && this.#awaited.names.includes(message.name)) {
      this.#awaited.resolve(message);
    } else if (message.name === "CREDIT") {
      this.#session?.credit(message);
    } else if (message.name === "BOOT" && this.#session) {
      this.#session = null;
      this.onLost(new Error("the board was reset"));
    }
  }

  async #request(name, values, reply) {
    const seq = this.#nextSeq();
    for (let left = TRIES; left > 0; left--) {
      await this.#write(encode(name, values, seq));
      const answer = await new Promise((resolve) => {
        this.#awaited = { seq, names: [reply, "ERROR"], resolve };
        setTimeout(resolve, REPLY_MS, null);
      });
      this.#awaited = null;
      if (answer?.name === "ERROR") {
        throw new Error(`the board refuses ${name}: error ${answer.error}, ${answer.detail}`);
      }
      if (answer) return answer;
    }
    throw new Error(`no reply to ${name}: does this firmware run there? w2s flash puts it there`);
  }

  /** Writes are queued; where one fails, the port is gone, and the reader says so. */
  async #write(bytes) {
    await this.#writer.write(bytes).catch(() => {});
  }
}

/** Go-back-N, as docs/protocol.md has it: no more blocks in flight than the board has room for. */
class AudioSender {
  #blocks = []; // not acknowledged; the first one is block #base
  #base;
  #next;
  #window;
  #write;
  #timer = null;

  constructor(number, base, window, write) {
    this.number = number;
    this.#base = this.#next = base;
    this.#window = window;
    this.#write = write;
  }

  push(pcm) {
    this.#blocks.push(pcm);
    this.#send();
  }

  credit(credit) {
    if (credit.session !== this.number) return;
    const taken = Math.min(Math.max(0, credit.next_block - this.#base), this.#blocks.length);
    this.#blocks.splice(0, taken);
    this.#base += taken;
    this.#next = Math.max(this.#next, this.#base);
    this.#window = credit.audio_window;
    this.#watch();
    this.#send();
  }

  end() {
    clearTimeout(this.#timer);
    this.#blocks = [];
  }

  #send() {
    const end = this.#base + Math.min(this.#blocks.length, this.#window);
    for (; this.#next < end; this.#next++) {
      const pcm = this.#blocks[this.#next - this.#base];
      this.#write({ session: this.number, block: this.#next, pcm });
    }
    if (this.#timer === null) this.#watch();
  }

  /** Where no credit comes for a while, the blocks in flight go out again. */
  #watch() {
    clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#blocks.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#next = this.#base;
      this.#watch();
      this.#send();
    }, REPLY_MS);
  }
}

/** Blocks of BLOCK_SAMPLES int16 samples at 16 kHz from this machine's microphone, until the
 *  returned function is called. */
export async function microphone(onBlock) {
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false },
  });
  const context = new AudioContext({ sampleRate: 16000 }); // it resamples
  await context.audioWorklet.addModule("microphone.js");
  const node = new AudioWorkletNode(context, "blocks", {
    processorOptions: { samples: BLOCK_SAMPLES },
  });
  node.port.onmessage = ({ data }) => onBlock(data);
  context.createMediaStreamSource(stream).connect(node);
  return () => {
    stream.getTracks().forEach((track) => track.stop());
    context.close();
  };
}

export { Source };
