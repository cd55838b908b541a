// The prediction comes first. A guess belongs to the run that begins next, and to no other.

import { button, h, named } from "./controls.js";
import { median, parseGuesses, whole } from "./text.js";

/** @param {number[]} guesses */
export const inWords = guesses => (guesses.length > 1 ? `${guesses.length} guesses, median ${whole(median(guesses))}`
  : guesses.length ? whole(guesses[0]) : "none");

/** "you 100, it was 14: a factor of 7"; of many the nearest. @param {number[]} guesses @param {number} truth */
export function score(guesses, truth) {
  const factor = guess => Math.max(guess, truth) / Math.min(guess, truth);
  const nearest = guesses.reduce((a, b) => (factor(b) < factor(a) ? b : a), guesses[0]), f = factor(nearest);
  const off = f === 1 ? "exactly right" : `a factor of ${f < 3 ? Number(f.toFixed(1)) : whole(f)}`;
  const who = guesses.length > 1 ? `${inWords(guesses)}; nearest ${whole(nearest)}` : `Guess: you ${whole(nearest)}`;
  return guesses.length ? `${who}, it was ${whole(truth)}: ${off}.` : "";
}

export class Guess {
  /** @param {() => void} done   a guess was made, or declined */
  constructor(done) {
    this.asked = false;
    this.done = done;
    const enter = event => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      this.answer();
    };
    this.input = h("textarea", { rows: 1, spellcheck: "false", placeholder: "e.g. 500", oninput: () => this.read(), onkeydown: enter });
    this.heard = h("span", { class: "heard" }); // what was understood
    this.element = h("div", { class: "guess" }, named("I guess: NaN at iteration", this.input), this.heard);
    this.task = h("p");
    const question = h("strong", {}, "First your guess: at which iteration will a loss turn NaN?");
    const keep = button("Keep my guess", "", () => this.answer()), none = button("No guess", "", () => this.answer(true));
    const hint = h("p", {}, "A whole class's guesses can be pasted: 33, 500, 12,600.");
    const card = h("div", { class: "card" }, question, this.task, this.element, hint, h("p", {}, keep, none));
    this.gate = h("div", { class: "gate" }, card);
  }

  /** What the box says now. */
  read() {
    const { guesses, left } = parseGuesses(this.input.value);
    const words = left.length ? `not understood: ${left.slice(0, 3).join(" ").slice(0, 40)}` : "";
    this.heard.textContent = [guesses.length ? inWords(guesses) : "", words].filter(Boolean).join("; ");
    return guesses;
  }

  /** The guess for a run that begins now; the box is empty for the next one. */
  take() {
    const guesses = this.read();
    this.input.value = this.heard.textContent = "";
    return guesses;
  }

  /** The picture has waited for this. @returns {boolean} may it be seen? */
  answer(none = false) {
    if (this.asked) return true;
    if (none) this.take();
    this.asked = none || this.read().length > 0;
    if (this.asked) this.done();
    else this.heard.textContent = "Type an iteration, such as 500 or 1e4, or press No guess.";
    if (!this.asked) this.input.focus();
    return this.asked;
  }
}
