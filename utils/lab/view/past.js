// Back through the iterations: the bar below the picture, for the last ones of a live run and for all of a recorded one.

import { allow, button, h } from "./controls.js";
import { clamp, whole } from "./text.js";

const PACE = { slow: 400, normal: 120, fast: 40 }, LAST = 40, LATE = 300; // milliseconds a step when played; iterations when zoomed; milliseconds

export class Past {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    const drag = () => { this.stop(); this.go(Number(this.slider.value)); };
    this.slider = h("input", { type: "range", min: 0, max: 0, step: 1, "aria-label": "Iteration shown", oninput: drag });
    this.where = h("span", { class: "where" });
    this.play = button("Play", "step through the iterations, slowly", () => (this.playing ? this.stop() : this.start()));
    const tip = "the weights before this iteration once more, with the rate and the loss that the controls show";
    this.fork = button("Fork here", tip, () => view.fork(this.position ?? this.stops.at(-1)));
    const name = { class: "past", "aria-label": "Back through the iterations" };
    this.element = h("fieldset", name, this.play, this.slider, this.where, this.fork);
    for (const one of [this.play, this.fork]) allow(one, false);
    this.forget();
  }

  /** Another run comes on show. */
  forget() {
    this.stop();
    this.stops = []; // the iterations that can be shown
    this.position = this.asked = null; // shown (null: the latest), asked for (one question at a time)
    this.picture = null; // of the position, or of the one before until that is here
  }

  /** A frame is here. @param {import("./types.js").Frame} frame @param {import("./types.js").Run} run */
  take(frame, run) {
    const [from, to] = frame.rewind ?? [1, 0];
    this.stops = run.stops ? [...run.stops] : Array.from({ length: to - from + 1 }, (_, k) => from + k);
    if (run.recorded) this.position ??= this.stops[0] ?? 1;
    else if (frame.state === "running") this.position = null;
    this.picture ??= frame;
    this.want();
  }

  /** The engine's answer; it may be the nearest iteration that it has. @param {import("./types.js").Picture} picture */
  answer(picture) {
    this.picture = picture;
    if (this.asked === this.position) this.position = picture.iteration;
    this.asked = null;
    this.want();
  }

  /** Ask for the picture of this position, unless it is here. */
  want() {
    const { position, view: { frame, run } } = this;
    if (position === null || position === frame.iteration) this.picture = frame;
    else if (this.asked === null && position !== this.picture.iteration) {
      this.asked = position;
      this.askedAt = performance.now();
      this.view.send({ type: "scrub", run: run.run, iteration: position });
    }
    this.view.request();
  }

  /** Leave the past. */
  latest() { this.stop(); this.position = null; this.want(); }

  /** Show stop k. */
  go(k) {
    if (!this.stops.length || !this.view.mayLook()) return;
    this.position = this.stops[clamp(k, 0, this.stops.length - 1)];
    this.want();
  }

  /** The stop at or after the position; the last one for the latest. */
  get at() {
    return Math.min(this.stops.filter(stop => stop < (this.position ?? Infinity)).length, this.stops.length - 1);
  }

  start() {
    if (!this.view.mayLook()) return;
    this.go(this.at === this.stops.length - 1 ? 0 : this.at);
    this.playing = setInterval(() => {
      if (this.at >= this.stops.length - 1) this.stop();
      else if (this.asked === null) this.go(this.at + 1);
    }, PACE[this.view.controls.speed]);
    this.play.textContent = "Stop";
  }

  stop() {
    clearInterval(this.playing);
    this.playing = undefined;
    this.play.textContent = "Play";
  }

  /** The iterations on the axis: the last ones if one of them is shown; else all, in steps, so that it stands still. */
  window(run, end) {
    const start = run.forkedAt ? Math.max(run.forkedAt - LAST, 0) : 0, last = end - LAST;
    if (last > start && this.position > last) return [last + 0.5, end + 1];
    const far = run.recorded ? this.position : Math.max(end, run.forkedAt ?? 0); // a record does not tell its end before
    let span = 16;
    while (start + 0.96 * span < far) span *= 1.5;
    return [start + (span < 100 ? 0.5 : 0), start + span];
  }

  /** @param {string} of   " of 4,844", or nothing where that would tell the end */
  draw(of, latest, canFork) {
    const most = Math.max(this.stops.length - 1, 0), at = whole(this.position ?? latest);
    const late = this.asked !== null && performance.now() > this.askedAt + LATE;
    const words = late ? `computing iteration ${at} …` : `iteration ${at}${of}`;
    Object.assign(this.slider, { max: most, value: Math.max(this.at, 0), disabled: !most });
    this.slider.setAttribute("aria-valuetext", words);
    this.where.textContent = words;
    allow(this.play, most);
    allow(this.fork, canFork);
  }
}
