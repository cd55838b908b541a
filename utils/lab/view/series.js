// The rows of a run, and how to draw 400,000 of them 25 times a second without losing a spike.

/** @type {import("./types.js").Quantity[]} */
export const QUANTITIES = [
  "loss_g", "loss_d", "score_g", "score_d", "fake_max", "fake_min", "real_max", "real_min", "fake_max_z"];
const BLOCK = 64;

/** One entry an iteration (or a bucket of them, in a thinned record): its last iteration, and the lowest and highest value of
 * each quantity. Whole blocks of 64 entries know their own extremes, so that a long curve costs no more than its pixels. */
export class Series {
  /** @param {number} width quantities an entry */
  constructor(width) {
    this.width = width;
    this.at = /** @type {number[]} */ ([]);
    this.low = /** @type {number[]} */ ([]); // (entries, width)
    this.high = /** @type {number[]} */ ([]);
    this.blockLow = /** @type {number[]} */ ([]); // (blocks, width)
    this.blockHigh = /** @type {number[]} */ ([]);
  }

  get count() { return this.at.length; }
  get last() { return this.at[this.count - 1] ?? 0; }

  /** The rows of a frame, dropping those that are already here. @param {Float32Array} rows @param {number} end
   * @param {Float32Array} [at] @param {Float32Array} [lows] @param {Float32Array} [highs] */
  append(rows, end, at, lows = rows, highs = rows) {
    const { width } = this, fresh = rows.length / width;
    for (let i = 0; i < fresh; i++) {
      const iteration = at ? at[i] : end - fresh + 1 + i;
      if (iteration <= this.last) continue;
      this.at.push(iteration);
      for (let k = i * width; k < (i + 1) * width; k++) {
        this.low.push(lows[k]);
        this.high.push(highs[k]);
      }
      for (let q = 0; q < width && this.count % BLOCK === 0; q++) {
        const [low, high] = this.extremes(q, this.count - BLOCK, this.count);
        this.blockLow.push(low);
        this.blockHigh.push(high);
      }
    }
  }

  /** Lowest and highest finite value of quantity q in entries from ... to - 1; [∞, -∞] if none is finite.
   * @param {number} q @param {number} from @param {number} to @returns {[number, number]} */
  extremes(q, from, to) {
    const known = this.blockLow.length;
    let low = Infinity, high = -Infinity;
    for (let i = from; i < to;) {
      const place = i / BLOCK * this.width + q, block = i % BLOCK === 0 && i + BLOCK <= to && place < known;
      const a = block ? this.blockLow[place] : this.low[i * this.width + q];
      const b = block ? this.blockHigh[place] : this.high[i * this.width + q];
      if (a < low && a > -Infinity) low = a;
      if (b > high && b < Infinity) high = b;
      i += block ? BLOCK : 1;
    }
    return [low, high];
  }

  /** The first entry at or after an iteration. @param {number} iteration */
  find(iteration) {
    let from = 0, to = this.count;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (this.at[middle] < iteration) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  /** Calls back with (iteration, low, high) for stretches of at least `width` iterations, from entry `from` to `to` - 1.
   * @param {number} q @param {number} from @param {number} to @param {number} width
   * @param {(iteration: number, low: number, high: number) => void} each */
  walk(q, from, to, width, each) {
    for (let i = from, next; i < to; i = next) {
      next = Math.min(Math.max(this.find(this.at[i] + width), i + 1), to);
      each(this.at[next - 1], ...this.extremes(q, i, next));
    }
  }
}
