// How rare is it: tails of the normal distribution, and the chance that the next batch ends the run (utils/hazard.py).

/** The regularised upper incomplete gamma function Q(a, x), for a = 1/2, 1, 3/2 ...: Numerical Recipes' series and fraction.
 * @param {number} a @param {number} x */
export function upperGamma(a, x) {
  if (!(x > 0)) return 1;
  let logGamma = a % 1 ? Math.log(Math.PI) / 2 : 0;
  for (let k = a % 1 || 1; k < a; k++) logGamma += Math.log(k);
  const front = Math.exp(a * Math.log(x) - x - logGamma);
  if (x < a + 1) {
    let term = 1 / a, sum = term;
    for (let k = a + 1; term > sum * 1e-17; k++) sum += term *= x / k;
    return 1 - sum * front;
  }
  let b = x + 1 - a, c = 1e300, d = 1 / b, fraction = d; // Lentz
  for (let k = 1, change = 0; Math.abs(change - 1) > 1e-15 && k < 1000; k++) {
    b += 2;
    d = 1 / (b - k * (k - a) * d);
    c = b - k * (k - a) / c;
    fraction *= change = c * d;
  }
  return fraction * front;
}

/** The chance that a standard normal number is above x. @param {number} x @returns {number} */
const above = x => (x < 0 ? 1 - above(-x) : upperGamma(0.5, x * x / 2) / 2);

/** ... and that it falls between two: taken from the nearer tail, so that a small chance keeps its digits.
 * @param {number} from @param {number} to @returns {number} */
const between = (from, to) => (to <= 0 ? between(-to, -from) : above(from) - above(to));

/** The chance that a standard normal number falls where `excess`, given at ascending z, is above 0 (linear in between).
 * @param {Float32Array} z @param {(k: number) => number} excess */
function normalWeight(z, excess) {
  let weight = 0;
  for (let k = 0; k + 1 < z.length; k++) {
    const before = excess(k), after = excess(k + 1);
    if (!(before > 0) && !(after > 0)) continue;
    const crossing = z[k] + (z[k + 1] - z[k]) * before / (before - after);
    weight += between(before > 0 ? z[k] : crossing, after > 0 ? z[k + 1] : crossing);
  }
  return weight;
}

/** The chance that a batch holds a generated logit beyond a cliff, from D's logits along the one latent number z.
 * @param {Float32Array} z @param {Float32Array} logits @param {number} low @param {number} high @param {number} batch */
export function gridHazard(z, logits, low, high, batch) {
  if (logits.some(Number.isNaN)) return NaN;
  return ofBatch(normalWeight(z, k => logits[k] - high) + normalWeight(z, k => low - logits[k]), batch);
}
/** The chance that one of a batch has what one sample has with chance p. @param {number} p @param {number} batch */
const ofBatch = (p, batch) => (p < 1 ? -Math.expm1(batch * Math.log1p(-p)) : 1);

/** The same for a wider latent, where no integral can be had, from D's logits at some random latents.
 * @param {Float32Array} logits @param {number} low @param {number} high @param {number} batch */
export function sampledHazard(logits, low, high, batch) {
  if (logits.some(Number.isNaN)) return NaN;
  return ofBatch(tail(logits, high) + tail(logits.map(v => -v), -low), batch);
}

/** The chance that a number drawn like `values` passes a cliff that perhaps none of them does: the largest tenth is taken
 * for the tail of an exponential distribution, which is right to an order of magnitude.
 * @param {Float32Array} values @param {number} cliff */
export function tail(values, cliff) {
  const sorted = values.slice().sort().reverse(), count = Math.floor(sorted.length / 10), threshold = sorted[count];
  const passed = sorted.filter(v => v > cliff).length;
  const excess = sorted.subarray(0, count).reduce((sum, v) => sum + v - threshold, 0) / count;
  if (passed >= count / 4) return passed / sorted.length; // that many were seen: nothing to extrapolate
  return count / sorted.length * Math.exp((threshold - cliff) / excess);
}

/** Standard normal numbers, always the same (mulberry32 and Box-Muller): for looking, not for training.
 * @param {number} count */
export function someNormals(count) {
  let state = 1;
  const uniform = () => {
    let t = state = (state + 0x6d2b79f5) | 0;
    t = Math.imul(t ^ t >>> 15, t | 1);
    t ^= t + Math.imul(t ^ t >>> 7, t | 61);
    return (((t ^ t >>> 14) >>> 0) + 0.5) / 2 ** 32;
  };
  return Array.from({ length: count }, () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()));
}
