// Why a loss is not finite, in the words of utils/autopsy.py: explain() and rarity().

import { upperGamma } from "./chances.js";

/** What torch calls the losses, in the engine's order. */
export const NAMES = ["matlab", "logits", "bce", "epsilon"];

/** How rare a normal latent is. @param {ArrayLike<number>} z */
export function rarity(z) {
  const square = Array.from(z).reduce((sum, v) => sum + v * v, 0);
  const tail = upperGamma(z.length / 2, Math.fround(square / 2)); // float32, as there
  const name = z.length === 1 ? `z = ${z[0].toFixed(2)}` : `|z| = ${Math.sqrt(square).toFixed(2)}`;
  if (!tail) return `${name}, no draw is ever as far out`;
  return `${name}, 1 draw in ${tail < 0.1 ? whole(1 / tail) : (1 / tail).toFixed(1)} is as far out`;
}
const whole = (/** @type {number} */ v) => BigInt(Math.round(v)).toLocaleString("en-US");

/** A number as Python's "g" writes it, with three digits. @param {number} v */
function general(v) {
  if (!Number.isFinite(v)) return String(v).replace("Infinity", "inf").replace("NaN", "nan");
  const [digits, exponent] = v.toExponential(2).split("e"), power = Number(exponent);
  if (power >= -4 && power < 3) return String(Number(v.toPrecision(3)));
  return `${Number(digits)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
}

/** Which term of which sample broke the loss, from D's logits of a batch.
 * @param {Float32Array} real @param {Float32Array} fake
 * @param {(sample: number) => ArrayLike<number>} latentOf   a generated sample's latent
 * @param {number} loss @param {(logit: number, real: boolean) => boolean} broken   is this term not finite?
 * @param {number} low @param {number} high   the cliffs
 * @returns {{words: string, side: "fake"|"real"|null, index: number|null}} */
export function explain(real, fake, latentOf, loss, broken, low, high) {
  for (const [side, of, logits] of /** @type {const} */ ([["real", "real", real], ["fake", "generated", fake]])) {
    const index = logits.findIndex(v => !Number.isFinite(v));
    if (index < 0) continue;
    const unknown = Number.isNaN(logits[index]), whose = !unknown ? "the" : side === "real" ? "D's" : "G's";
    const why = `${whose} weights themselves overflowed${unknown ? " or became NaN in the step before" : ""}`;
    const words = `D's logit for ${of} sample ${index} is ${general(logits[index])}: ${why}.`;
    return { words, side, index };
  }
  if (loss !== 0) {
    const [lowest, highest] = [Math.min, Math.max].map(end => general(end(...real, ...fake)));
    return { words: `the loss '${NAMES[loss]}' overflowed at logits from ${lowest} to ${highest}.`, side: null, index: null };
  }
  for (const [term, side, logits, wanted] of /** @type {const} */ ([ // in the order in which the loss computes them
    ["log D(x)", "real", real, true], ["log(1 - D(G(z)))", "fake", fake, false], ["log D(G(z))", "fake", fake, true],
  ])) {
    const index = logits.findIndex(v => broken(v, wanted)), count = logits.filter(v => broken(v, wanted)).length;
    if (!count) continue;
    const why = logits[index] > 0 ? `above ${high.toFixed(2)} float32 rounds D to 1`
      : `below ${low.toFixed(1)} float32 rounds D to 0`;
    const others = count > 1 ? ` The same happened to ${count} of the ${logits.length} samples.` : "";
    const rare = side === "fake" ? ` Its latent is ${rarity(latentOf(index))}.` : "";
    const words = `${term} of sample ${index} is -inf. Its logit is ${logits[index].toFixed(1)}; ${why}.${others}${rare}`;
    return { words, side, index };
  }
  return { words: "no single term is infinite: their sum overflowed.", side: null, index: null };
}
