// The notebook's side of the view: anywidget hands over the kernel's messages and takes the commands back.

import { createView } from "./view.js";
import { attach } from "./wire.js";

export default {
  /** @param {{model: any, el: HTMLElement}} context */
  render({ model, el }) {
    const view = createView(el, { send: command => model.send(command) });
    const hear = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => view.receive(attach(message, buffers));
    model.on("msg:custom", hear);
    return () => {
      model.off("msg:custom", hear);
      view.destroy();
    };
  },
};
