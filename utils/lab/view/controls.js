// The controls of a run: rate, fields, speed, buttons, recorded runs. They begin nothing by themselves: what they say goes
// along with the next press, so that a changed menu or a wheel over a box never costs a run.

import { h, menu, rateControl, wholeControl } from "./dom.js";

/** @typedef {import("./types.js").Lab} Lab */
/** @typedef {import("./types.js").Run} Run */
/** @typedef {"slow"|"normal"|"fast"} Speed */
/** @typedef {{press: (name: string) => void, rate: (lr: number) => void, speed: (speed: Speed) => void, changed: () => void,
 *   show: (id: string|null, seed: number) => void}} Hooks */

/** @type {Object<string, Speed>} */
const SPEEDS = { "slow motion": "slow", normal: "normal", "flat out": "fast" };
const BUTTONS = {
  Start: "train, and draw while training", Pause: "stop after the next iteration", "One iteration": "both networks, once",
  "Only D": "one update of the discriminator alone", "Only G": "one update of the generator alone",
  Reset: "what the controls say, from the beginning",
};

/** A button that keeps the focus when it has no effect: it is marked, not disabled.
 * @param {string} name @param {string} tip @param {() => void} act */
export function button(name, tip, act) {
  const element = h("button", { type: "button", title: tip }, name);
  element.addEventListener("click", () => element.getAttribute("aria-disabled") !== "true" && act());
  return element;
}

export class Controls {
  /** @param {Lab} lab @param {Hooks} hooks @param {Node} panels   the menu of panels, shown in the same row */
  constructor(lab, hooks, panels) {
    this.lab = lab;
    this.rate = rateControl(lab.lr, hooks.changed, hooks.rate);
    this.fields = lab.fields.map(({ name, label, ...field }) => {
      if (field.kind === "whole") {
        const { element, control } = wholeControl({ name, label, ...field }, hooks.changed, hooks.changed);
        return { name, label, element, get: () => control.value, set: v => control.set(Number(v)), box: control };
      }
      const { element, select } = menu(label, field.options ?? [], String(field.value), hooks.changed);
      return { name, label, element, get: () => select.value, set: v => { select.value = v; } };
    });
    this.speedMenu = menu("Speed", Object.keys(SPEEDS), "normal", () => hooks.speed(this.speed));
    this.buttons = Object.entries(BUTTONS).map(([name, tip]) => button(name, tip, () => hooks.press(name)));
    this.keys = h("div", { class: "keys", role: "group", "aria-label": "Training" }, ...this.buttons);
    const live = lab.live ? this.fields.map(field => field.element) : [];
    this.bar = h("div", { class: "bar" }, ...(lab.live ? [this.keys] : []));
    this.elements = [h("div", { class: "top" }, ...(lab.live ? [this.rate.element] : []), this.speedMenu.element, panels),
      h("div", { class: "fields" }, ...live, ...this.records(hooks)), this.bar];
  }

  get speed() { return SPEEDS[this.speedMenu.select.value]; }
  get start() { return this.buttons[0]; }
  /** The first sentence about a box that cannot be read. */
  get wrong() { return this.boxes.find(box => box.wrong)?.wrong ?? ""; }
  get boxes() { return [this.rate.rate, ...this.fields.flatMap(field => field.box ?? [])]; }

  /** @returns {import("./types.js").Choice} */
  choice() {
    const settings = Object.fromEntries(this.fields.map(field => [field.name, field.get()]));
    return { settings, lr: this.rate.rate.value, speed: this.speed };
  }

  /** The labels of what differs from a run's settings. @param {Run} run */
  differing(run) {
    const differs = field => String(run.settings[field.name]) !== String(field.get());
    return run.recorded ? [] : this.fields.filter(differs).map(field => field.label);
  }

  /** Show a run's settings. @param {Run} run */
  follow(run) {
    for (const field of this.fields) if (field.name in run.settings) field.set(run.settings[field.name]);
  }

  /** May a run begin? Otherwise the box that cannot be read gets the focus. */
  ready() {
    const bad = this.boxes.find(box => box.wrong);
    bad?.input.focus();
    return !bad;
  }

  /** Mark the buttons that have no effect now. @param {string} state @param {boolean} recorded */
  enable(state, recorded) {
    const running = state === "running", still = running || state === "ended" || state === "none";
    const off = [running || state === "none", !running, still, still, still, state === "none"];
    this.buttons.forEach((element, k) => element.setAttribute("aria-disabled", String(off[k])));
    for (const element of [this.keys, this.rate.element, ...this.fields.map(field => field.element)]) element.hidden = recorded;
  }

  /** The menus of recorded runs. @param {Hooks} hooks */
  records({ show }) {
    const { live, recorded } = this.lab, names = [...(live ? ["live run"] : []), ...recorded.map(record => record.label)];
    if (!recorded.length) return [];
    const chosen = () => recorded.find(record => record.label === run.select.value);
    const seeds = () => {
      const count = chosen()?.seeds ?? 0;
      seed.element.hidden = !count;
      seed.select.replaceChildren(...Array.from({ length: count }, (_, k) => h("option", {}, String(k))));
    };
    const run = menu("Show", names, names[0], () => { seeds(); show(chosen()?.id ?? null, 0); });
    const seed = menu("Recorded seed", [], "", value => show(chosen()?.id ?? null, Number(value)));
    seeds();
    return [run.element, seed.element];
  }
}
