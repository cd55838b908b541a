// The prediction comes first. A guess belongs to the run that begins next, and to no other.

import { h, named } from "./dom.js";
import { button } from "./controls.js";
import { compare, median, parseGuesses, whole } from "./text.js";

export class Guess {
  /** @param {() => void} done   a guess was made, or declined */
  constructor(done) {
    this.asked = false;
    this.done = done;
    const title = "one guess, or a class's: 33, 500, 12,600";
    this.input = h("textarea", { rows: 1, spellcheck: "false", placeholder: "e.g. 500", title, oninput: () => this.read() });
    this.input.addEventListener("keydown", event => {
      if (event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      if (!this.asked) this.answer();
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
export function inWords(guesses) {
  if (guesses.length > 1) return `${guesses.length} guesses, median ${whole(median(guesses))}`;
  return guesses.length ? whole(guesses[0]) : "none";
}

/** How far off the guesses were. @param {number[]} guesses @param {number} truth */
export function score(guesses, truth) {
  if (!guesses.length) return "";
  const far = guess => Math.abs(Math.log(guess / truth));
  const words = compare(guesses.reduce((a, b) => (far(b) < far(a) ? b : a)), truth);
  return guesses.length === 1 ? `Guess: ${words}.` : `${inWords(guesses)}; nearest ${words.replace("you ", "")}.`;
}

/** The recorded lives of runs like this one.
 * @param {import("./types.js").Lab|null} lab @param {import("./types.js").Run} run */
export function livesLike(lab, run) {
  const same = settings => Object.entries(settings).every(([name, value]) => run.settings[name] === value);
  return lab?.lives.find(({ lr, settings }) => Math.abs(lr / run.lr - 1) < 1e-6 && same(settings))?.iterations ?? [];
}
