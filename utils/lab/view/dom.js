// Elements and controls. Words only ever become text nodes, never HTML.

import { rateText, whole } from "./text.js";

/** An element; a key `on...` is a listener, all else an attribute (true: present, false or null: absent).
 * @param {string} tag @param {Object<string, any>} [attributes] @param {...(Node|string)} children @returns {any} */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** A control with its visible name. @param {string} words @param {Node} control @param {string} [kind] */
export const named = (words, control, kind = "") => h("label", { class: `named ${kind}` }, h("span", {}, words), control);

/** A menu. @param {string} words @param {string[]} options @param {string} value @param {(value: string) => void} changed */
export function menu(words, options, value, changed) {
  const known = options.includes(value) || !options.length ? options : [...options, value];
  const choices = known.map(option => h("option", { value: option }, option));
  const select = h("select", { "aria-label": words, onchange: () => changed(select.value) }, ...choices);
  select.value = value;
  return { element: named(words, select), select };
}

/** A box that keeps its last good value; what is wrong with another goes to `complain`, "" when it is mended.
 * @template T @param {string} words @param {T} value @param {(value: T) => string} write @param {(text: string) => T|null} read
 * @param {string} wanted   what is allowed, for the sentence
 * @param {(sentence: string) => void} complain @param {(value: T) => void} changed */
export function box(words, value, write, read, wanted, complain, changed) {
  const input = h("input", { type: "text", inputmode: "decimal", autocomplete: "off", "aria-label": words });
  const self = {
    input, value, wrong: "",
    set(next) {
      self.value = next;
      input.value = write(next);
      self.judge("");
    },
    judge(sentence) {
      self.wrong = sentence;
      input.setAttribute("aria-invalid", String(Boolean(sentence)));
      complain(sentence);
    },
  };
  self.set(value);
  input.addEventListener("input", () => {
    const next = read(input.value.trim());
    if (next === null) return self.judge(`${words} must be ${wanted}, not "${input.value.trim().slice(0, 40)}".`);
    self.judge("");
    self.value = next;
    changed(next);
  });
  return self;
}

/** The learning rate: a slider in decades and, beside it, a box that takes any rate. The slider never writes back by itself.
 * @param {number} lr @param {(sentence: string) => void} complain @param {(lr: number) => void} changed */
export function rateControl(lr, complain, changed) {
  const slider = h("input", { type: "range", min: -6, max: -1, step: 0.01, "aria-label": "Learning rate, slider" });
  const follow = value => {
    slider.value = String(Math.log10(value));
    slider.setAttribute("aria-valuetext", rateText(value));
  };
  const number = /^(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
  const read = text => (number.test(text) && Number(text) >= 1e-6 && Number(text) <= 1e-1 ? Number(text) : null);
  const rate = box("Learning rate", lr, rateText, read, "a number from 1e-6 to 1e-1", complain, value => {
    follow(value);
    changed(value);
  });
  slider.addEventListener("input", () => {
    rate.set(Number((10 ** Number(slider.value)).toPrecision(2)));
    slider.setAttribute("aria-valuetext", rateText(rate.value));
    changed(rate.value);
  });
  follow(lr);
  const decades = ["1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1"].map(text => h("span", {}, text));
  const slide = h("span", { class: "slide" }, slider, h("span", { class: "decades", "aria-hidden": "true" }, ...decades));
  return { element: h("div", { class: "rate" }, h("span", { class: "name" }, "Learning rate"), slide, rate.input), rate };
}

/** A whole number of a Field; arrow keys step it.
 * @param {import("./types.js").Field} field @param {(sentence: string) => void} complain @param {() => void} changed */
export function wholeControl(field, complain, changed) {
  const { label, min = 0, max = 1e9 } = field;
  const read = text => {
    const number = Number(text.replace(/(\d)[,'\u2019\u00a0\u202f](?=\d{3})/g, "$1"));
    return text && Number.isInteger(number) && number >= min && number <= max ? number : null;
  };
  const wanted = `a whole number from ${whole(min)} to ${whole(max)}`;
  const control = box(label, Number(field.value), String, read, wanted, complain, changed);
  control.input.addEventListener("keydown", event => {
    const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    control.set(Math.min(Math.max(control.value + step, min), max));
    changed();
  });
  return { element: named(label, control.input), control };
}
