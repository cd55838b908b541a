// The lab's view: controls, status and figure of one run, fed by an engine that speaks types.js.

import { Controls } from "./controls.js";
import { h } from "./dom.js";
import { Figure } from "./figure.js";
import { Guess } from "./guess.js";
import { Past } from "./past.js";
import { QUANTITIES, Series } from "./series.js";
import { ratesText, rateText, whole } from "./text.js";
import { difference, inWords, sentence, status, table } from "./words.js";

/** @typedef {import("./types.js").Frame} Frame */
/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").Command} Command */

const GHOSTS = 3; // earlier runs in the picture
const PATIENCE = 3000, SPEAK = 10000; // milliseconds until a slow engine is mentioned, and between two spoken reports of a run

/** Build the view in `root`; `send` takes each Command to the engine.
 * @param {HTMLElement} root @param {{send: (command: Command) => void}} engine @returns {import("./types.js").View} */
export function createView(root, { send }) {
  const view = new View(root, send);
  return { receive: message => view.receive(message), fail: text => view.fail(text), destroy: () => view.destroy() };
}

export class View {
  /** @param {HTMLElement} root @param {(command: Command) => void} engine */
  constructor(root, engine) {
    this.engine = engine;
    this.lab = /** @type {import("./types.js").Lab|null} */ (null);
    this.run = /** @type {Run|null} */ (null);
    this.frame = this.unanswered = /** @type {Frame|null} */ (null);
    this.shown = /** @type {import("./types.js").Picture|null} */ (null);
    this.controls = /** @type {Controls|null} */ (null);
    this.series = new Series(QUANTITIES.length);
    this.hazards = new Series(1);
    this.ghosts = /** @type {{run: Run, series: Series}[]} */ ([]);
    this.outcomes = /** @type {import("./types.js").Outcome[]} */ ([]);
    this.guesses = /** @type {Map<number, number[]>} */ (new Map()); // of each run that was here
    this.next = /** @type {number[]} */ ([]); // guesses for the run that was asked for and is not here yet
    this.known = true; // a run that was going before this page was there is not noted down once more
    this.said = this.late = "";
    this.spoken = this.pending = 0;
    this.waiting = /** @type {any} */ (undefined);
    this.over = new AbortController(); // ends all listeners at once
    this.guess = new Guess(() => this.answered());
    this.past = new Past(this);
    this.figure = new Figure(this);
    this.build(root);
    this.send({ type: "hello" });
  }

  /** What stands before the engine has said what it can do. @param {HTMLElement} root */
  build(root) {
    this.facts = h("p", { class: "facts" }, "Waiting for the engine …");
    this.verdict = h("p", { class: "verdict" });
    this.live = h("p", { class: "unseen", role: "status", "aria-live": "polite" });
    this.form = h("fieldset", { class: "controls", "aria-label": "Controls of the lab" });
    this.table = h("div", { class: "outcomes" });
    this.figure.element.append(this.guess.gate);
    const below = h("div", { class: "below" }, this.figure.of.lives, this.table);
    // JupyterLab's one-letter shortcuts must not take keys that are meant for a control
    this.root = h("div", { class: "ganlab asking", "data-lm-suppress-shortcuts": "true", onkeydown: e => e.stopPropagation() },
      this.form, h("div", { class: "status" }, h("div", { class: "words" }, this.facts, this.verdict), this.figure.hazard),
      this.figure.element, this.past.element, below, this.live);
    root.replaceChildren(this.root);
    const { signal } = this.over;
    this.figure.watch(this.root, signal);
    // a hidden page draws nothing, but goes on answering, or the engine would think that nobody is there
    document.addEventListener("visibilitychange", () => (document.hidden ? this.answer() : this.request()), { signal });
    window.addEventListener("pagehide", () => this.send({ type: "bye" }), { signal });
  }

  // ---- pressing

  send(command) {
    this.engine(command);
    if (["ack", "outcome", "bye", "rate", "speed"].includes(command.type)) return; // these get no answer
    this.waiting ??= setTimeout(() => {
      this.facts.textContent = this.late = "Waiting for the engine: it answers as soon as it is free.";
    }, PATIENCE);
  }

  /** A button was pressed that has this command. @param {any} command */
  press(command) {
    if (command.type === "pause") return this.send(command);
    const { run, frame, past, guess } = this, choice = this.choice(), reset = command.type === "reset";
    if (!choice || (!reset && !guess.answer())) return;
    const next = !run || this.changed.length > 0 || frame?.state === "ended";
    past.stop();
    past.position = null;
    if (reset) guess.take(); // the old guess goes
    if (reset || next) this.next = guess.take();
    else if (!frame?.iteration) this.guesses.set(run.run, guess.take());
    this.send({ ...command, ...choice });
    this.request();
  }

  /** The labels of the controls that do not describe the run on show. */
  get changed() { return (this.run && this.controls?.differing(this.run)) ?? []; }

  /** What the controls say; nothing while a box cannot be read: that one gets the focus. */
  choice() {
    this.controls?.wrong?.input.focus();
    return this.controls?.wrong ? null : this.controls?.choice();
  }

  rate(lr) {
    if (this.run && !this.run.recorded && !this.controls?.rate.wrong) this.send({ type: "rate", run: this.run.run, lr });
    this.request();
  }

  /** A guess was made or declined: the picture may be seen. */
  answered() {
    this.root.classList.remove("asking");
    this.controls?.bar.append(this.guess.element);
    (this.lab?.live ? this.controls?.buttons[0] : this.past.play)?.focus();
    this.request();
  }

  /** May an earlier iteration be shown? A recorded run begins with the guess in the box. */
  mayLook() {
    const { run, guesses, guess } = this;
    if (guess.answer() && run?.recorded && !guesses.has(run.run)) guesses.set(run.run, guess.take());
    return guess.asked;
  }

  scrub(iteration) { if (this.run) this.send({ type: "scrub", run: this.run.run, iteration }); }

  fork(iteration) {
    const choice = this.choice();
    if (this.run && choice) this.send({ type: "fork", run: this.run.run, iteration, ...choice });
  }

  // ---- hearing

  /** @param {import("./types.js").FromEngine} message */
  receive(message) {
    clearTimeout(this.waiting);
    this.waiting = undefined;
    this.late = "";
    if (message.type === "lab") this.offer(message);
    else if (message.type === "run") this.enter(message);
    else if (message.run !== this.run?.run) return; // of an earlier run
    else if (message.type === "moment") this.past.answer(message);
    else this.take(message);
  }

  /** The controls, from what the engine offers. @param {import("./types.js").Lab} lab */
  offer(lab) {
    this.outcomes = lab.outcomes ?? this.outcomes;
    this.table.replaceChildren(table(this.outcomes));
    if (this.controls) return; // another page of this engine said hello: keep what was typed here
    this.lab = lab;
    this.said = lab.note ?? "";
    this.controls = new Controls(lab, this);
    this.form.replaceChildren(...this.controls.elements);
    if (this.guess.asked) this.controls.bar.append(this.guess.element);
    this.past.fork.hidden = !lab.fork || !lab.live;
  }

  /** A run comes on show. @param {Run} run */
  enter(run) {
    const { run: old, frame, guesses } = this;
    if (old && old.run !== run.run && !old.recorded) {
      const left = frame?.iteration && frame.state !== "ended" && !run.recorded;
      if (left) this.note(`none by ${whole(frame.iteration)}${frame.dead ? ", but dead" : ""}`);
      if (this.series.count) this.ghosts.push({ run: old, series: this.series });
    }
    this.ghosts = this.ghosts.filter(ghost => ghost.run.run !== run.run).slice(-GHOSTS);
    this.known = !old || guesses.has(run.run);
    if (!run.recorded && !guesses.has(run.run)) {
      guesses.set(run.run, run.parent === null ? this.next : []);
      this.next = [];
    }
    this.series = new Series(QUANTITIES.length);
    this.hazards = new Series(1);
    Object.assign(this, { run, frame: null, shown: null, said: this.known ? this.said : "" });
    this.figure.show(run);
    this.past.forget(run.recorded);
    if (!run.recorded && (!old || run.parent !== null)) this.controls?.follow(run);
    this.guess.task.textContent = this.headline;
  }

  /** New rows and the latest batch. @param {Frame} frame */
  take(frame) {
    const { run, past } = this, changed = frame.state !== this.frame?.state, [from, to] = frame.rewind ?? [1, 0];
    this.frame = this.unanswered = frame;
    this.series.append(frame.rows, frame.iteration, frame.at, frame.lows, frame.highs);
    this.hazards.append(frame.hazards, frame.iteration, frame.hazardAt);
    past.keep(frame);
    if (frame.said || frame.state === "running") this.said = frame.said ?? "";
    if (run?.recorded) past.position ??= run.stops?.[0] ?? 1;
    else if (frame.state === "running") past.position = null;
    past.stops = Array.from(run?.stops ?? { length: to - from + 1 }, (stop, k) => stop ?? from + k);
    past.want();
    const ended = changed && frame.state === "ended" && !this.known && !run?.recorded;
    if (ended) this.note(`NaN at ${whole(frame.verdict?.iteration ?? frame.iteration)}`);
    this.known = false;
    if (document.hidden) this.answer();
    if (changed || performance.now() - this.spoken > SPEAK) this.speak(`${this.status()} ${this.sentence(this.scene())}`);
  }

  /** The engine may send the next frame. */
  answer() {
    if (this.unanswered) this.send({ type: "ack", run: this.unanswered.run, iteration: this.unanswered.iteration });
    this.unanswered = null;
  }

  // ---- drawing

  /** Draw before the screen is next shown. */
  request() {
    this.pending ||= requestAnimationFrame(() => {
      this.pending = 0;
      this.draw();
      this.answer();
    });
  }

  draw() {
    const scene = this.scene(), { frame, run } = this;
    this.verdict.textContent = this.sentence(scene);
    this.controls?.enable(frame?.state, Boolean(run?.recorded));
    if (!scene || !frame || !run) return;
    this.facts.textContent = this.status();
    this.root.classList.toggle("ended", Boolean(scene.nanAt));
    const of = run.recorded && !scene.nanAt ? "" : ` of ${whole(Math.max(this.series.last, frame.iteration))}`;
    this.past.draw(of, frame.iteration, Boolean(frame.rewind) && !run.recorded);
    this.figure.chance(scene);
    const place = scene.nanAt ? `NaN at iteration ${whole(scene.nanAt)}` : `iteration ${whole(scene.until)}`;
    if (this.guess.asked) this.figure.draw(scene, `${this.headline}, ${place}.`);
  }

  /** What the panels draw: a run as far as `until`, in the window x of iterations, and one of its iterations as a picture. */
  scene() {
    const { run, frame, series, hazards, past, figure } = this;
    if (!run || !frame) return null;
    // the last picture stays until the one that was asked for is here
    const picture = this.shown = past.pictures.get(past.position ?? frame.iteration) ?? this.shown ?? frame;
    const until = run.recorded ? past.position ?? 0 : series.last, running = frame.state === "running";
    const end = run.recorded ? run.nanAt : frame.state === "ended" ? frame.verdict?.iteration ?? frame.iteration : null;
    const nanAt = end && end <= until ? end : null, guesses = this.guesses.get(run.run) ?? [];
    const ghosts = run.recorded ? [] : this.ghosts.map(({ series: rows, run: old }) => (
      { series: rows, strong: old.run === run.parent, name: difference(old, run) })); // strong: the one it was forked from
    return {
      theme: figure.theme ??= figure.colours(this.root), run, series, hazards, picture, until, nanAt, guesses, ghosts, running,
      x: past.window(run, frame, series.last), cursor: past.position, pinned: figure.pinned, lowest: figure.lowest,
      narrow: this.root.clientWidth < 700, lives: nanAt ? this.lives(run) : [], // these would tell the answer before
    };
  }

  /** The recorded lives of runs like this one. @param {Run} run */
  lives(run) {
    const same = settings => Object.entries(settings).every(([name, value]) => run.settings[name] === value);
    const like = ({ lr, settings }) => Math.abs(lr / run.lr - 1) < 1e-6 && same(settings);
    return this.lab?.lives.find(like)?.iterations ?? [];
  }

  // ---- words

  get headline() { return this.run ? `${this.run.title}, learning rate ${rateText(this.run.lr)}` : ""; }

  status() {
    const { run, frame } = this;
    return this.late || (run && frame ? status(run, frame, this.series, this.changed.length > 0) : "");
  }

  sentence(scene) {
    const wrong = this.controls?.wrong;
    if (wrong) return wrong.wrong;
    if (!scene || !this.frame) return this.said;
    if (!this.guess.asked) return "Predict first, or press No guess.";
    const verdict = scene.picture.verdict ?? this.past.pictures.get(scene.nanAt)?.verdict;
    return sentence(scene, this.frame, verdict, this.said, this.changed);
  }

  /** To screen readers, politely. */
  speak(words) {
    this.spoken = performance.now();
    this.live.textContent = words;
  }

  /** One line more in the table. */
  note(outcome) {
    const { run, frame } = this;
    if (!run || !frame) return;
    const guess = inWords(this.guesses.get(run.run) ?? []);
    const line = { rates: ratesText(frame.rates), settings: run.title, guess, outcome };
    this.outcomes.push(line);
    this.send({ type: "outcome", run: run.run, outcome: line });
    this.table.replaceChildren(table(this.outcomes));
  }

  // ---- the end

  /** The engine cannot be reached. */
  fail(text) {
    this.form.disabled = this.past.element.disabled = true;
    clearTimeout(this.waiting);
    this.past.stop();
    this.facts.textContent = "";
    this.said = this.verdict.textContent = text;
    this.speak(text);
  }

  destroy() {
    this.send({ type: "bye" });
    clearTimeout(this.waiting);
    this.past.stop();
    this.over.abort();
    cancelAnimationFrame(this.pending);
    this.root.remove();
  }
}
