// The rows of a run, about as many as a panel is wide, so that they are drawn 25 times a second without losing a spike.

/** @type {import("./types.js").Quantity[]} */
export const QUANTITIES = [
  "loss_g", "loss_d", "score_g", "score_d", "fake_max", "fake_min", "real_max", "real_min", "fake_max_z"];
const RECENT = 128, OLD = 256; // rows that stay single, and entries that the others are merged into

/** @typedef {{at: number, low: Float32Array, high: Float32Array}} Entry   a stretch's last iteration, and its extremes */
/** @type {(a: Entry, b: Entry) => Entry} */
const merged = (a, b) => ({
  at: b.at, low: a.low.map((v, q) => Math.min(v, b.low[q])), high: a.high.map((v, q) => Math.max(v, b.high[q])),
});

export class Series {
  /** @param {number} width quantities an entry */
  constructor(width) {
    this.width = width;
    this.old = /** @type {Entry[]} */ ([]);
    this.recent = /** @type {Entry[]} */ ([]);
    this.entries = /** @type {Entry[]} */ ([]); // both
    this.stride = 1; // rows merged into an old entry
  }

  get last() { return this.recent.at(-1)?.at ?? 0; }

  /** The rows of a frame, dropping those that are already here. @param {Float32Array} rows @param {number} end
   * @param {Float32Array} [at] @param {Float32Array} [lows] @param {Float32Array} [highs] */
  append(rows, end, at, lows = rows, highs = rows) {
    const { width, recent } = this, count = rows.length / width;
    for (let k = 0; k < count; k++) {
      const part = array => array.slice(k * width, (k + 1) * width), iteration = at ? at[k] : end - count + 1 + k;
      if (iteration > this.last) recent.push({ at: iteration, low: part(lows), high: part(highs) });
      if (recent.length >= RECENT + this.stride) this.old.push(recent.splice(0, this.stride).reduce(merged));
      if (this.old.length < OLD) continue;
      this.old = this.old.flatMap((entry, k) => (k % 2 ? [merged(this.old[k - 1], entry)] : []));
      this.stride *= 2;
    }
    this.entries = [...this.old, ...recent];
  }

  /** The number of the first entry at or after an iteration. */
  find(iteration) {
    const k = this.entries.findIndex(entry => entry.at >= iteration);
    return k < 0 ? this.entries.length : k;
  }

  /** Lowest and highest finite value of some quantities in iterations from ... to; [∞, -∞] if none is finite. */
  extremes(quantities, from, to) {
    let low = Infinity, high = -Infinity;
    for (const entry of this.entries) for (const q of entry.at >= from && entry.at <= to ? quantities : []) {
      if (entry.low[q] < low && entry.low[q] > -Infinity) low = entry.low[q];
      if (entry.high[q] > high && entry.high[q] < Infinity) high = entry.high[q];
    }
    return [low, high];
  }
}
