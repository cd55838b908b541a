// The controls of a run: rate, fields, speed, buttons, recorded runs. They begin nothing by themselves: what they say goes
// along with the next press, so that a changed menu or a wheel over a box never costs a run.

import { button, h, named } from "./dom.js";
import { rateText, whole } from "./text.js";

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

/** A menu; a value outside the options is one option more. `fill` replaces them. */
function menu(label, options, value, changed) {
  const input = h("select", { "aria-label": label, onchange: () => changed(input.value) });
  const fill = list => input.replaceChildren(...list.map(option => h("option", { value: option }, option)));
  fill(options.includes(value) || !options.length ? options : [...options, value]);
  input.value = value;
  const set = next => { input.value = next; };
  return { element: named(label, input), input, fill, wrong: "", set, get value() { return input.value; } };
}

/** A box that keeps its last good value. `read` returns null for what it may not hold; `wanted`: what it may, in words. */
function box(label, value, write, read, wanted, changed) {
  const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": label });
  const judge = sentence => {
    self.wrong = sentence;
    input.setAttribute("aria-invalid", String(sentence !== ""));
  };
  const self = { element: named(label, input), input, value, wrong: "", set: next => {
    self.value = next;
    input.value = write(next);
    judge("");
  } };
  self.set(value);
  input.addEventListener("input", () => {
    const text = input.value.trim(), next = read(text);
    judge(next === null ? `${label} must be ${wanted}, not "${text.slice(0, 40)}".` : "");
    self.value = next ?? self.value;
    changed(self.value);
  });
  return self;
}

/** A whole number of a Field. @param {import("./types.js").Field} field */
function wholeBox({ label, value, min = 0, max = 1e9 }, changed) {
  const read = text => {
    const number = Number(text.replace(/(\d)[,'\u2019\u00a0\u202f](?=\d{3})/g, "$1"));
    return text && Number.isInteger(number) && number >= min && number <= max ? number : null;
  };
  return box(label, Number(value), String, read, `a whole number from ${whole(min)} to ${whole(max)}`, changed);
}

/** The learning rate: a slider in decades and, beside it, a box that takes any rate. The slider never writes back by itself. */
function rateControl(lr, changed) {
  const slider = h("input", { type: "range", min: -6, max: -1, step: 0.01, "aria-label": "Learning rate, slider" });
  const follow = (value, place = Math.log10(value)) => {
    slider.value = String(place);
    slider.setAttribute("aria-valuetext", rateText(value));
  };
  const valid = text => /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) && Number(text) >= 1e-6 && Number(text) <= 1e-1;
  const act = place => { follow(rate.value, place); changed(rate.value); };
  const read = text => (valid(text) ? Number(text) : null);
  const rate = box("Learning rate", lr, rateText, read, "a number from 1e-6 to 1e-1", () => act());
  slider.addEventListener("input", () => {
    rate.set(Number((10 ** Number(slider.value)).toPrecision(2)));
    act(slider.value);
  });
  follow(lr);
  const decades = ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"].map(text => h("span", {}, text));
  const slide = h("span", { class: "slide" }, slider, h("span", { class: "decades", "aria-hidden": "true" }, ...decades));
  rate.element = h("div", { class: "rate" }, h("span", { class: "name" }, "Learning rate"), slide, rate.input);
  return rate;
}

export class Controls {
  /** @param {import("./types.js").Lab} lab @param {import("./view.js").View} view */
  constructor(lab, view) {
    const changed = () => view.request(), { live, recorded } = lab;
    this.rate = rateControl(lab.lr, lr => view.rate(lr));
    this.fields = lab.fields.map(field => ({ name: field.name, label: field.label, control: field.kind === "whole"
      ? wholeBox(field, changed) : menu(field.label, field.options ?? [], String(field.value), changed) }));
    this.speedMenu = menu("Speed", Object.keys(SPEEDS), "normal", () => view.send({ type: "speed", speed: this.speed }));
    this.buttons = BUTTONS.map(([name, tip, , command]) => button(name, tip, () => view.press(command)));
    const keys = h("div", { class: "keys", role: "group", "aria-label": "Training" }, ...this.buttons);
    this.live = [this.rate.element, ...this.fields.map(field => field.control.element), keys]; // nothing for a recorded run
    const [rate, ...fields] = live ? this.live.slice(0, -1) : [""];
    this.bar = h("div", { class: "bar" }, live ? keys : "");
    const names = [...(live ? ["live run"] : []), ...recorded.map(record => record.label)];
    const show = number => {
      const record = recorded.find(({ label }) => label === run.value);
      if (number === "") seed.fill(Array.from({ length: record?.seeds ?? 0 }, (_, k) => String(k)));
      seed.element.hidden = !record;
      return /** @type {any} */ (record ? { type: "open", id: record.id, seed: Number(number) } : { type: "live" });
    };
    const run = menu("Show", names, names[0], () => view.send(show("")));
    const seed = menu("Recorded seed", [], "", number => view.send(show(number)));
    show("");
    this.elements = [h("div", { class: "top" }, rate, this.speedMenu.element, view.figure.menu()),
      h("div", { class: "fields" }, ...fields, ...(recorded.length ? [run.element, seed.element] : [])), this.bar];
  }

  /** @returns {"slow"|"normal"|"fast"} */
  get speed() { return SPEEDS[this.speedMenu.value]; }
  /** The first box that cannot be read. */
  get wrong() { return [this.rate, ...this.fields.map(field => field.control)].find(control => control.wrong); }

  /** @returns {import("./types.js").Choice} */
  choice() {
    const settings = Object.fromEntries(this.fields.map(({ name, control }) => [name, control.value]));
    return { settings, lr: this.rate.value, speed: this.speed };
  }

  /** The labels of what differs from a run's settings. @param {import("./types.js").Run} run */
  differing(run) {
    const differs = ({ name, control }) => String(run.settings[name]) !== String(control.value);
    return run.recorded ? [] : this.fields.filter(differs).map(field => field.label);
  }

  /** Show a run's settings. @param {import("./types.js").Run} run */
  follow(run) {
    for (const { name, control } of this.fields) if (name in run.settings) control.set(/** @type {any} */ (run.settings[name]));
  }

  /** Mark the buttons that have no effect now. @param {string|undefined} state @param {boolean} recorded */
  enable(state, recorded) {
    this.buttons.forEach((element, k) => {
      element.setAttribute("aria-disabled", String(!state || !BUTTONS[k][2].includes(state)));
    });
    for (const element of this.live) element.hidden = recorded;
  }
}
