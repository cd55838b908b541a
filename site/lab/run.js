// One run of the GAN in engine.wasm: its iterations, its pictures, and the way back.
// All repeats to the last bit, so the past need not be kept: of the last iterations there is a checkpoint and a log of what
// was done, and going back is doing it again.

import { gridHazard, sampledHazard, someNormals } from "./chances.js";
import { explain } from "./verdict.js";

/** @typedef {import("../../utils/lab/view/types.js").Picture} Picture */
/** @typedef {{loss: string, batch: number, latent: number, seed: number}} Settings */
/** @typedef {{lr: number, d: boolean, g: boolean}} Done   what an iteration depends on, beside the state */
/** @typedef {{iteration: number, words: string, side: "fake"|"real"|null, index: number|null}} Verdict */

export const LOSSES = ["naive", "from the logit", "BCELoss", "epsilon"]; // in the engine's order
export const WIDTH = 9, DIMENSION = 64, REACH = 6; // numbers in a row and in a pulse; the atlas goes from -6 to 6
const ATLAS = Float32Array.from({ length: 97 }, (_, k) => 0.125 * k - REACH); // latents that are drawn
const GRID = Float32Array.from({ length: 321 }, (_, k) => 0.05 * k - 8); // ... and that the hazard is a sum over
const DRAWS = 320; // latents that a sampled hazard looks at
const LOOK = 80; // milliseconds between two looks at the hazard
const BACK = 40, SAMPLES = 256, REALS = 64; // iterations that one can go back; samples of a batch that a picture holds at most

/** Where the largest number stands, or the smallest (sign -1). @param {Float32Array} values */
const top = (values, sign = 1) => values.reduce((best, v, k) => (sign * v > sign * values[best] ? k : best), 0);
const size = (/** @type {Float32Array} */ z) => Math.hypot(...z);

/** The last logits, towards -1000 and 1000, at which the naive loss is finite.
 * @param {any} engine @returns {[number, number]} */
export function cliffs(engine) {
  engine.loss.value = 0;
  const last = (/** @type {number} */ dead, /** @type {number} */ real) => {
    for (let alive = 0; ;) {
      const middle = Math.fround((alive + dead) / 2);
      if (middle === alive || middle === dead) return alive;
      if (Number.isFinite(engine.head(middle, real))) alive = middle;
      else dead = middle;
    }
  };
  return [last(-1000, 1), last(1000, 0)];
}

export class Run {
  /** A run from its beginning, or (a fork) on from the state that the engine is in.
   * @param {any} engine   what engine.wasm exports @param {number} tag @param {Settings} settings @param {number} lr
   * @param {{at: number, parent: number, rates: [number, number][]}} [fork]   `at` is its first iteration */
  constructor(engine, tag, settings, lr, fork) {
    this.engine = engine;
    this.tag = tag;
    this.settings = settings;
    this.lr = lr;
    this.parent = fork?.parent ?? null;
    this.padded = (settings.batch + 7) & ~7;
    this.first = fork?.at ?? 1;
    this.count = this.first - 1; // iterations made, the parent's included
    this.rates = fork?.rates ?? /** @type {[number, number][]} */ ([]); // from which iteration, which rate
    this.turn();
    this.rows = new Float32Array(1024 * WIDTH);
    this.chance = /** @type {number|null} */ (null); // that a batch kills the run, at the last look
    this.lookedAt = -Infinity;
    this.draws = /** @type {number[]|null} */ (null); // of a sampled hazard: always the same, so that it does not tremble
    this.pulled = /** @type {number[]} */ ([]); // of the last batches: samples that pull at G
    this.verdict = /** @type {Verdict|null} */ (null);
    this.log = /** @type {Map<number, Done>} */ (new Map()); // of the last iterations
    this.past = /** @type {Map<number, Picture>} */ (new Map()); // ... their pictures, once somebody has asked for one
    const [low, high] = cliffs(engine);
    this.low = low;
    this.high = high;
    if (!fork) {
      engine.setup(settings.batch, settings.latent);
      engine.start(settings.seed);
    }
    this.states = [0, 1].map(() => ({ count: this.count, bytes: this.state().slice() })); // behind which iteration, and what
    this.shown = this.picture(this.count, 0);
  }

  /** Rows made so far. */
  get made() { return this.count + 1 - this.first; }

  // What stands in the engine's memory; valid until that grows.

  /** @param {string} name @param {number} count @param {number} [skip] */
  floats(name, count, skip = 0) {
    return new Float32Array(this.engine.memory.buffer, this.engine[name].value + 4 * skip, count);
  }
  /** Samples from this one on, the batch's real ones first. @param {number} from @param {number} count */
  samples(from, count) { return this.floats("samples", count * DIMENSION, from * DIMENSION); }
  state() { return new Uint8Array(this.engine.memory.buffer, this.engine.state.value, this.engine.stateBytes.value); }
  real() { return this.floats("logits", this.settings.batch); }
  fake() { return this.floats("logits", this.settings.batch, this.padded); }
  latent(/** @type {number} */ sample) { return this.floats("z", this.settings.latent, sample * this.settings.latent); }

  // ---- iterations

  /** Do what the log says of an iteration: draw, compute the batch's losses; if they are finite, move the weights.
   * @param {number} iteration
   * @param {(broken: boolean) => boolean} see   looks at the batch at hand; did it use the engine for that? */
  compute(iteration, see) {
    const { lr, d, g } = /** @type {Done} */ (this.log.get(iteration));
    this.engine.loss.value = LOSSES.indexOf(this.settings.loss);
    this.engine.draw();
    const broken = Boolean(this.engine.forward()), used = see(broken);
    if (broken) return;
    if (used) this.engine.forward(); // again: what the layers held is overwritten
    this.engine.update(lr, d, g);
  }

  /** The rate from the next iteration on. */
  turn() {
    const { rates, count, lr } = this;
    if (rates.length && rates[rates.length - 1][0] > count) rates.pop(); // nothing was done at that rate
    if (rates[rates.length - 1]?.[1] !== lr) rates.push([count + 1, lr]);
  }

  /** One iteration more. @param {number} wanted   is its picture? 2: in haste, the hazard may be an older one */
  advance(wanted, d = true, g = true) {
    this.turn();
    if (this.count % BACK === 0) this.checkpoint();
    this.past.clear();
    this.count++;
    this.log.set(this.count, { lr: this.lr, d, g });
    this.log.delete(this.count - 2 * BACK); // the older state is not that old
    this.compute(this.count, broken => {
      this.note();
      if (broken) this.explain();
      if (!broken && !wanted) return false;
      if (broken || wanted === 1 || performance.now() > this.lookedAt + LOOK) this.foresee();
      this.shown = this.picture(this.count);
      return true;
    });
  }

  /** The older of the two states becomes the newer one, in the same memory. */
  checkpoint() {
    const [older, newer] = this.states;
    older.count = this.count;
    older.bytes.set(this.state());
    this.states = [newer, older];
  }

  /** The row of the batch at hand, and how many of its samples still pull at G. */
  note() {
    const { engine } = this, at = (this.made - 1) * WIDTH, real = this.real(), fake = this.fake();
    const most = top(fake), z = this.latent(most);
    if (at === this.rows.length) {
      const room = new Float32Array(2 * at);
      room.set(this.rows);
      this.rows = room;
    }
    this.rows.set([
      engine.lossG.value, engine.lossD.value, engine.scoreFake.value, (engine.scoreReal.value + 1 - engine.scoreFake.value) / 2,
      fake[most], fake[top(fake, -1)], real[top(real)], real[top(real, -1)], z.length === 1 ? z[0] : size(z),
    ], at);
    this.pulled.push(engine.pulled.value);
    if ((this.pulled.length - 1) * this.settings.batch >= 1000) this.pulled.shift();
  }

  /** Finite but dead, as metrics.alive() has it: of 1,000 generated samples at most 1 in 100 pulls at G. */
  get dead() {
    const samples = this.pulled.length * this.settings.batch;
    return samples >= 1000 && this.pulled.reduce((sum, pulls) => sum + pulls) <= samples / 100;
  }

  explain() {
    const { engine, settings, low, high } = this, loss = LOSSES.indexOf(settings.loss);
    const broken = (/** @type {number} */ logit, /** @type {boolean} */ real) => !Number.isFinite(engine.head(logit, real));
    const why = explain(this.real(), this.fake(), sample => this.latent(sample), loss, broken, low, high);
    const words = `NaN at iteration ${this.count.toLocaleString("en-US")}: ${why.words}`;
    const logit = why.index === null ? NaN : (why.side === "real" ? this.real() : this.fake())[why.index];
    const { side, index } = Number.isNaN(logit) ? { side: null, index: null } : why; // a NaN of the weights is no sample's doing
    this.verdict = { iteration: this.count, words, side, index };
  }

  /** The chance that a batch of these weights ends the run. */
  foresee() {
    const { loss, latent, batch } = this.settings, { low, high } = this;
    if (loss !== "naive") return;
    this.draws ??= latent > 1 ? someNormals(DRAWS * latent) : null;
    const chance = this.draws ? sampledHazard(this.look(DRAWS, (k, j) => (this.draws ?? [])[k * latent + j]), low, high, batch)
      : gridHazard(GRID, this.look(GRID.length, k => GRID[k]), low, high, batch);
    this.chance = chance >= 0 ? chance : null;
    this.lookedAt = performance.now();
  }

  // ---- pictures

  /** D's logits for what G draws at `count` latents, whose number j is z(k, j); the samples stand in lookSamples.
   * @param {number} count @param {(k: number, j: number) => number} z */
  look(count, z) {
    const { engine } = this, { latent } = this.settings, n = (count + 7) & ~7, columns = this.floats("lookZ", n * latent);
    for (let j = 0; j < latent; j++) for (let k = 0; k < count; k++) columns[j * n + k] = z(k, j);
    engine.generate(engine.lookZ.value, engine.lookSamples.value, n);
    engine.judge(engine.lookSamples.value, engine.lookLogits.value, n);
    return this.floats("lookLogits", count);
  }

  /** The batch at hand (of a run that has not begun: none) and the atlas of the same weights. @param {number} iteration */
  picture(iteration, batch = this.settings.batch) {
    const { latent } = this.settings, wide = latent > 1, fakeLogits = this.fake().slice(0, batch);
    const verdict = this.verdict?.iteration === iteration ? this.verdict : null, { side = null, index = null } = verdict ?? {};
    const marked = side === "fake" && index !== null ? index : top(fakeLogits), reals = side === "real" ? (index ?? 0) + 1 : 0;
    const all = Array.from(fakeLogits.keys()), ends = [marked, top(fakeLogits), top(fakeLogits, -1)];
    const kept = batch > SAMPLES ? [...new Set([...ends, ...all])].slice(0, SAMPLES) : all;
    // of a wider latent the atlas is a slice, through the sample that is marked
    const far = this.latent(marked), direction = Array.from(far, (v, j) => (wide && batch ? v / size(far) : Number(j === 0)));
    const along = (/** @type {Float32Array} */ z) => z.reduce((sum, v, j) => sum + v * direction[j], 0);
    const fake = new Float32Array(kept.length * DIMENSION);
    kept.forEach((sample, k) => fake.set(this.samples(this.padded + sample, 1), k * DIMENSION));
    return {
      run: this.tag, iteration, atlasAt: iteration, verdict, chance: this.chance, fakeLogits, realLogits: this.real().slice(0, batch),
      z: Float32Array.from(all, sample => along(this.latent(sample))),
      lengths: wide ? Float32Array.from(all, sample => size(this.latent(sample))) : undefined,
      real: this.samples(0, Math.min(batch, Math.max(REALS, reals))).slice(),
      fake, fakeIndex: batch > SAMPLES ? Float32Array.from(kept) : undefined,
      curve: this.look(ATLAS.length, (k, j) => ATLAS[k] * direction[j]).slice(),
      image: this.floats("lookSamples", ATLAS.length * DIMENSION).slice(),
    };
  }

  // ---- going back

  /** The iterations that one can go back to, first and last. @returns {[number, number]|null} */
  get rewind() { return this.made ? [Math.max(this.first, this.count - BACK + 1), this.count] : null; }

  /** Do the iterations up to `until` again; `see` is told of those from `from` on. The engine is then behind `until`.
   * @param {number} from @param {number} until @param {(iteration: number) => void} [see] */
  again(from, until, see) {
    const [older, newer] = this.states, { count, bytes } = from > newer.count ? newer : older;
    this.state().set(bytes);
    for (let at = count + 1; at <= until; at++)
      this.compute(at, () => { if (at >= from) see?.(at); return at >= from; });
  }

  /** One of the last iterations, as it was. @param {number} iteration */
  moment(iteration) {
    const [first, last] = this.rewind ?? [1, 0];
    if (!this.past.size) this.again(first, last, at => { this.foresee(); this.past.set(at, this.picture(at)); });
    return this.past.get(Math.min(Math.max(iteration, first), last));
  }

  /** The weights before one of the last iterations once more.
   * @param {number} tag @param {number} iteration @param {string} loss @param {number} lr */
  fork(tag, iteration, loss, lr) {
    const [first, last] = this.rewind ?? [1, 1], at = Math.min(Math.max(iteration, first), last);
    this.again(at, at - 1);
    const rates = this.rates.filter(([from]) => from < at);
    return new Run(this.engine, tag, { ...this.settings, loss }, lr, { at, parent: this.tag, rates });
  }
}
