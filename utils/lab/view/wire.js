// From the kernel's message and its binary buffers to a message with Float32Arrays.

/** @typedef {import("./types.js").FromEngine} FromEngine */

/** The message with the array `buffers[k]` (little-endian float32) under the name `message.arrays[k]`.
 * @param {any} message @param {DataView[]} buffers @returns {FromEngine} */
export function attach(message, buffers) {
  const full = { ...message };
  (message.arrays ?? []).forEach((/** @type {string} */ name, /** @type {number} */ k) => {
    const { buffer, byteOffset, byteLength } = buffers[k];
    // a copy, because a Float32Array must start at a multiple of 4
    full[name] = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));
  });
  return full;
}
