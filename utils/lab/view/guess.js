// The prediction comes first. A guess belongs to the run that begins next, and to no other.

import { h, named } from "./dom.js";
import { button } from "./controls.js";
import { compare, median, parseGuesses, whole } from "./text.js";

export class Guess {
  /** @param {() => void} done   a guess was made, or declined */
  constructor(done) {
    this.asked = false;
    this.done = done;
    this.input = h("textarea", { rows: 1, spellcheck: "false", placeholder: "e.g. 500", title: "one guess, or a class's: 33, 500, 12,600", oninput: () => this.read(),
      onkeydown: (/** @type {KeyboardEvent} */ e) => { if (e.key === "Enter" && !e.shiftKey) { e.preventDefault(); if (!this.asked) this.answer(); } } });
    this.heard = h("span", { class: "heard" });
    this.element = h("div", { class: "guess" }, named("I guess: NaN at iteration", this.input), this.heard);
    this.task = h("p");
    this.gate = h("div", { class: "gate" }, h("div", { class: "card" }, h("strong", {}, "First your guess: at which iteration will a loss turn NaN?"),
      this.task, this.element, h("p", {}, "A whole class's guesses can be pasted: 33, 500, 12,600."), h("p", {}, button("Keep my guess", "", () => this.answer()), button("No guess", "", () => this.answer(true)))));
  }

  /** What the box says now; it is echoed beside the box. */
  read() {
    const { guesses, left } = parseGuesses(this.input.value), words = left.length ? `not understood: ${left.slice(0, 3).join(" ").slice(0, 40)}` : "";
    this.heard.textContent = [guesses.length ? inWords(guesses) : "", words].filter(Boolean).join("; ");
    return guesses;
  }

  /** The guess for a run that begins now; the box is empty for the next one. */
  take() {
    const guesses = this.read();
    this.input.value = this.heard.textContent = "";
    return guesses;
  }

  /** The picture has waited for this. @param {boolean} [none] */
  answer(none = false) {
    if (none) this.take();
    else if (!this.read().length) {
      this.heard.textContent = "Type an iteration, such as 500 or 1e4, or press No guess.";
      return this.input.focus();
    }
    this.asked = true;
    this.gate.remove();
    this.done();
  }
}

/** @param {number[]} guesses */
export const inWords = guesses => guesses.length > 1 ? `${guesses.length} guesses, median ${whole(median(guesses))}` : guesses.length ? whole(guesses[0]) : "none";

/** How far off the guesses were. @param {number[]} guesses @param {number} truth */
export function score(guesses, truth) {
  if (!guesses.length) return "";
  const nearest = guesses.reduce((a, b) => (Math.abs(Math.log(b / truth)) < Math.abs(Math.log(a / truth)) ? b : a)), words = compare(nearest, truth);
  return guesses.length === 1 ? `Guess: ${words}.` : `${inWords(guesses)}; nearest ${words.replace("you ", "")}.`;
}
