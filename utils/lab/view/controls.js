// Elements, and the controls of a run: rate, fields, speed, buttons, recorded runs. They begin nothing by themselves: what they
// say goes along with the next press, so that a changed menu or a wheel over a box never costs a run.

import { rateText, whole } from "./text.js";

/** An element; a key `on...` is a listener, all else an attribute (true: present, false: absent). Words become text, never HTML.
 * @param {string} tag @param {Object<string, any>} [attributes] @param {...(Node|string)} children @returns {any} */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}
/** A control with its visible name. */
export const named = (words, control, kind = "") => h("label", { class: `named ${kind}` }, h("span", {}, words), control);
export const button = (name, title, onclick) => h("button", { type: "button", title, onclick }, name);
/** A button without effect is marked, not disabled: it would lose the focus. */
export const allow = (element, effect) => element.setAttribute("aria-disabled", String(!effect));

const SPEEDS = { "slow motion": "slow", normal: "normal", "flat out": "fast" };
/** Name, what it does, states of the run in which it has an effect, its command. @type {[string, string, string, any][]} */
const BUTTONS = [
  ["Start", "train, and draw while training", "ready paused ended", { type: "start" }],
  ["Pause", "stop after the next iteration", "running", { type: "pause" }],
  ["One iteration", "both networks, once", "ready paused", { type: "one", only: null }],
  ["Only D", "one update of the discriminator alone", "ready paused", { type: "one", only: "d" }],
  ["Only G", "one update of the generator alone", "ready paused", { type: "one", only: "g" }],
  ["Reset", "what the controls say, from the beginning", "ready running paused ended", { type: "reset" }],
];

/** A menu; a value outside the options is one option more. */
function menu(label, options, value, changed) {
  const input = h("select", { "aria-label": label, onchange: () => changed(input.value) });
  const fill = list => input.replaceChildren(...list.map(option => h("option", { value: option }, option)));
  const self = { element: named(label, input), input, fill, get value() { return input.value; }, set: next => { input.value = next; } };
  fill([...new Set([...options, value])]);
  self.set(value);
  return self;
}

/** A box for a number. What it may not hold is kept as the input's own validity, in a sentence. */
function box({ label, kind, value, min = 0, max = 1e9 }, changed) {
  const rate = kind === "rate", wanted = rate ? "a number from 1e-6 to 1e-1" : `a whole number from ${whole(min)} to ${whole(max)}`;
  const judge = () => {
    const text = input.value.trim(), good = text && self.value >= min && self.value <= max && (rate || self.value % 1 === 0);
    input.setCustomValidity(good ? "" : `${label} must be ${wanted}, not "${text.slice(0, 40)}".`);
  };
  const input = h("input", { inputmode: "decimal", autocomplete: "off", "aria-label": label, oninput: () => { judge(); changed(); } });
  const self = {
    element: named(label, input), input, get value() { return Number(input.value.replace(/(\d)[,'\u2019\u00a0\u202f](?=\d{3})/g, "$1")); },
    set(next) { input.value = rate ? rateText(next) : String(next); judge(); },
  };
  self.set(value);
  return self;
}

export class Controls {
  /** @param {import("./types.js").Lab} lab @param {import("./view.js").View} view */
  constructor(lab, view) {
    const { live, recorded } = lab, changed = () => view.request();
    this.rate = box({ label: "Learning rate", kind: "rate", value: lab.lr, min: 1e-6, max: 1e-1 }, () => {
      place(); // the slider follows the box, and writes into it only when it is dragged
      view.rate(this.rate.value);
    });
    const slider = h("input", { type: "range", min: -6, max: -1, step: 0.01, "aria-label": "Learning rate, slider", oninput: () => {
      this.rate.set(Number((10 ** Number(slider.value)).toPrecision(2)));
      slider.setAttribute("aria-valuetext", rateText(this.rate.value));
      view.rate(this.rate.value);
    } });
    const place = () => {
      slider.value = String(Math.log10(this.rate.value));
      slider.setAttribute("aria-valuetext", this.rate.input.value);
    };
    place();
    this.fields = lab.fields.map(field => ({ ...field, control: field.kind === "whole" ? box(field, changed)
      : menu(field.label, field.options ?? [], String(field.value), changed) }));
    this.speedMenu = menu("Speed", Object.keys(SPEEDS), "normal", () => view.send({ type: "speed", speed: this.speed }));
    this.buttons = BUTTONS.map(([name, tip, states, command]) => button(name, tip, () => this.on(states) && view.press(command)));
    const keys = h("div", { class: "keys", role: "group", "aria-label": "Training" }, ...this.buttons);
    const decades = ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"].map(text => h("span", {}, text));
    const slide = h("span", { class: "slide" }, slider, h("span", { class: "decades", "aria-hidden": "true" }, ...decades));
    const rate = h("div", { class: "rate" }, h("span", { class: "name" }, "Learning rate"), slide, this.rate.input);
    const fields = h("div", { class: "fields live" }, ...this.fields.map(field => field.control.element));
    this.bar = h("div", { class: "bar" }, live ? keys : "");
    this.live = live ? [rate, fields, keys] : []; // nothing for a recorded run
    const top = h("div", { class: "top" }, live ? rate : "", this.speedMenu.element);
    this.elements = [top, live ? fields : "", h("div", { class: "fields" }, ...this.records(recorded, live, view)), this.bar];
  }

  /** The menus of recorded runs, and of their seeds. */
  records(recorded, live, view) {
    if (!recorded.length) return [];
    const names = [...(live ? ["live run"] : []), ...recorded.map(({ label }) => label)], find = () => recorded.find(({ label }) => label === run.value);
    const show = () => view.send(find() ? { type: "open", id: find().id, seed: Number(seed.value) } : { type: "live" });
    const seeds = () => {
      seed.fill(Array.from({ length: find()?.seeds ?? 0 }, (_, k) => String(k)));
      seed.element.hidden = !find();
    };
    const run = menu("Show", names, names[0], () => { seeds(); show(); }), seed = menu("Recorded seed", [], "", show);
    seeds();
    return [run.element, seed.element];
  }

  /** @returns {"slow"|"normal"|"fast"} */
  get speed() { return SPEEDS[this.speedMenu.value]; }
  /** The first box that cannot be read. @returns {HTMLInputElement|undefined} */
  get wrong() { return [this.rate, ...this.fields.map(field => field.control)].find(({ input }) => !input.checkValidity())?.input; }

  /** @returns {import("./types.js").Choice} */
  choice() {
    const settings = Object.fromEntries(this.fields.map(({ name, control }) => [name, control.value]));
    return { settings, lr: this.rate.value, speed: this.speed };
  }

  /** The labels of what differs from a run's settings. @param {import("./types.js").Run} run */
  differing(run) {
    return run.recorded ? [] : this.fields.filter(({ name, control }) => run.settings[name] !== control.value).map(field => field.label);
  }

  /** Show a run's settings. @param {import("./types.js").Run} run */
  follow(run) {
    for (const { name, control } of this.fields) if (name in run.settings) control.set(/** @type {any} */ (run.settings[name]));
  }

  on(states) { return states.split(" ").includes(this.state); }

  /** Mark the buttons that have no effect now. */
  enable(state, recorded) {
    this.state = state;
    this.buttons.forEach((element, k) => allow(element, this.on(BUTTONS[k][2])));
    for (const element of this.live) element.hidden = recorded;
  }
}
