// The page: the view in front of a worker, and an address that carries the run.

import { rateText } from "../../utils/lab/view/text.js";
import { View } from "../../utils/lab/view/view.js";

/** @param {HTMLElement} root @param {{worker: string, wasm: string, lives: any[]}} parts   as site/lab/build.py packs them
 * @param {any} records   the recorded runs */
function startLab(root, { worker: code, wasm, lives }, records) {
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const bytes = Uint8Array.from(atob(wasm), c => c.charCodeAt(0));
  worker.postMessage({ type: "boot", wasm: bytes, address: location.hash, lives, records });
  const view = new View(root, command => worker.postMessage(command));
  worker.onmessage = ({ data }) => {
    view.receive(data);
    if (data.type === "run" || data.iteration === 0) writeAddress(view.run); // later it says the same
  };
  worker.onerror = ({ message }) => view.fail(`The engine stopped: ${message}. Load the page again.`);
  addEventListener("hashchange", () => location.reload()); // somebody typed another run into the address
}

/** How a run begins into the address: learning rate, seed, loss, and what else is not as usual. Of a fork: how its parent does.
 * @param {import("../../utils/lab/view/types.js").Run} run */
function writeAddress({ lr, settings, parent, recorded }) {
  const address = new URLSearchParams({ lr: rateText(lr), seed: String(settings.seed), loss: String(settings.loss) });
  for (const [name, usual] of [["batch", 64], ["latent", 1]]) if (settings[name] !== usual) address.set(name, String(settings[name]));
  if (recorded || parent !== null || location.hash === `#${address}`) return;
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {
    // some frames have no address of their own
  }
}
