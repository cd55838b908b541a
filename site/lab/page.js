// The page: the view in front of a worker, and an address that carries the run.

import { rateText } from "../../utils/lab/view/text.js";
import { View } from "../../utils/lab/view/view.js";

/** @param {HTMLElement} root @param {{worker: string, wasm: string, lives: any[]}} parts   as site/lab/build.py packs them
 * @param {any} records   the recorded runs */
function startLab(root, { worker: code, wasm, lives }, records) {
  const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  const bytes = Uint8Array.from(atob(wasm), c => c.charCodeAt(0));
  worker.postMessage({ type: "boot", wasm: bytes, address: location.hash, lives, records });
  const view = new View(root, command => { worker.postMessage(command); writeAddress(command); });
  worker.onmessage = ({ data }) => view.receive(data);
  worker.onerror = ({ message }) => view.fail(`The engine stopped: ${message}. Load the page again.`);
  addEventListener("hashchange", () => location.reload()); // somebody typed another run into the address
}

/** Learning rate, seed and loss into the address, and what else is not as usual. @param {any} command */
function writeAddress({ lr, settings }) {
  if (lr === undefined) return;
  const address = new URLSearchParams(location.hash.slice(1));
  address.set("lr", rateText(lr));
  for (const [name, value] of Object.entries(settings ?? {})) address.set(name, String(value));
  for (const [name, usual] of [["batch", "64"], ["latent", "1"]]) if (address.get(name) === usual) address.delete(name);
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {
    // some frames have no address of their own
  }
}
