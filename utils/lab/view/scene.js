// What the panels draw from, and what several of them need.

import { short } from "./text.js";

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./series.js").Series} Series */
/** @typedef {import("./plot.js").Plot} Plot */
/** @typedef {import("./plot.js").Theme} Theme */
/** @typedef {"fake"|"real"} Side */
/** @typedef {{side: Side, index: number, iteration: number, sample: Float32Array|null, logit: number}} Pinned */
/** An earlier run; strong: the one this run was forked from.
 * @typedef {{series: Series, strong: boolean, name: string}} Ghost */

/** All that is on show: a run as far as `until`, in the window x of iterations, and one of its iterations as a picture.
 * @typedef {object} Scene
 * @property {Theme} theme
 * @property {Run} run
 * @property {Series} series
 * @property {Series} hazards
 * @property {Picture} picture
 * @property {[number, number]} x
 * @property {number} until
 * @property {number|null} cursor      where the scrub bar stands
 * @property {number|null} nanAt       if it is in the picture
 * @property {Ghost[]} ghosts
 * @property {number[]} guesses
 * @property {number[]} lives          recorded ones, once this run has ended
 * @property {Pinned|null} pinned      the sample that was clicked
 * @property {boolean} running
 * @property {boolean} narrow
 * @property {string} lowest           the last curves on show: they carry the iterations */

/** What one points at, at pixels. @typedef {{x: number, y?: number, text: string, side?: Side, index?: number}} Hit */

/** @typedef {object} Panel
 * @property {string} name
 * @property {string} label
 * @property {(run: Run) => string[][]} title   words, and the colour they are in
 * @property {(plot: Plot, scene: Scene) => string} draw   returns what it shows, in words
 * @property {(plot: Plot, scene: Scene, x: number, y: number) => Hit|null} probe
 * @property {(plot: Plot, from: {x: number, y: number}, step: number) => {x: number, y: number}|null} [step]
 *                                              where an arrow key goes from there */

export const SOLID = /** @type {number[]} */ ([]), DASHED = [8, 4], DOTTED = [2, 4];

/** The next of 1, 2, 4, 10, 20 ... : axes that grow in steps do not tremble. @param {number} v */
export function stepUp(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return power * ([1, 2, 4].find(m => m * power >= v) ?? 10);
}

/** The largest finite size of some numbers. @param {ArrayLike<number>} values */
export function biggest(values) {
  let most = 0;
  for (let i = 0; i < values.length; i++) {
    const size = Math.abs(values[i]);
    if (size > most && size < Infinity) most = size;
  }
  return most;
}

const reaches = new WeakMap();
/** The largest size of a number in the run's real samples. @param {Run} run @returns {number} */
export function realReach(run) {
  if (!reaches.has(run)) reaches.set(run, biggest(run.real) || 1);
  return reaches.get(run);
}

/** Row k of a (rows, width) array. @param {Float32Array} rows @param {number} k @param {number} width */
export const row = (rows, k, width) => rows.subarray(k * width, (k + 1) * width);

/** The sample of the batch with this number, if the engine sent it.
 * @param {Picture} picture @param {Run} run @param {Side} side @param {number} index */
export function sampleOf(picture, run, side, index) {
  const k = side === "fake" && picture.fakeIndex ? picture.fakeIndex.indexOf(index) : index;
  return k < 0 || (k + 1) * run.dimension > picture[side].length ? null : row(picture[side], k, run.dimension).slice();
}

/** An axis with both cliffs and all logits. @param {Run} run @param {number} low @param {number} high */
export function logitAxis(run, low, high) {
  const floor = Math.max(40, -1.2 * (run.low ?? 0), -low), roof = Math.max(40, 1.2 * (run.high ?? 0), high);
  const y = /** @type {[number, number]} */ ([-stepUp(Math.min(floor, 1e6)), stepUp(Math.min(roof, 1e6))]);
  return { ys: /** @type {"symlog"} */ ("symlog"), knee: 20, y };
}

/** The cliffs as dashed lines. @param {Plot} plot @param {Scene} scene */
export function cliffs(plot, { run, theme }) {
  const style = { colour: theme.cliff, dash: DASHED, width: 2 };
  if (run.high !== null) plot.level("y", run.high, style, `cliff ${run.high.toFixed(2)}`);
  if (run.low !== null) plot.level("y", run.low, style, `cliff ${short(run.low)}`);
}

/** A pixel of red, green, blue, as canvas keeps it. @param {number[]} rgb */
export const pixel = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;

// matplotlib's PuOr, in 257 steps
const STOPS = [[179, 88, 6], [241, 163, 64], [247, 247, 247], [153, 142, 195], [84, 39, 136]];
const SHADES = Uint32Array.from({ length: 257 }, (_, i) => {
  const k = Math.min(Math.floor(i / 64), 3);
  return pixel(STOPS[k].map((from, c) => from + (STOPS[k + 1][c] - from) * (i / 64 - k)));
});
/** A colour between orange (-1), nearly white (0) and purple (1). @param {number} share */
export const shade = share => SHADES[Math.round((Math.min(Math.max(share || 0, -1), 1) + 1) * 128)];
