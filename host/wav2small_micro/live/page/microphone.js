// SPDX-License-Identifier: Apache-2.0
// Runs on the audio thread: float samples to blocks of int16.
class Blocks extends AudioWorkletProcessor {
  #block;
  #filled = 0;

  constructor({ processorOptions }) {
    super();
    this.#block = new Int16Array(processorOptions.samples);
  }

  process([[samples]]) {
    for (const sample of samples ?? []) {
      this.#block[this.#filled++] = Math.max(-32768, Math.min(32767, Math.round(sample * 32768)));
      if (this.#filled === this.#block.length) {
        this.port.postMessage(this.#block.slice());
        this.#filled = 0;
      }
    }
    return true;
  }
}

registerProcessor("blocks", Blocks);
