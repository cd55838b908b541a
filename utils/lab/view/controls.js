// Elements, and the controls of a run: rate, fields, speed, buttons, recorded runs. They begin nothing by themselves: what they
// say goes along with the next press, so that a changed menu or a wheel over a box never costs a run.

import { rateText, whole } from "./text.js";

/** An element; a key `on...` is a listener, all else an attribute (true: present, false: absent). Words are never HTML.
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
export const named = (words, control) => h("label", { class: "named" }, h("span", {}, words), control);
/** A button; where it has no effect it is marked, by allow(), and not disabled: it would lose the focus. */
export const button = (name, title, press) => h("button", {
  type: "button", title, onclick: ({ currentTarget }) => currentTarget.ariaDisabled !== "true" && press() }, name);
export const allow = (element, effect) => element.setAttribute("aria-disabled", String(!effect));

/** @type {Object<string, "slow"|"normal"|"fast">} */
const SPEEDS = { "slow motion": "slow", normal: "normal", "flat out": "fast" };
/** Name, what it does, states of the run in which it has an effect, its command. @type {[string, string, string[], any][]} */
const BUTTONS = [
  ["Start", "train, and draw while training", ["ready", "paused", "ended"], { type: "start" }],
  ["Pause", "stop after the next iteration", ["running"], { type: "pause" }],
  ["One iteration", "both networks, once", ["ready", "paused"], { type: "one", only: null }],
  ["Only D", "one update of the discriminator alone", ["ready", "paused"], { type: "one", only: "d" }],
  ["Only G", "one update of the generator alone", ["ready", "paused"], { type: "one", only: "g" }],
  ["Reset", "what the controls say, from the beginning", ["ready", "running", "paused", "ended"], { type: "reset" }],
];

const options = names => names.map(name => h("option", { value: name }, name));
const menu = (label, names, attributes = {}) => h("select", { "aria-label": label, ...attributes }, ...options(names));

/** The box of a number. What it may not hold is kept as the input's own validity, in a sentence. */
function box({ label, kind, min = 0, max = 1e9 }) {
  const wanted = kind === "rate" ? "a number from 1e-6 to 1e-1" : `a whole number from ${whole(min)} to ${whole(max)}`;
  const input = h("input", { inputmode: "decimal", autocomplete: "off", "aria-label": label, oninput: () => {
    const text = input.value.trim(), v = Number(text), good = text && v >= min && v <= max && (kind === "rate" || v % 1 === 0);
    input.setCustomValidity(good ? "" : `${label} must be ${wanted}, not "${text.slice(0, 40)}".`);
  } });
  return input;
}

export class Controls {
  /** @param {import("./types.js").Lab} lab @param {import("./view.js").View} view */
  constructor({ lr, fields, recorded }, view) {
    this.fields = fields.map(field => {
      const { label, kind, value, options: all = [] } = field;
      return { ...field, input: kind === "whole" ? box(field) : menu(label, [...new Set([...all, String(value)])]) };
    });
    this.follow(Object.fromEntries(fields.map(({ name, value }) => [name, value])));
    this.rate = box({ label: "Learning rate", kind: "rate", min: 1e-6, max: 1e-1 });
    this.slider = h("input", { type: "range", min: -6, max: -1, step: 0.01, "aria-label": "Learning rate, slider" });
    this.turn(lr);
    const paced = () => view.send({ type: "speed", speed: this.speed });
    this.speedMenu = menu("Speed", Object.keys(SPEEDS), { onchange: paced });
    this.speedMenu.value = "normal";
    this.buttons = BUTTONS.map(([name, tip, , command]) => button(name, tip, () => view.press(command)));
    const numbers = ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"].map(text => h("span", {}, text));
    const decades = h("span", { class: "decades", "aria-hidden": "true" }, ...numbers);
    const slide = h("span", { class: "slide" }, this.slider, decades), name = h("span", { class: "name" }, "Learning rate");
    const turned = ({ target }) => { // the slider follows the box, and writes into it only when it is dragged
      this.turn(target === this.slider ? Number((10 ** Number(target.value)).toPrecision(2)) : null);
      view.rate(Number(this.rate.value));
    };
    const rate = h("div", { class: "rate live", oninput: turned }, name, slide, this.rate);
    const keys = h("div", { class: "keys live", role: "group", "aria-label": "Training" }, ...this.buttons);
    this.bar = h("div", { class: "bar" }, keys);
    this.elements = [h("div", { class: "top" }, rate, named("Speed", this.speedMenu)),
      h("div", { class: "fields live" }, ...this.fields.map(({ label, input }) => named(label, input))),
      h("div", { class: "fields" }, ...(recorded.length ? this.records(recorded, view) : [])), this.bar];
  }

  /** The menus of recorded runs, and of their seeds. */
  records(recorded, view) {
    const found = () => recorded.find(({ label }) => label === run.value);
    const show = () => view.send(found() ? { type: "open", id: found().id, seed: Number(seed.value) } : { type: "live" });
    const run = menu("Show", ["live run", ...recorded.map(({ label }) => label)], { onchange: () => {
      seed.replaceChildren(...options(Array.from({ length: found()?.seeds ?? 0 }, (_, k) => String(k))));
      seeds.hidden = !found();
      show();
    } });
    const seed = menu("Recorded seed", [], { onchange: show }), seeds = named("Recorded seed", seed);
    seeds.hidden = true;
    return [named("Show", run), seeds];
  }

  /** The slider shows the rate of the box, or both show another one. */
  turn(lr) {
    if (lr) this.fill(this.rate, rateText(lr));
    this.slider.value = String(Math.log10(Number(this.rate.value)));
    this.slider.setAttribute("aria-valuetext", this.rate.value);
  }

  fill(input, value) {
    input.value = String(value);
    input.setCustomValidity("");
  }

  get speed() { return SPEEDS[this.speedMenu.value]; }
  /** The first box that cannot be read. @returns {HTMLInputElement|undefined} */
  get wrong() { return [this.rate, ...this.fields.map(({ input }) => input)].find(input => !input.validity.valid); }

  get settings() {
    const value = ({ kind, input }) => (kind === "whole" ? Number(input.value) : input.value);
    return Object.fromEntries(this.fields.map(field => [field.name, value(field)]));
  }

  /** What differs from a run's settings: "Seed 5". @param {import("./types.js").Run} run */
  differing(run) {
    const { settings } = this, changed = this.fields.filter(({ name }) => run.settings[name] !== settings[name]);
    return run.recorded ? [] : changed.map(({ label, name }) => `${label} ${settings[name]}`);
  }

  /** Show these settings. @param {import("./types.js").Settings} settings */
  follow(settings) {
    for (const { name, input } of this.fields) if (name in settings) this.fill(input, settings[name]);
  }

  /** Mark the buttons that have no effect in this state of the run. */
  enable(state) { this.buttons.forEach((element, k) => allow(element, BUTTONS[k][2].includes(state))); }
}
