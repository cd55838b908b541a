// The notebook's side of the view: anywidget hands over the kernel's messages and takes the commands back.

import { View } from "./view.js";

/** The message with the array `buffers[k]` (little-endian float32) under the name `message.arrays[k]`.
 * @param {any} message @param {DataView[]} buffers @returns {import("./types.js").FromEngine} */
const attach = (message, buffers) => message.arrays.reduce((full, name, k) => {
  const { buffer, byteOffset, byteLength } = buffers[k]; // copied, because a Float32Array must start at a multiple of 4
  return { ...full, [name]: new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength)) };
}, message);

export default {
  /** @param {{model: any, el: HTMLElement}} context */
  render({ model, el }) {
    const view = new View(el, command => model.send(command));
    const hear = (message, buffers) => view.receive(attach(message, buffers));
    model.on("msg:custom", hear);
    return () => {
      model.off("msg:custom", hear);
      view.destroy();
    };
  },
};
