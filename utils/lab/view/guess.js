// The prediction comes first. A guess belongs to the run that begins next, and to no other.

import { button, h, named } from "./dom.js";
import { parseGuesses } from "./text.js";
import { inWords } from "./words.js";

export class Guess {
  /** @param {() => void} done   a guess was made, or declined */
  constructor(done) {
    this.asked = false;
    this.done = done;
    this.input = h("textarea", {
      rows: 1, spellcheck: "false", placeholder: "e.g. 500", title: "one guess, or a class's: 33, 500, 12,600",
      oninput: () => this.read(), onkeydown: event => {
        if (event.key !== "Enter" || event.shiftKey) return;
        event.preventDefault();
        this.answer();
      },
    });
    this.heard = h("span", { class: "heard" });
    this.element = h("div", { class: "guess" }, named("I guess: NaN at iteration", this.input), this.heard);
    this.task = h("p");
    const question = h("strong", {}, "First your guess: at which iteration will a loss turn NaN?");
    const keep = button("Keep my guess", "", () => this.answer()), none = button("No guess", "", () => this.answer(true));
    const hint = h("p", {}, "A whole class's guesses can be pasted: 33, 500, 12,600.");
    const card = h("div", { class: "card" }, question, this.task, this.element, hint, h("p", {}, keep, none));
    this.gate = h("div", { class: "gate" }, card);
  }

  /** What the box says now; it is echoed beside the box. */
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
    else if (!this.read().length) {
      this.heard.textContent = "Type an iteration, such as 500 or 1e4, or press No guess.";
      this.input.focus();
      return false;
    }
    this.asked = true;
    this.gate.remove();
    this.done();
    return true;
  }
}
