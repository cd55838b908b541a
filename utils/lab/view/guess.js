// The prediction comes first. A guess belongs to the run that begins next, and to no other.

import { button, h, named } from "./controls.js";
import { guessesText, parseGuesses } from "./text.js";

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
    this.input = h("textarea", { rows: 1, spellcheck: "false", placeholder: "e.g. 500", oninput: () => this.read() });
    this.heard = h("span", { class: "heard" }); // what was understood
    this.element = h("div", { class: "guess", onkeydown: enter }, named("I guess: NaN at iteration", this.input), this.heard);
    this.task = h("p");
    const keep = button("Keep my guess", "", () => this.answer()), none = button("No guess", "", () => this.answer(true));
    this.gate = h("div", { class: "gate" }, h("div", { class: "card" },
      h("strong", {}, "First your guess: at which iteration will a loss turn NaN?"), this.task, this.element,
      h("p", {}, "A whole class's guesses can be pasted: 33, 500, 12,600."), h("p", {}, keep, none)));
  }

  /** What the box says now. */
  read() {
    const { guesses, left } = parseGuesses(this.input.value);
    const words = left.length ? `not understood: ${left.slice(0, 3).join(" ").slice(0, 40)}` : "";
    this.heard.textContent = [guesses.length ? guessesText(guesses) : "", words].filter(Boolean).join("; ");
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
