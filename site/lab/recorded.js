// Recorded runs, as site/lab/build.py packs them, shown as the view wants them: a Run, a Frame, and a Moment for each stop.

import { cliffs, DIMENSION, REACH, WIDTH } from "./run.js";
import { explain } from "./verdict.js";

/** An array of float16 ("half:...") or float32 ("single:...") numbers. @param {string} packed */
function unpack(packed) {
  const [kind, text] = packed.split(":"), { buffer } = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  return kind === "half" ? Float32Array.from(new Uint16Array(buffer), half) : new Float32Array(buffer);
}
/** The value of a float16. @param {number} bits */
function half(bits) {
  const power = bits >> 10 & 31, rest = bits & 1023, sign = bits >> 15 ? -1 : 1;
  if (power === 31) return rest ? NaN : sign * Infinity;
  return sign * (power ? (1 + rest / 1024) * 2 ** (power - 15) : rest * 2 ** -24);
}

export class Recorded {
  /** @param {any} engine @param {number} tag @param {any} packed @param {Float32Array} pulses   some real ones */
  constructor(engine, tag, packed, pulses) {
    const array = (/** @type {string} */ name) => unpack(packed[name]), [low, high] = cliffs(engine), { lr, seed, iterations, nanAt } = packed;
    this.tag = tag;
    this.atlases = { at: array("atlasAt"), curve: array("curve"), image: array("image") };
    this.batch = { z: array("z"), realLogits: array("realLogits"), fakeLogits: array("fakeLogits") };
    this.iterations = iterations;
    this.verdict = null;
    if (nanAt) {
      const { z, realLogits, fakeLogits } = this.batch, broken = (/** @type {number} */ logit, /** @type {boolean} */ real) => !Number.isFinite(engine.head(logit, real));
      const why = explain(realLogits, fakeLogits, sample => z.subarray(sample, sample + 1), 0, broken, low, high);
      this.verdict = { iteration: nanAt, ...why, words: `NaN at iteration ${nanAt.toLocaleString("en-US")}: ${why.words}` };
    }
    const at = array("at"), highs = array("highs"), stops = at.filter((v, k) => k % 4 === 0 || k > at.length - 40 || this.atlases.at.includes(v));
    this.run = {
      type: "run", run: tag, lr, settings: { loss: "naive", batch: packed.batch, latent: 1, seed }, title: `recorded with PyTorch, naive loss, batch ${packed.batch}, seed ${seed}`,
      kind: "series", dimension: DIMENSION, unit: "mV", real: pulses, batch: packed.batch, latent: 1, low, high, scores: true, signed: false, reach: REACH,
      slice: false, averaged: false, hazard: null, recorded: true, nanAt, stops, parent: null,
    };
    this.frame = {
      ...this.moment(iterations), type: "frame", state: nanAt ? "ended" : "paused", rows: highs.slice(0, at.length * WIDTH), at, lows: array("lows"), highs,
      hazardAt: new Float32Array(0), hazards: new Float32Array(0), rates: [[1, lr]], rate: lr, speed: null, dead: false, rewind: null,
    };
  }

  /** The latest atlas at that iteration, or the first; the batch is kept of the last iteration alone. What G draws at its
   * latents is read off the atlas: G is a straight line between two of its points, or nearly. @param {number} iteration */
  moment(iteration) {
    const { at, curve, image } = this.atlases, k = Math.max(at.filter(v => v <= iteration).length - 1, 0), points = curve.length / at.length, last = iteration === this.iterations;
    const none = new Float32Array(0), { z, realLogits, fakeLogits } = last ? this.batch : { z: none, realLogits: none, fakeLogits: none };
    const atlas = image.slice(k * points * DIMENSION, (k + 1) * points * DIMENSION), drawn = last ? z : Float32Array.from({ length: 12 }, (_, i) => i * 4 / 11 - 2);
    const fake = new Float32Array(drawn.length * DIMENSION);
    drawn.forEach((v, sample) => {
      const x = (Math.min(Math.max(v, -REACH), REACH) + REACH) / (2 * REACH) * (points - 1), left = Math.min(Math.floor(x), points - 2), share = x - left;
      for (let t = 0; t < DIMENSION; t++) fake[sample * DIMENSION + t] = (1 - share) * atlas[left * DIMENSION + t] + share * atlas[(left + 1) * DIMENSION + t];
    });
    return { run: this.tag, iteration, z, realLogits, fakeLogits, real: none, fake, atlasAt: at[k], curve: curve.slice(k * points, (k + 1) * points), image: atlas, verdict: last ? this.verdict : null };
  }
}
