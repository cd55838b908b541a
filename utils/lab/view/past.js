// Back through the iterations: the bar below the picture, for the last ones of a live run and for all of a recorded one.

import { allow, button, h, named } from "./controls.js";
import { clamp, whole } from "./text.js";

const PACE = { slow: 400, normal: 120, fast: 40 }, LAST = 40; // milliseconds a step when played; iterations when zoomed

export class Past {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.pictures = new Map(); // of iterations
    this.playing = /** @type {any} */ (undefined);
    this.stops = /** @type {number[]} */ ([]); // the iterations that can be shown
    this.position = this.asked = /** @type {number|null} */ (null); // shown (null: the latest), asked for (one question at a time)
    this.span = 16; // iterations on the axis
    const drag = () => { this.stop(); this.go(Number(this.slider.value)); };
    this.slider = h("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Iteration shown", oninput: drag });
    this.where = h("span", { class: "where" });
    this.play = button("Play", "step through the iterations, slowly", () => (this.playing ? this.stop() : this.start()));
    this.zoom = h("input", { type: "checkbox", onchange: () => view.request() });
    const tip = "the weights before this iteration once more, with the rate and the loss that the controls show";
    this.fork = button("Fork here", tip, () => view.fork(this.position ?? this.stops[this.stops.length - 1]));
    this.element = h("fieldset", { class: "past", "aria-label": "Back through the iterations" },
      this.play, this.slider, this.where, named(`last ${LAST} only`, this.zoom, "tick"), this.fork);
  }

  /** Another run comes on show. @param {boolean} recorded */
  forget(recorded) {
    this.stop();
    Object.assign(this, { stops: [], position: null, asked: null, span: 16 });
    this.pictures.clear();
    this.zoom.checked = !recorded;
  }

  /** The engine's answer; it may be the nearest iteration that it has. @param {import("./types.js").Picture} picture */
  answer(picture) {
    this.pictures.set(picture.iteration, picture);
    if (this.asked === this.position) this.position = picture.iteration;
    this.asked = null;
    this.want();
  }

  /** Ask for the picture of this position, unless it is here. */
  want() {
    if (this.position !== null && this.asked === null && !this.pictures.has(this.position))
      this.view.scrub(this.asked = this.position);
    this.view.request();
  }

  /** Show stop k. */
  go(k) {
    if (!this.stops.length || !this.view.mayLook()) return;
    this.position = this.stops[clamp(k, 0, this.stops.length - 1)];
    this.want();
  }

  /** The stop at or after the position; the last one for the latest. */
  get at() {
    const k = this.stops.findIndex(stop => stop >= (this.position ?? Infinity));
    return k < 0 ? this.stops.length - 1 : k;
  }

  start() {
    if (this.stops.length < 2 || !this.view.mayLook()) return;
    this.go(this.at === this.stops.length - 1 ? 0 : this.at);
    this.playing = setInterval(() => {
      if (this.at >= this.stops.length - 1) this.stop();
      else if (this.asked === null) this.go(this.at + 1);
    }, PACE[this.view.controls?.speed ?? "normal"]);
    this.play.textContent = "Stop";
  }

  stop() {
    clearInterval(this.playing);
    this.playing = undefined;
    this.play.textContent = "Play";
  }

  /** The iterations on the axis: all, in steps, so that it stands still; or the last ones. @returns {[number, number]} */
  window(run, frame, end) {
    const last = (run.recorded ? null : frame.rewind?.[0]) ?? end - LAST;
    if (this.zoom.checked && this.position !== null) return [Math.max(last, 1) - 0.5, end + 1];
    if (run.recorded) return [1, Math.max(end * 1.03, 4)];
    const start = run.forkedAt ? Math.max(run.forkedAt - LAST, 0) : 0;
    while (start + 0.96 * this.span < end) this.span *= 1.5;
    return [start + (this.span < 100 ? 0.5 : 0), start + this.span];
  }

  /** @param {string} of   " of 4,844", or nothing where that would tell the end */
  draw(of, latest, canFork) {
    const few = this.stops.length < 2, words = `iteration ${whole(this.position ?? latest)}`;
    Object.assign(this.slider, { max: Math.max(this.stops.length - 1, 0), value: Math.max(this.at, 0), disabled: few });
    this.slider.setAttribute("aria-valuetext", words);
    this.where.textContent = words + of;
    allow(this.play, !few);
    allow(this.fork, canFork);
  }
}
