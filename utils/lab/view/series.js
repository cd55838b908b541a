// The rows of a run, and how to draw 400,000 of them 25 times a second without losing a spike.

/** @typedef {import("./types.js").Quantity} Quantity */

/** @type {Quantity[]} */
export const QUANTITIES = [
  "loss_g", "loss_d", "score_g", "score_d", "fake_max", "fake_min", "real_max", "real_min", "fake_max_z"];
const BLOCK = 64;

/** One entry an iteration (or a bucket of them, in a thinned record): its last iteration, and the lowest and highest value of
 * each quantity. Whole blocks of 64 entries know their own extremes, so that a long curve costs no more than its pixels. */
export class Series {
  /** @param {number} width quantities an entry */
  constructor(width) {
    this.width = width;
    this.count = this.blocks = 0;
    this.at = new Float64Array(1024);
    this.low = new Float32Array(1024 * width);
    this.high = new Float32Array(1024 * width);
    this.blockLow = new Float32Array(1024 / BLOCK * width);
    this.blockHigh = new Float32Array(1024 / BLOCK * width);
  }

  get last() { return this.count ? this.at[this.count - 1] : 0; }

  /** The rows of a frame, dropping those that are already here.
   * @param {Float32Array} rows @param {number} end
   * @param {Float32Array} [at] @param {Float32Array} [lows] @param {Float32Array} [highs] */
  append(rows, end, at, lows, highs) {
    const { width } = this, fresh = rows.length / width;
    for (let i = 0; i < fresh; i++) {
      const iteration = at ? at[i] : end - fresh + 1 + i;
      if (iteration <= this.last) continue;
      if (this.count === this.at.length) this.grow();
      const n = this.count++;
      this.at[n] = iteration;
      this.low.set((lows ?? rows).subarray(i * width, (i + 1) * width), n * width);
      this.high.set((highs ?? rows).subarray(i * width, (i + 1) * width), n * width);
      if (this.count % BLOCK === 0) this.close(this.count / BLOCK - 1);
    }
  }

  grow() {
    for (const name of /** @type {const} */ (["at", "low", "high", "blockLow", "blockHigh"])) {
      const old = this[name], room = new /** @type {any} */ (old.constructor)(old.length * 2);
      room.set(old);
      /** @type {any} */ (this)[name] = room;
    }
  }

  /** The extremes of a full block. @param {number} block */
  close(block) {
    for (let q = 0; q < this.width; q++) {
      const [low, high] = this.extremes(q, block * BLOCK, (block + 1) * BLOCK);
      this.blockLow[block * this.width + q] = low;
      this.blockHigh[block * this.width + q] = high;
    }
    this.blocks = block + 1;
  }

  /** Lowest and highest finite value of quantity q in entries from ... to - 1; [∞, -∞] if none is finite.
   * @param {number} q @param {number} from @param {number} to @returns {[number, number]} */
  extremes(q, from, to) {
    let low = Infinity, high = -Infinity;
    for (let i = from; i < to;) {
      const block = i / BLOCK, whole = Number.isInteger(block) && i + BLOCK <= to && block < this.blocks;
      const a = whole ? this.blockLow[block * this.width + q] : this.low[i * this.width + q];
      const b = whole ? this.blockHigh[block * this.width + q] : this.high[i * this.width + q];
      if (a < low && a > -Infinity) low = a;
      if (b > high && b < Infinity) high = b;
      i += whole ? BLOCK : 1;
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
    for (let i = from; i < to;) {
      const next = Math.min(Math.max(this.find(this.at[i] + width), i + 1), to);
      each(this.at[next - 1], ...this.extremes(q, i, next));
      i = next;
    }
  }
}
