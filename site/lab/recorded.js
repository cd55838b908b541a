// Recorded runs: the messages that the notebook's lab would send, as site/lab/build.py packs them.

import { DIMENSION, REACH } from "./run.js";

/** A message with its arrays, which come as {numbers: [...]}. @param {Object<string, any>} message @returns {any} */
const unpack = message => Object.fromEntries(Object.entries(message).map(
  ([name, value]) => [name, value?.numbers ? Float32Array.from(value.numbers) : value]));

/** What G draws at these latents, read off its atlas: between two of its points G is a straight line, or nearly.
 * @param {Float32Array} image @param {Float32Array} z */
function samplesAt(image, z) {
  const last = image.length / DIMENSION - 1, samples = new Float32Array(z.length * DIMENSION);
  z.forEach((v, sample) => {
    const x = Math.min(Math.max((v + REACH) / (2 * REACH), 0), 1) * last, left = Math.min(Math.floor(x), last - 1);
    for (let t = 0; t < DIMENSION; t++) {
      const [a, b] = [image[left * DIMENSION + t], image[(left + 1) * DIMENSION + t]];
      samples[sample * DIMENSION + t] = a + (x - left) * (b - a);
    }
  });
  return samples;
}
const USUAL = Float32Array.from({ length: 12 }, (_, k) => k * 4 / 11 - 2); // latents that most draws lie among

export class Recorded {
  /** @param {number} tag @param {any} packed @param {Float32Array} real   some real pulses @param {number} most */
  constructor(tag, { run, frame, atlases }, real, most) {
    this.tag = tag;
    this.run = { ...unpack(run), run: tag, real, most };
    this.last = { ...unpack(frame), run: tag };
    this.atlases = atlases.map(unpack);
    this.frame = { ...this.last, ...this.moment(this.last.iteration) };
  }

  /** The latest atlas at that iteration, or the first; the batch is kept of the last iteration alone.
   * @param {number} iteration */
  moment(iteration) {
    const { tag, atlases, last } = this, none = new Float32Array(0), ended = iteration === last.iteration;
    const atlas = atlases.filter((/** @type {any} */ { atlasAt }) => atlasAt <= iteration).at(-1) ?? atlases[0];
    const before = { z: none, fakeLogits: none, realLogits: none, verdict: null };
    const { z, fakeLogits, realLogits, verdict } = ended ? last : before;
    const fake = samplesAt(atlas.image, ended ? z : USUAL);
    return { run: tag, iteration, z, fakeLogits, realLogits, real: none, fake, verdict, ...atlas };
  }
}
