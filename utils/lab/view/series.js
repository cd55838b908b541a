// The rows of a run, about as many as a panel is wide, so that they are drawn 25 times a second without losing a spike.

/** The order of a row: one number an iteration each. Scores are means of probabilities. */
export const QUANTITIES = [
  "loss_g", "loss_d", "score_g", "score_d", "fake_max", "fake_min", "real_max", "real_min", "fake_max_z"];
const RECENT = 128, OLD = 256; // rows that stay single, and entries that the others are merged into

/** Two entries as one. An entry is a stretch of iterations: its last one, the lowest and the highest values in it. */
const merged = (a, b) => ({
  at: b.at, low: a.low.map((v, q) => Math.min(v, b.low[q])), high: a.high.map((v, q) => Math.max(v, b.high[q])),
});

export class Series {
  constructor() {
    this.old = [];
    this.recent = [];
    this.stride = 1; // rows merged into an old entry
  }

  get entries() { return [...this.old, ...this.recent]; }
  get last() { return this.recent.at(-1)?.at ?? 0; }

  /** The rows of a frame, dropping those that are already here. @param {import("./types.js").Frame} frame */
  append({ rows, iteration, at, lows = rows, highs = rows }) {
    const width = QUANTITIES.length, count = highs.length / width;
    for (let k = 0; k < count; k++) {
      const part = array => array.slice(k * width, (k + 1) * width), entry = { at: at ? at[k] : iteration - count + 1 + k };
      if (entry.at > this.last) this.recent.push({ ...entry, low: part(lows), high: part(highs) });
      if (this.recent.length >= RECENT + this.stride) this.old.push(this.recent.splice(0, this.stride).reduce(merged));
      if (this.old.length < OLD) continue;
      this.old = this.old.flatMap((entry, k) => (k % 2 ? [merged(this.old[k - 1], entry)] : []));
      this.stride *= 2;
    }
  }

  /** The entries of these iterations, and the one before them, from which a line comes. */
  between(from, to) {
    const { entries } = this, first = entries.findIndex(({ at }) => at >= from);
    return first < 0 ? [] : entries.slice(Math.max(first - 1, 0)).filter(({ at }) => at <= to);
  }
}
