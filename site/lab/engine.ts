// What utils/training.py does for the main recipe, in WebAssembly (AssemblyScript; package.json says how it is compiled).
// It imports nothing, and all arithmetic is IEEE 754's, so a seed gives the same run in every browser.
//
// Numbers are float32, as in torch; the head's exp and log, the random numbers and the pulses are computed in float64 and
// rounded once. `Math` is AssemblyScript's own software, not the browser's, whose last bit may differ.
// An array is an address in memory; its float32 numbers lie there one after the other, 4 bytes each.
type int = usize; //                             an address, or a count
const T: int = 64, COUNT: int = 20000; //        numbers in a pulse; recorded pulses
const HG: int = 512, HD: int = 2048; //          hidden units of G and of D
const FULL_SCALE: f32 = 20, LEAK: f32 = 0.2; //  mV, G's output is multiplied by it; of D's LeakyReLU
const BETA1: f64 = 0.5, BETA2: f64 = 0.999; //   Adam's
const POINTS: int = 328, PANEL: int = 128; //    the most latents to look at; rows that multiply() packs at once
const ROW: int = T * 4; //                       bytes of a pulse

// ---- memory: the recorded pulses, then what setup() lays out
let top: int = (__heap_base + 63) & ~63;
function floats(count: int): int {
  const start = top;
  top += ((count * 4 + 63) & ~63) + 64; // the odd 64 bytes keep arrays off each other's cache sets
  const missing = i32((top + 65535) >> 16) - memory.size();
  if (missing > 0) memory.grow(missing);
  return start;
}

/** What the next iteration depends on, beside the weights and Adam's moments, which stand behind it. */
@unmanaged class State {
  a: u32; b: u32; c: u32; d: u32; spare: f64; // random numbers; the second of a pair of normal ones, NaN: none
  updatesG: i32; updatesD: i32;
}

const PULSES = floats(COUNT * T), PACKED = floats(PANEL * 8), BEHIND = top;
let batch: int = 0, padded: int = 0, latent: int = 0; // padded: to a multiple of 8, with samples of no slope
// What a page or a test reads and writes. Weights and gradients: G's W1 (512, latent), b1, W2 (512, 64: torch's transposed),
// b2; from D's address on W1 (2048, 64), b1, w2, b2. A checkpoint is a copy of stateBytes from state on.
export let weights: int = 0, weightsD: int = 0, gradients: int = 0, gradientsD: int = 0, state: int = 0, stateBytes: int = 0;
export let z: int = 0, samples: int = 0, logits: int = 0; // (padded, latent), (2 padded, 64), (2 padded,): real first
export let lookZ: int = 0, lookSamples: int = 0, lookLogits: int = 0; // (latent, n), (n, 64), (n,), for n <= POINTS
let means: int = 0, squares: int = 0, countG: int = 0, count: int = 0; // Adam's moments, beside the weights
let zT: int = 0, samplesT: int = 0, hiddenG: int = 0, hiddenD: int = 0; // (units, samples)
let slopesD: int = 0, slopesG: int = 0, ones: int = 0, weighted: int = 0, back: int = 0, backT: int = 0, hiddenBack: int = 0;

/** Lay out the memory for a batch and a latent width; what stood there is lost. The first call records the pulses. */
export function setup(batch_: i32, latent_: i32): void {
  if (!batch) record();
  batch = batch_; latent = latent_; padded = (batch + 7) & ~7; top = BEHIND;
  const both = padded * 2, columns = max(both, POINTS);
  countG = HG * latent + HG + HG * T + T;
  count = countG + HD * T + HD + HD + 4; // the last 4: one bias, and three zeros that fill its vector
  state = floats(16); weights = floats(count); means = floats(count); squares = floats(count);
  stateBytes = top - state; weightsD = weights + countG * 4;
  gradients = floats(count); gradientsD = gradients + countG * 4;
  z = floats(padded * latent); samples = floats(both * T); logits = floats(columns);
  lookZ = floats(POINTS * latent); lookSamples = floats(POINTS * T); lookLogits = floats(POINTS);
  zT = floats(padded * latent); samplesT = floats(columns * T); hiddenG = floats(HG * columns); hiddenD = floats(HD * columns);
  slopesD = floats(both); slopesG = floats(padded); ones = floats(both); weighted = floats(both * T);
  back = floats(padded * T); backT = floats(padded * T); hiddenBack = floats(HG * padded);
  memory.fill(state, 0, top - state);
  for (let p = ones; p < ones + both * 4; p += 4) store<f32>(p, 1);
}

// ---- random numbers: Doty-Humphrey's sfc32, and Marsaglia's polar method for normal ones
function bits(): u32 {
  const s = changetype<State>(state), sum = s.a + s.b + s.d++;
  s.a = s.b ^ (s.b >> 9);
  s.b = s.c + (s.c << 3);
  s.c = rotl(s.c, 21) + sum;
  return sum;
}
function uniform(): f64 { return (<f64>bits() + 0.5) / 4294967296.0; } // in (0, 1)
function normal(): f64 {
  const s = changetype<State>(state), kept = s.spare;
  s.spare = NaN;
  if (!isNaN(kept)) return kept;
  let x: f64, y: f64, square: f64;
  do { x = 2 * uniform() - 1; y = 2 * uniform() - 1; square = x * x + y * y; } while (square >= 1);
  const length = Math.sqrt(-2 * Math.log(square) / square);
  s.spare = y * length;
  return x * length;
}
function seed(value: u32): void {
  const s = changetype<State>(state);
  s.a = 0x9e3779b9; s.b = 0x243f6a88; s.c = value; s.d = 1; s.spare = NaN;
  for (let i = 0; i < 20; i++) bits();
}
/** The pulses of utils/data.py, drawn anew: the same distribution, other numbers. */
function record(): void {
  state = PACKED; seed(2024); // nothing is laid out yet
  for (let i: int = 0; i < COUNT; i++) {
    const frequency = 2 + 6 * uniform(), phase = 2 * Math.PI * uniform(), decay = 3 * uniform(), size = 0.5 + 0.5 * uniform();
    const turn = 2 * Math.PI * frequency / T, shrink = Math.exp(-decay / T);
    const turnX = shrink * Math.cos(turn), turnY = shrink * Math.sin(turn);
    let x = size * Math.cos(phase), y = size * Math.sin(phase); // the pulse is the height of a point that spirals inwards
    for (let k: int = 0; k < T; k++) {
      store<f32>(PULSES + (i * T + k) * 4, <f32>(FULL_SCALE * (y + 0.2 * normal())));
      const next = x * turnX - y * turnY;
      y = x * turnY + y * turnX; x = next;
    }
  }
}
function spread(to: int, n: int, inputs: int): int {
  const bound = 1 / Math.sqrt(<f64>inputs), end = to + n * 4;
  for (; to < end; to += 4) store<f32>(to, <f32>((2 * uniform() - 1) * bound));
  return end;
}
/** A new run: PyTorch's default weights, drawn from the seed, and an Adam that knows nothing. */
export function start(value: u32): void {
  memory.fill(state, 0, stateBytes);
  seed(value);
  const g = spread(spread(spread(spread(weights, HG * latent, latent), HG, latent), HG * T, HG), T, HG);
  spread(spread(spread(spread(g, HD * T, T), HD, T), HD, HD), 1, HD);
}

// ---- matrices
/** C (m, n) += A (m, k) B (k, n), m a multiple of 4 and n of 8. Rows of C and of B lie rowC and rowB bytes apart; A's entry
 * (i, j) stands at a + i rowA + j stepA, so that swapping the two gives its transpose. */
function multiply(c: int, rowC: int, a: int, rowA: int, stepA: int, b: int, rowB: int, m: int, n: int, k: int): void {
  for (let j0: int = 0; j0 < k; j0 += PANEL) {
    const end = PACKED + min(k - j0, PANEL) * 32;
    for (let column: int = 0; column < n * 4; column += 32) {
      // eight columns of B side by side: with rows a power of two apart they would share a cache set
      for (let to = PACKED, from = b + j0 * rowB + column; to < end; to += 32, from += rowB) memory.copy(to, from, 32);
      for (let i: int = 0; i < m; i += 4) { // a tile of 4 x 8 sums, which fits into the processor's registers
        const c0 = c + i * rowC + column, c1 = c0 + rowC, c2 = c1 + rowC, c3 = c2 + rowC, row2 = rowA * 2, row3 = rowA * 3;
        let s00 = v128.load(c0), s10 = v128.load(c1), s20 = v128.load(c2), s30 = v128.load(c3);
        let s01 = v128.load(c0, 16), s11 = v128.load(c1, 16), s21 = v128.load(c2, 16), s31 = v128.load(c3, 16);
        for (let p = a + i * rowA + j0 * stepA, q = PACKED; q < end; q += 32, p += stepA) {
          const left = v128.load(q), right = v128.load(q, 16);
          let x = v128.load32_splat(p);
          s00 = f32x4.add(s00, f32x4.mul(x, left)); s01 = f32x4.add(s01, f32x4.mul(x, right));
          x = v128.load32_splat(p + rowA);
          s10 = f32x4.add(s10, f32x4.mul(x, left)); s11 = f32x4.add(s11, f32x4.mul(x, right));
          x = v128.load32_splat(p + row2);
          s20 = f32x4.add(s20, f32x4.mul(x, left)); s21 = f32x4.add(s21, f32x4.mul(x, right));
          x = v128.load32_splat(p + row3);
          s30 = f32x4.add(s30, f32x4.mul(x, left)); s31 = f32x4.add(s31, f32x4.mul(x, right));
        }
        v128.store(c0, s00); v128.store(c1, s10); v128.store(c2, s20); v128.store(c3, s30);
        v128.store(c0, s01, 16); v128.store(c1, s11, 16); v128.store(c2, s21, 16); v128.store(c3, s31, 16);
      }
    }
  }
}
function transpose(to: int, from: int, rows: int, columns: int): void {
  for (let i: int = 0; i < rows; i++)
    for (let j: int = 0; j < columns; j++) store<f32>(to + (j * rows + i) * 4, load<f32>(from + (i * columns + j) * 4));
}
/** Each row of `to` (rows, columns) filled with its own number. */
function fillRows(to: int, numbers: int, rows: int, columns: int): void {
  for (let end = numbers + rows * 4; numbers < end; numbers += 4)
    for (let x = v128.load32_splat(numbers), last = to + columns * 4; to < last; to += 16) v128.store(to, x);
}
/** Each row of `to` (rows, 64) is that of `from` times its own number and `scale`. */
function scaleRows(to: int, from: int, numbers: int, rows: int, scale: f32): void {
  for (let end = numbers + rows * 4; numbers < end; numbers += 4)
    for (let x = f32x4.splat(scale * load<f32>(numbers)), last = to + ROW; to < last; to += 16, from += 16)
      v128.store(to, f32x4.mul(x, v128.load(from)));
}
function sum(v: v128): f32 {
  return (f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1)) + (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3));
}
function dot(p: int, q: int, bytes: int): f32 {
  let all = f32x4.splat(0);
  for (const end = p + bytes; p < end; p += 16, q += 16) all = f32x4.add(all, f32x4.mul(v128.load(p), v128.load(q)));
  return sum(all);
}
// @ts-ignore: AssemblyScript's decorator
@inline function leaky(x: v128): v128 { return f32x4.max(x, f32x4.mul(x, f32x4.splat(LEAK))); }

// ---- forward, of n samples, a multiple of 8; a page looks at others with these two, but not between forward() and update()
/** Latents at `from` (latent, n) to samples at `to` (n, 64); the activations stay in hiddenG. */
export function generate(from: int, to: int, n: int): void {
  const bias = weights + HG * latent * 4, second = bias + HG * 4, last = second + HG * ROW, row = n * 4;
  fillRows(hiddenG, bias, HG, n);
  multiply(hiddenG, row, weights, latent * 4, 4, from, row, HG, n, latent);
  for (let p = hiddenG, end = p + HG * row; p < end; p += 16) v128.store(p, f32x4.max(v128.load(p), f32x4.splat(0)));
  for (let i: int = 0; i < n; i++) memory.copy(to + i * ROW, last, ROW);
  multiply(to, ROW, hiddenG, 4, row, second, ROW, n, T, HG);
  for (let p = to, end = to + n * ROW; p < end; p += 16) v128.store(p, f32x4.mul(v128.load(p), f32x4.splat(FULL_SCALE)));
}
/** Samples at `from` (n, 64) to D's logits at `to` (n,); what LeakyReLU reads stays in hiddenD. */
export function judge(from: int, to: int, n: int): void {
  const bias = weightsD + HD * ROW, second = bias + HD * 4, row = n * 4;
  transpose(samplesT, from, n, T);
  fillRows(hiddenD, bias, HD, n);
  multiply(hiddenD, row, weightsD, ROW, 4, samplesT, row, HD, n, T);
  fillRows(to, second + HD * 4, 1, n);
  for (let h: int = 0, p = hiddenD; h < HD; h++)
    for (let w = v128.load32_splat(second + h * 4), q = to, end = to + row; q < end; q += 16, p += 16)
      v128.store(q, f32x4.add(v128.load(q), f32x4.mul(w, leaky(v128.load(p)))));
}

// ---- the loss of one logit and its slope, as torch computes them
export let loss: i32 = 0; // 0: the naive log of a sigmoid, 1: from the logit, 2: BCELoss, 3: with 1e-8 inside the log
export let slope: f32 = 0; // of the head() computed last
export function sigmoid(x: f32): f32 { return <f32>1 / (<f32>1 + <f32>Math.exp(-<f64>x)); }
/** -log D for a sample that should be called real, else -log(1 - D), with D = sigmoid(x). */
export function head(x: f32, real: bool): f32 {
  const one: f32 = 1, sign: f32 = real ? -1 : 1;
  if (loss == 1) { // softplus, of which torch takes the straight line above 20
    const y = sign * x;
    slope = sign * sigmoid(y);
    return y > 20 ? y : <f32>Math.log1p(Math.exp(<f64>y));
  }
  const p = sigmoid(x), rest = one - p;
  if (loss == 2) {
    slope = (real ? p - one : p) / max<f32>(rest * p, 1e-12) * rest * p;
    return min<f32>(100, -<f32>Math.log(real ? <f64>p : 1 - <f64>p));
  }
  const inside: f32 = (real ? p : rest) + (loss == 3 ? <f32>1e-8 : <f32>0);
  slope = sign / inside * rest * p;
  return -<f32>Math.log(<f64>inside);
}

// ---- one iteration: draw(), forward(), and if both losses are finite update()
export let lossD: f32 = 0, lossG: f32 = 0, scoreReal: f32 = 0, scoreFake: f32 = 0; // means over the batch
export let pulled: i32 = 0; // generated samples of the batch that G still gets a gradient from

export function draw(): void {
  for (let i: int = 0; i < batch; i++) memory.copy(samples + i * ROW, PULSES + <int>(uniform() * COUNT) * ROW, ROW);
  for (let p = z, end = z + batch * latent * 4; p < end; p += 4) store<f32>(p, <f32>normal());
}
/** Logits and losses of the batch. 0: both finite, 1: D's is not, 2: G's is not, 3: neither is. */
export function forward(): i32 {
  const share: f32 = <f32>1 / <f32>batch, half = padded * 4;
  transpose(zT, z, padded, latent);
  generate(zT, samples + padded * ROW, padded);
  judge(samples, logits, padded * 2);
  lossD = lossG = scoreReal = scoreFake = 0; pulled = 0;
  for (let p: int = 0; p < batch * 4; p += 4) {
    const real = load<f32>(logits + p), fake = load<f32>(logits + half + p);
    scoreReal += share * sigmoid(real); scoreFake += share * sigmoid(fake);
    lossD += head(real, true); store<f32>(slopesD + p, share * slope);
    lossD += head(fake, false); store<f32>(slopesD + half + p, share * slope);
    lossG += head(fake, true); store<f32>(slopesG + p, share * slope);
    pulled += i32(abs(slope) > 1e-6); // as in metrics.signal()
  }
  lossD *= share; lossG *= share;
  return i32(!isFinite(lossD)) | i32(!isFinite(lossG)) << 1;
}
/** Move D, G or both; both gradients are taken before either moves. */
export function update(lr: f64, d: bool, g: bool): void {
  const now = changetype<State>(state);
  memory.fill(gradients, 0, count * 4);
  backwardD();
  if (g) backwardG();
  if (d) adam(countG, count, lr, ++now.updatesD);
  if (g) adam(0, countG, lr, ++now.updatesG);
}
/** D's gradients; hiddenD becomes each logit's slope by it, which serves G too. */
function backwardD(): void {
  const n = padded * 2, row = n * 4, bias = HD * ROW, second = bias + HD * 4, zero = f32x4.splat(0);
  store<f32>(gradientsD + second + HD * 4, dot(slopesD, ones, row));
  for (let h: int = 0, p = hiddenD; h < HD * 4; h += 4) {
    const w = v128.load32_splat(weightsD + second + h), leaked = f32x4.mul(w, f32x4.splat(LEAK));
    let bySecond = zero, byBias = zero;
    for (let q = slopesD, end = q + row; q < end; q += 16, p += 16) {
      const x = v128.load(p), s = v128.load(q), path = v128.bitselect(w, leaked, f32x4.gt(x, zero));
      bySecond = f32x4.add(bySecond, f32x4.mul(s, leaky(x)));
      byBias = f32x4.add(byBias, f32x4.mul(s, path));
      v128.store(p, path);
    }
    store<f32>(gradientsD + second + h, sum(bySecond));
    store<f32>(gradientsD + bias + h, sum(byBias));
  }
  scaleRows(weighted, samples, slopesD, n, 1);
  multiply(gradientsD, ROW, hiddenD, row, 4, weighted, ROW, HD, T, n);
}
/** G's gradients, through D as it was in the forward pass. */
function backwardG(): void {
  const n = padded, row = n * 4, bias = HG * latent * 4, second = bias + HG * 4, last = gradients + second + HG * ROW;
  memory.fill(back, 0, n * ROW); memory.fill(hiddenBack, 0, HG * row);
  multiply(back, ROW, hiddenD + row, 4, row * 2, weightsD, ROW, n, T, HD);
  scaleRows(back, back, slopesG, n, FULL_SCALE);
  for (let i: int = 0, to = last; i < n * ROW; i += 16, to = last + i % ROW)
    v128.store(to, f32x4.add(v128.load(to), v128.load(back + i)));
  multiply(gradients + second, ROW, hiddenG, row, 4, back, ROW, HG, T, n);
  transpose(backT, back, n, T);
  multiply(hiddenBack, row, weights + second, ROW, 4, backT, row, HG, n, T);
  for (let p = hiddenBack, q = hiddenG, end = p + HG * row; p < end; p += 16, q += 16) // the ReLU
    v128.store(p, v128.and(v128.load(p), f32x4.gt(v128.load(q), f32x4.splat(0))));
  for (let h: int = 0; h < HG; h++) store<f32>(gradients + bias + h * 4, dot(hiddenBack + h * row, ones, row));
  for (let i: int = 0; i < HG * latent; i++)
    store<f32>(gradients + i * 4, dot(hiddenBack + i / latent * row, zT + i % latent * row, row));
}
/** Adam's update number `updates` of the weights from number `first` up to `end`. */
function adam(first: int, end: int, lr: f64, updates: i32): void {
  const step = f32x4.splat(<f32>(lr / (1 - Math.exp(updates * Math.log(BETA1))))), eps = f32x4.splat(1e-8);
  const root = f32x4.splat(<f32>Math.sqrt(1 - Math.exp(updates * Math.log(BETA2))));
  for (let i = first * 4; i < end * 4; i += 16) {
    const g = v128.load(gradients + i);
    const mean = mix(BETA1, v128.load(means + i), g), square = mix(BETA2, v128.load(squares + i), f32x4.mul(g, g));
    v128.store(means + i, mean); v128.store(squares + i, square);
    const change = f32x4.div(f32x4.mul(step, mean), f32x4.add(f32x4.div(f32x4.sqrt(square), root), eps));
    v128.store(weights + i, f32x4.sub(v128.load(weights + i), change));
  }
}
// @ts-ignore: AssemblyScript's decorator
@inline function mix(share: f64, old: v128, now: v128): v128 {
  return f32x4.add(f32x4.mul(f32x4.splat(<f32>share), old), f32x4.mul(f32x4.splat(<f32>(1 - share)), now));
}
