// SPDX-License-Identifier: Apache-2.0
// The live view. Bytes come from the server's feed or from a board behind Web Serial, and the same
// codec reads both. What is kept are the answers; all else is drawn and forgotten.
import { Board, FrameReader, microphone, Source } from "./link.js";
import { BLOCK_SAMPLES, Flag, Layer, Q16_ONE } from "./messages.js";
import { DIMENSIONS, drawChart, drawPlane, LogMel } from "./views.js";

const element = (id) => document.getElementById(id);
const FULL_SCALE = 32768;
const SEGMENT_S = 0.5;
const SAMPLE_RATE = 16000;
const KEPT = 7200; // answers: an hour
const BOARD_WINDOW = 4; // half seconds
const RECONNECT_MS = [500, 1000, 2000, 5000];

const answers = [];
const seen = new Set(); // "session segment": after a break the feed repeats what we have
const origins = new Map(); // where a session begins on the page's axis of time
const logMel = new LogMel();
let lastRow = "";
let facts = { words: [], neutral_radius: 0.1 };
let reader = new FrameReader();
let paused = false;
let stale = true;
let missed = 0;
let lost = "";
let board = null;
let stopMicrophone = null;

// --- What comes ----------------------------------------------------------------------------------

function takeBytes(bytes) {
  for (const message of reader.feed(bytes)) {
    if (message.name === "WINDOW") takeWindow(message);
    else if (message.name === "ROW" && message.layer === Layer.LOGMEL) takeRow(message);
    else if (message.name === "HELLO_REPLY") showDevice(message);
    else if (message.name === "BOOT") say(`The device has started (boot ${message.boot_id}).`);
    else if (message.name === "FAULT") say(`A fault ended its last run, at 0x${message.pc.toString(16)}.`);
  }
  stale = true;
}

function takeWindow(window) {
  const key = `${window.session} ${window.segment}`;
  if (seen.has(key)) return;
  seen.add(key);
  const lostSeconds = window.lost_samples / SAMPLE_RATE; // by the board's own microphone
  if (!origins.has(window.session)) {
    const begin = (answers.at(-1)?.seconds ?? 0) - lostSeconds - window.segment * SEGMENT_S;
    origins.set(window.session, begin);
  }
  if (board && lostSeconds) lost = `, ${lostSeconds.toFixed(1)} s of audio`;
  const answer = {
    seconds: origins.get(window.session) + lostSeconds + (window.segment + 1) * SEGMENT_S,
    session: window.session,
    segment: window.segment,
    q16: DIMENSIONS.map((name) => window[name]),
    level_db: window.level_rms ? 20 * Math.log10(window.level_rms / FULL_SCALE) : -Infinity,
    word: "",
  };
  DIMENSIONS.forEach((name) => (answer[name] = window[name] / Q16_ONE));
  answer.word = region(answer.arousal, answer.valence);
  answers.push(answer);
  if (answers.length > KEPT) answers.shift();
}

function takeRow(row) {
  const [session, number] = lastRow.split(" ").map(Number);
  if (session === row.session && row.row <= number) return;
  lastRow = `${row.session} ${row.row}`;
  if (!paused) logMel.add(row.data);
}

const NOTES = {
  facts(note) {
    facts = note;
    element("source").textContent = `${note.source} on ${note.device}`;
  },
  link(note) {
    if (board) return;
    showLink(note.state, note.message);
    say(note.hint ? `${note.message} ${note.hint}` : note.message);
  },
  delay(note) {
    showDelay(note.seconds);
  },
  energy(note) {
    element("power").textContent = note.text || "–";
  },
  losses(note) {
    lost = `, ${note.seconds.toFixed(1)} s of audio, ${note.windows} answers`;
    stale = true;
  },
  missed(note) {
    missed += note.bytes;
    say(`This page was too slow: ${note.bytes} bytes were left out.`);
  },
};

/** The word for a place in the plane: wav2small_micro/affect.py. */
function region(arousal, valence) {
  const [up, right] = [arousal - 0.5, valence - 0.5];
  if (!facts.words.length) return "";
  if (Math.hypot(up, right) < facts.neutral_radius) return "neutral";
  const eighths = Math.round(Math.atan2(up, right) / ((2 * Math.PI) / facts.words.length));
  return facts.words.at(eighths % facts.words.length);
}

// --- The server's feed ---------------------------------------------------------------------------

let failures = 0;

function watch() {
  const token = encodeURIComponent(location.hash.slice(1));
  const socket = new WebSocket(`ws://${location.host}/feed?token=${token}`);
  socket.binaryType = "arraybuffer";
  let opened = false;
  socket.onopen = () => {
    opened = true;
    if (failures) say("The page is back.");
    failures = 0;
    if (!board) reader = new FrameReader();
  };
  socket.onmessage = ({ data }) => {
    if (typeof data === "string") {
      const note = JSON.parse(data);
      NOTES[note.kind]?.(note);
    } else if (!board) {
      takeBytes(new Uint8Array(data));
    }
  };
  socket.onclose = () => {
    const wait = RECONNECT_MS[Math.min(failures, RECONNECT_MS.length - 1)];
    if (!board && failures === 0) {
      const why = opened
        ? "The program that serves this page has ended."
        : "No feed: open the address that w2s live printed, with all that follows the #.";
      showLink("lost", why);
      say(why);
    }
    failures++;
    setTimeout(watch, wait);
  };
}

// --- A board behind Web Serial -------------------------------------------------------------------

async function toggleBoard() {
  if (board) {
    await leaveBoard("The board was given back.");
    return;
  }
  const port = await navigator.serial.requestPort().catch(() => null);
  if (port === null) return; // nobody chose one
  reader = new FrameReader();
  board = new Board(port, takeBytes, (error) => leaveBoard(`The board is gone: ${error.message}`));
  element("serial").setAttribute("aria-pressed", "true");
  try {
    const hello = await board.open();
    const own = hello.flags & Flag.MICROPHONE;
    await board.start(own ? Source.MICROPHONE : Source.LINK, BOARD_WINDOW);
    if (!own) stopMicrophone = await microphone((block) => board?.send(block));
    element("source").textContent = `${own ? "its" : "this machine's"} microphone on ${hello.board}`;
    showLink("running", `${hello.board} runs ${hello.model}.`);
    say(`Talking to ${hello.board} directly, ${BLOCK_SAMPLES} samples a block.`);
  } catch (error) {
    await leaveBoard(`The board cannot be used: ${error.message}`);
  }
}

async function leaveBoard(why) {
  const left = board;
  board = null;
  stopMicrophone?.();
  stopMicrophone = null;
  element("serial").setAttribute("aria-pressed", "false");
  showLink("lost", why);
  say(why);
  await left?.close();
}

// --- What is shown -------------------------------------------------------------------------------

function showLink(state, message) {
  element("link").dataset.state = state;
  element("link").textContent = message;
}

function showDevice(hello) {
  const version = [hello.fw_major, hello.fw_minor, hello.fw_patch].join(".");
  const clock = `${Math.round(hello.clock_hz / 1e6)} MHz`;
  const kind = hello.flags & Flag.EMULATED ? ", emulated" : "";
  element("device").textContent = `${hello.board}, ${clock}${kind}; ${hello.model}, firmware ${version}`;
}

function showDelay(seconds) {
  element("delay").textContent = `${Math.round(1000 * seconds)} ms`;
}

function say(text) {
  const item = document.createElement("li");
  const time = document.createElement("time");
  time.textContent = new Date().toLocaleTimeString();
  item.append(time, text);
  element("log").prepend(item);
  while (element("log").childElementCount > 200) element("log").lastChild.remove();
}

function showAnswer(answer) {
  DIMENSIONS.forEach((name, i) => {
    element(name).textContent = answer[name].toFixed(3);
    element(name).dataset.q16 = answer.q16[i];
  });
  element("word").textContent = answer.word;
  const level = Math.max(-60, answer.level_db);
  element("meter").value = level;
  element("level").textContent = Number.isFinite(answer.level_db)
    ? `${answer.level_db.toFixed(1)} dB`
    : "silent";
  const words = DIMENSIONS.map((name) => `${name} ${answer[name].toFixed(2)}`).join(", ");
  element("chart").setAttribute("aria-label", `After ${answer.seconds} s: ${words}.`);
  element("plane").setAttribute("aria-label", `In the plane: ${answer.word}.`);
}

function draw() {
  if (stale && !paused) {
    stale = false;
    drawChart(element("chart"), answers);
    drawPlane(element("plane"), answers, facts.words, facts.neutral_radius);
    logMel.draw(element("log-mel"));
    if (answers.length) showAnswer(answers.at(-1));
    element("frames").textContent = reader.frames.toLocaleString("en");
    const late = missed ? `, ${missed} bytes` : "";
    element("losses").textContent = `${reader.damaged} frames${late}${lost}`;
  }
  requestAnimationFrame(draw);
}

// --- Actions -------------------------------------------------------------------------------------

function togglePause() {
  paused = !paused;
  element("pause").setAttribute("aria-pressed", String(paused));
  element("pause").firstChild.textContent = paused ? "Go on " : "Pause ";
  stale = true;
}

const COLUMNS = ["seconds", "session", "segment", ...DIMENSIONS, "level_db", "word"];

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

export function csv() {
  const lines = answers.map((answer) => COLUMNS.map((column) => answer[column]).join(","));
  return [COLUMNS.join(","), ...lines, ""].join("\n");
}

const ACTIONS = {
  pause: togglePause,
  "export-csv": () => save("w2s-live.csv", "text/csv", csv()),
  "export-json": () =>
    save("w2s-live.json", "application/json", JSON.stringify({ facts, answers }, null, 1)),
  serial: toggleBoard,
};
const KEYS = { " ": "pause", c: "export-csv", j: "export-json", b: "serial" };

for (const [id, action] of Object.entries(ACTIONS)) element(id).addEventListener("click", action);
document.addEventListener("keydown", (event) => {
  const id = KEYS[event.key];
  const onButton = event.key === " " && event.target instanceof HTMLButtonElement;
  if (!id || onButton || event.ctrlKey || event.metaKey || event.altKey || element(id).hidden) return;
  event.preventDefault();
  ACTIONS[id]();
});
for (const change of ["resize", "focus"]) addEventListener(change, () => (stale = true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => (stale = true));

element("serial").hidden = !("serial" in navigator);
globalThis.w2s = { answers, csv }; // for the console
watch();
draw();
