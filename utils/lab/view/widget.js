// The notebook's side of the view: anywidget hands over the kernel's messages and takes the commands back.

import { View } from "./view.js";

/** The message with the array `buffers[k]` (little-endian float32) under the name `message.arrays[k]`.
 * @param {any} message @param {DataView[]} buffers @returns {import("./types.js").FromEngine} */
const attach = (message, buffers) => message.arrays.reduce((full, name, k) => {
  const { buffer, byteOffset, byteLength } = buffers[k]; // copied, because a Float32Array must start at a multiple of 4
  return { ...full, [name]: new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength)) };
}, message);

const GONE = "The kernel that this lab belongs to has gone: run its cell again.";

export default {
  /** @param {{model: any, el: HTMLElement}} context */
  render({ model, el }) {
    const send = command => {
      try {
        model.send(command);
      } catch {
        queueMicrotask(() => view.fail(GONE)); // the first command is sent while the view is made
      }
    };
    const view = new View(el, send), hear = (message, buffers) => view.receive(attach(message, buffers));
    const ask = () => send({ type: "ack", run: 0, iteration: -1 }); // does anybody hear?
    model.on("msg:custom", hear);
    model.on("comm_live_update", ask);
    return () => {
      model.off("msg:custom", hear);
      model.off("comm_live_update", ask);
      view.destroy();
    };
  },
};
