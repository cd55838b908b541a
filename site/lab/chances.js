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
export function hazard(z, logits, low, high, batch) {
  if (logits.some(Number.isNaN)) return NaN;
  const p = normalWeight(z, k => logits[k] - high) + normalWeight(z, k => low - logits[k]);
  return p < 1 ? -Math.expm1(batch * Math.log1p(-p)) : 1;
}

/** For a wider latent, where no integral can be had: the chance that the next batch's largest logit passes the cliff, from
 * those of recent batches. Peaks over threshold: the largest tenth gets a generalised Pareto distribution, fitted by its
 * probability-weighted moments (Hosking and Wallis 1987). NaN for fewer than 200.
 * @param {number[]} maxima @param {number} cliff */
export function tailHazard(maxima, cliff) {
  if (maxima.length < 200) return NaN;
  const sorted = [...maxima].sort((a, b) => b - a), count = Math.floor(sorted.length / 10), threshold = sorted[count];
  if (cliff <= threshold) return sorted.filter(v => v > cliff).length / sorted.length;
  const peaks = sorted.slice(0, count).map(v => v - threshold);
  const mean = peaks.reduce((sum, v) => sum + v, 0) / count, weighted = peaks.reduce((sum, v, k) => sum + v * (k + 0.35) / count, 0) / count;
  const shape = 2 - mean / (mean - 2 * weighted), scale = 2 * mean * weighted / (mean - 2 * weighted), y = (cliff - threshold) / scale;
  const tail = Math.abs(shape) < 1e-6 ? Math.exp(-y) : Math.max(1 + shape * y, 0) ** (-1 / shape);
  return 0.1 * tail;
}
