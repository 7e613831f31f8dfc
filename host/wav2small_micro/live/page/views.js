// SPDX-License-Identifier: Apache-2.0
// The three pictures: A/D/V over time, the point in the plane, the log-mel. Each draws itself from
// what it is given, in the page's own colours, at the resolution of the screen.
import { LOGMEL_PER_DB } from "./messages.js";

export const DIMENSIONS = ["arousal", "dominance", "valence"];
const SHOWN_S = 60; // of answers
const TRAIL = 12; // points
const WORD_WIDTH = 76; // CSS pixels, the longest and its distance

/** A context whose unit is a CSS pixel, cleared. */
function begin(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = "12px system-ui, sans-serif";
  return { context, width, height };
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
}

/** The colour as the canvas takes it: `light-dark()` is resolved by an element only. */
const probe = document.createElement("i");
document.body.append(probe);
probe.hidden = true;
function resolved(name) {
  probe.style.color = colour(name);
  return getComputedStyle(probe).color;
}

/** A/D/V of the last minute. */
export function drawChart(canvas, answers) {
  const { context, width, height } = begin(canvas);
  const [left, right, top, bottom] = [32, 12, 10, 24];
  const end = Math.max(SHOWN_S, answers.at(-1)?.seconds ?? 0);
  const x = (seconds) => left + ((seconds - end + SHOWN_S) / SHOWN_S) * (width - left - right);
  const y = (value) => top + (1 - value) * (height - top - bottom);
  context.lineWidth = 1;
  context.strokeStyle = resolved("rule");
  context.fillStyle = resolved("faint");
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const value of [0, 0.25, 0.5, 0.75, 1]) {
    line(context, [[left, y(value)], [width - right, y(value)]]);
    context.fillText(value.toFixed(2), left - 6, y(value));
  }
  context.textAlign = "center";
  for (let second = Math.ceil((end - SHOWN_S) / 10) * 10; second <= end; second += 10) {
    context.fillText(`${second} s`, Math.min(x(second), width - right - 10), height - 8);
  }
  const shown = answers.filter((answer) => answer.seconds >= end - SHOWN_S);
  context.lineWidth = 2;
  context.lineJoin = "round";
  for (const name of DIMENSIONS) {
    context.strokeStyle = context.fillStyle = resolved(name);
    for (const run of runs(shown)) {
      const points = run.map((answer) => [x(answer.seconds), y(answer[name])]);
      line(context, points);
      dot(context, points.at(-1), 3);
    }
  }
}

/** Answers without a gap: a line over a pause would say what nobody heard. */
function runs(answers) {
  const found = [];
  for (const answer of answers) {
    const run = found.at(-1);
    if (run?.at(-1).session === answer.session) run.push(answer);
    else found.push([answer]);
  }
  return found;
}

/** Where the last answers lie, with the words around. */
export function drawPlane(canvas, answers, words, neutralRadius) {
  const { context, width, height } = begin(canvas);
  const half = Math.min(width / 2 - WORD_WIDTH, height / 2 - 22);
  const at = (valence, arousal) => [
    width / 2 + (valence - 0.5) * 2 * half,
    height / 2 - (arousal - 0.5) * 2 * half,
  ];
  context.lineWidth = 1;
  context.strokeStyle = resolved("rule");
  line(context, [at(0, 0.5), at(1, 0.5)]);
  line(context, [at(0.5, 0), at(0.5, 1)]);
  for (const radius of [half, neutralRadius * 2 * half]) {
    context.beginPath();
    context.arc(width / 2, height / 2, radius, 0, 2 * Math.PI);
    context.stroke();
  }
  context.fillStyle = resolved("faint");
  context.textBaseline = "middle";
  words.forEach((word, i) => {
    const angle = (2 * Math.PI * i) / words.length;
    const [right, up] = [Math.cos(angle), Math.sin(angle)];
    context.textAlign = right > 0.1 ? "left" : right < -0.1 ? "right" : "center";
    context.fillText(word, width / 2 + right * (half + 8), height / 2 - up * (half + 10));
  });
  const trail = answers.slice(-TRAIL);
  context.fillStyle = context.strokeStyle = resolved("ink");
  trail.forEach((answer, i) => {
    context.globalAlpha = (i + 1) / trail.length;
    dot(context, at(answer.valence, answer.arousal), i === trail.length - 1 ? 7 : 3);
  });
  context.globalAlpha = 1;
}

function line(context, points) {
  context.beginPath();
  points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
}

function dot(context, [x, y], radius) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fill();
}

/** Log-mel of the last ten seconds: a column is the mean of ROWS rows, 10 ms. */
export class LogMel {
  static #ROWS = 5;
  static #COLUMNS = 1000;
  static #RANGE_DB = [-55, 15];
  // From dark to light with even steps of lightness, so that it reads in grey and for all eyes.
  static #SCALE = [
    [13, 8, 35],
    [62, 25, 99],
    [137, 42, 104],
    [208, 75, 80],
    [246, 142, 73],
    [251, 230, 160],
  ];
  #image = null; // one pixel a band and column
  #sums = null;
  #rows = 0;

  /** Takes a row as it comes: int16 in 1/LOGMEL_PER_DB dB, lowest band first. */
  add(bytes) {
    const row = new Int16Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
    this.#sums ??= new Float64Array(row.length);
    if (this.#sums.length !== row.length) return;
    row.forEach((value, band) => (this.#sums[band] += value));
    if (++this.#rows % LogMel.#ROWS === 0) {
      this.#column([...this.#sums].map((sum) => sum / LogMel.#ROWS / LOGMEL_PER_DB));
      this.#sums.fill(0);
    }
  }

  #column(decibels) {
    const bands = decibels.length;
    this.#image ??= Object.assign(document.createElement("canvas"), {
      width: LogMel.#COLUMNS,
      height: bands,
    });
    const context = this.#image.getContext("2d");
    const pixels = context.createImageData(1, bands);
    const [low, high] = LogMel.#RANGE_DB;
    decibels.forEach((value, band) => {
      const share = Math.min(1, Math.max(0, (value - low) / (high - low)));
      pixels.data.set([...mix(LogMel.#SCALE, share), 255], 4 * (bands - 1 - band));
    });
    context.putImageData(pixels, this.#head, 0);
    this.#head = (this.#head + 1) % LogMel.#COLUMNS;
  }
  #head = 0; // the oldest column, which is next to be written

  /** Draws the columns, the newest on the right. */
  draw(canvas) {
    const { context, width, height } = begin(canvas);
    if (this.#image === null) return;
    context.imageSmoothingEnabled = false;
    const { width: columns, height: bands } = this.#image;
    const split = ((columns - this.#head) / columns) * width;
    context.drawImage(this.#image, this.#head, 0, columns - this.#head, bands, 0, 0, split, height);
    if (this.#head) {
      context.drawImage(
        this.#image, 0, 0, this.#head, bands, split, 0, width - split, height,
      );
    }
  }
}

function mix(scale, share) {
  const at = share * (scale.length - 1);
  const below = Math.min(Math.floor(at), scale.length - 2);
  return scale[below].map((low, i) => low + (scale[below + 1][i] - low) * (at - below));
}
