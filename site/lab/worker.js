// The page's engine in its Web Worker: what the view's commands do, and when the next iteration comes. Both sides speak
// utils/lab/view/types.d.ts.

import { Recorded } from "./recorded.js";
import { DIMENSION, LOSSES, REACH, Run, WIDTH } from "./run.js";
import { NAMES } from "./verdict.js";

const TITLES = ["naive loss", "loss from the logit", "BCELoss", "log(. + 1e-8)"];
const RATE = { name: "lr", kind: "rate", value: 1e-3, options: undefined, min: 1e-6, max: 1e-1 };
const FIELDS = [
  { name: "loss", label: "Loss", kind: "choice", value: LOSSES[0], options: LOSSES },
  { name: "batch", label: "Batch", kind: "whole", value: 64, min: 2, max: 1024 },
  { name: "latent", label: "Latent", kind: "whole", value: 1, min: 1, max: 64 },
  { name: "seed", label: "Seed", kind: "whole", value: 0, min: 0, max: 2 ** 32 - 1 },
];
const TURN = 8, FRAME = 20; // milliseconds: of training without a look at what was said; from frame to frame, at least
const SILENCE = 30_000; // ... after which nobody seems to look
const CAP = 400_000; // iterations that one Start makes

/** @type {any} */ let page; // its first message: the engine's bytes, the start values, the recorded runs
/** @type {any} */ let engine; // what engine.wasm exports
/** @type {Float32Array} */ let pulses; // some real ones
let most = 0; // ... and the largest size of a number in 4,096 of them
/** @type {Run} */ let run;
/** @type {Recorded|null} */ let recorded = null; // the one on show
/** @type {"ready"|"running"|"paused"|"ended"} */ let state = "ready";
let tags = 0, pace = "normal", said = "", startedAt = 0; // startedAt: iterations made before the last Start
let sent = 0; // rows that the view has
let free = true, due = false, framed = 0; // may a frame go? is one waiting? when the last one went
let heard = 0, speed = /** @type {number|null} */ (null), counted = [0, 0]; // when the view last spoke; iterations a second
let pending = false; // is a tick on its way?
const { port1, port2 } = new MessageChannel(); // a delay of zero: setTimeout would wait 4 ms
port1.onmessage = tick;

/** A new run of these settings. @param {import("./run.js").Settings} settings @param {number} lr */
function begin(settings, lr) {
  show(new Run(engine, ++tags, { ...settings }, lr));
}

/** A live run comes on show, as it stands. @param {Run} next */
function show(next) {
  if (next !== run) [state, said, speed] = ["ready", "", null];
  [run, recorded, free, sent] = [next, null, true, 0];
  const { settings, low, high } = run, { loss, batch, latent, seed } = settings, naive = loss === "naive";
  const forked = run.parent === null ? "" : `, forked at ${run.first.toLocaleString("en-US")}`;
  postMessage({
    type: "run", run: run.tag, lr: run.rates[0][1], settings, slice: latent > 1, recorded: false, nanAt: null,
    title: `${TITLES[LOSSES.indexOf(loss)]}, batch ${batch}, ${latent > 1 ? `latent ${latent}, ` : ""}seed ${seed}${forked}`,
    kind: "series", dimension: DIMENSION, unit: "mV", real: pulses, most, scores: true, signed: false, reach: REACH, averaged: false,
    low: naive ? low : null, high: naive ? high : null, hazard: !naive ? null : latent > 1 ? "sampled" : "exact",
    parent: run.parent, forkedAt: run.parent === null ? undefined : run.first,
  });
  publish();
}

/** The newest picture and the rows until then; once the view has drawn the last frame. */
function publish() {
  due = !free;
  if (due || recorded) return;
  const { rates } = run;
  postMessage({
    ...run.shown, type: "frame", state, rows: run.rows.slice(sent * WIDTH, run.made * WIDTH), rates,
    rate: run.verdict ? rates[rates.length - 1][1] : run.lr, speed, said, dead: run.dead,
    rewind: state === "running" ? null : run.rewind,
  });
  [sent, free, framed] = [run.made, false, performance.now()];
}

// ---- the clock

/** Milliseconds until the next iteration. Normal speed starts slow, so that a short life can be seen. */
const wait = () => (pace === "slow" ? 400 : pace === "normal" ? 400 * 0.85 ** (run.count - startedAt) : 0);

/** @param {number} milliseconds */
function tickIn(milliseconds) {
  if (pending) return; // two chains of ticks would run at double speed
  pending = true;
  if (milliseconds > 0) setTimeout(tick, milliseconds);
  else port2.postMessage(0);
}

function tick() {
  pending = false;
  if (state !== "running") return;
  const now = performance.now(), slow = wait() > 4, show = () => free && (slow || performance.now() > framed + FRAME);
  while (!slow && !show() && !run.verdict && performance.now() < now + TURN) run.advance(0);
  if (now - counted[0] > 500) {
    speed = (run.count - counted[1]) / (now - counted[0]) * 1000;
    counted = [now, run.count];
  }
  if (run.count - startedAt >= CAP) return halt(`Paused after ${CAP.toLocaleString("en-US")} iterations; Start goes on.`);
  if (now - heard > SILENCE) {
    free = true; // that frame was lost: this one waits for nobody
    return halt("Paused: for half a minute nobody looked.");
  }
  const wanted = show();
  if (wanted && !run.verdict) run.advance(slow ? 1 : 2);
  if (run.verdict) state = "ended";
  if (wanted || run.verdict) publish();
  tickIn(slow ? wait() : 0);
}

/** Stop after one iteration more, which is shown. */
function halt(words = "") {
  if (state !== "running") return;
  if (!run.verdict) run.advance(1);
  state = run.verdict ? "ended" : "paused";
  said = words;
  publish();
}

/** The run that these settings mean: the live one, unless it has ended or is another. @param {any} choice */
function meant({ settings, lr, speed: chosen }) {
  const same = Object.entries(settings).every(([name, value]) => /** @type {any} */ (run.settings)[name] === value);
  if (!same || state === "ended") begin(settings, lr);
  else if (recorded) show(run);
  pace = chosen;
  said = "";
  free = true; // whoever presses a button sees the page
  setRate(lr);
}
/** @param {number} lr */
function setRate(lr) {
  run.lr = lr;
  if (!run.made) run.turn();
}

/** Rate and settings that an address asks for, as #lr=3e-4&seed=4&loss=naive; what no run can have is said.
 * @param {string} address */
function readAddress(address) {
  const given = new URLSearchParams(address.slice(1)), found = /** @type {any} */ ({});
  const [wrong, taken] = /** @type {string[][]} */ ([[], []]);
  for (const { name, kind, value, options, min = 0, max = 0 } of [RATE, ...FIELDS]) {
    const asked = given.get(name) ?? String(value), text = options?.[NAMES.indexOf(asked)] ?? asked; // torch's names do too
    const number = Number(text), digits = kind === "rate" || /^\d+$/.test(text);
    const valid = options ? options.includes(text) : digits && number >= min && number <= max;
    if (!valid) {
      wrong.push(`${name}=${text.slice(0, 20)}`);
      taken.push(`${name}=${value}`);
    }
    found[name] = !valid ? value : options ? text : number;
  }
  const { lr, ...settings } = found, words = `which no run here can have: taken is ${taken.join(" and ")}.`;
  return { lr, settings, note: wrong.length ? `The address asks for ${wrong.join(" and ")}, ${words}` : undefined };
}

// ---- what the commands do

/** @type {Object<string, (command: any) => void>} */
const COMMANDS = {
  boot(message) {
    page = { ...message, ...readAddress(message.address) };
    engine = new WebAssembly.Instance(new WebAssembly.Module(page.wasm)).exports;
    engine.setup(64, 1);
    engine.start(0);
    for (let batch = 0; batch < 64; batch++) {
      engine.draw();
      pulses = new Float32Array(engine.memory.buffer, engine.samples.value, 64 * DIMENSION).slice();
      most = pulses.reduce((far, v) => Math.max(far, Math.abs(v)), most);
    }
  },
  hello() {
    const { lr, settings, lives, note, records } = page;
    const fields = FIELDS.map(field => ({ ...field, value: settings[field.name] }));
    const list = Object.entries(records).map(([id, runs]) => ({ id, label: id, seeds: runs.length }));
    postMessage({ type: "lab", lr, fields, fork: "loss", recorded: list, lives, note });
    if (run) show(run);
    else begin(settings, lr);
  },
  start(choice) {
    meant(choice);
    if (state === "running") return;
    [state, startedAt, counted] = ["running", run.count, [performance.now(), run.count]];
    publish(); // so that it can be paused before its first iteration is over
    tickIn(0);
  },
  one(choice) {
    meant(choice);
    if (state === "running") return;
    run.advance(1, choice.only !== "g", choice.only !== "d");
    state = run.verdict ? "ended" : "paused";
    publish();
  },
  pause() { halt(); },
  reset({ settings, lr, speed: chosen }) {
    pace = chosen;
    begin(settings, lr);
  },
  rate({ lr }) {
    setRate(lr);
    if (state !== "running") publish();
  },
  speed(command) { [pace, startedAt] = [command.speed, run.count]; },
  ack() {
    free = true;
    if (due && state !== "running") publish();
  },
  scrub({ iteration }) {
    if (state !== "running") postMessage({ ...(recorded ?? run).moment(iteration), type: "moment" });
  },
  fork({ iteration, settings, lr }) {
    if (state !== "running" && run.made) show(run.fork(++tags, iteration, settings.loss, lr));
  },
  open({ id, seed }) {
    halt();
    recorded = new Recorded(++tags, page.records[id][seed], pulses, most);
    postMessage(recorded.run);
    postMessage(recorded.frame);
  },
  live() { show(run); },
  outcome() {},
  bye() { halt(); },
};

onmessage = ({ data }) => {
  heard = performance.now();
  const old = "run" in data && data.run !== (recorded ?? run).tag;
  // a rate may be typed before its new run is on show
  if (!old || data.type === "rate") COMMANDS[data.type](data);
};
