// The lab's view: controls, status and figure of one run, fed by an engine that speaks types.d.ts.

import { Controls, h } from "./controls.js";
import { Figure } from "./figure.js";
import { Guess } from "./guess.js";
import { Past } from "./past.js";
import { QUANTITIES, Series } from "./series.js";
import { chance, clamp, guessesText, ratesText, rateText, score, short, whole } from "./text.js";

/** @typedef {import("./types.js").Frame} Frame */
/** @typedef {import("./types.js").Run} Run */

const GHOSTS = 3, ROWS = 12; // earlier runs in the picture, and in the table
const FAST = 100, TELL = 200; // milliseconds: frames that come within so many come fast; then from words to words
const HAZARD = "chance that the next batch kills this run";
const FOUND = { tail: "estimated from the tail of recent batches", sampled: "estimated from sampled draws" };

export class View {
  /** Build the view in `root`; `send` takes each Command to the engine, whose messages go to receive().
   * @param {HTMLElement} root @param {(command: import("./types.js").Command) => void} send */
  constructor(root, send) {
    this.send = send;
    this.lab = /** @type {import("./types.js").Lab} */ (null);
    this.run = /** @type {Run} */ (null);
    this.frame = this.unanswered = /** @type {Frame} */ (null);
    this.controls = /** @type {Controls} */ (null);
    this.series = new Series();
    this.ghosts = []; // earlier runs: {run, series, lr}, the last rate of each
    this.outcomes = []; // lines of the table
    this.guesses = new Map(); // of each run that was here
    this.said = "";
    this.told = this.taken = -TELL; // when words were last changed, when the last frame came,
    this.fast = false; // and do they come fast?
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
    this.verdict = h("p", { class: "verdict", role: "status" });
    this.chance = h("output", { class: "chance", "aria-live": "off" });
    this.hazard = h("div", { class: "hazard" }, h("p"), this.chance);
    const tell = () => { this.told = -TELL; this.request(); }; // at once
    this.form = h("fieldset", { class: "controls", "aria-label": "Controls of the lab", disabled: true, oninput: tell });
    this.table = h("div", { class: "outcomes" });
    this.figure.element.append(this.guess.gate);
    // One-letter shortcuts must not take keys that are meant for a control: JupyterLab waits for those that bubble up to it,
    // Notebook 7 takes all first, unless the element that has the focus says no.
    const refuse = ({ target }) => { target.dataset.lmSuppressShortcuts = "true"; };
    this.root = h("div", { class: "ganlab asking", onkeydown: e => e.stopPropagation(), onfocusin: refuse },
      this.form, h("div", { class: "status" }, h("div", { class: "words" }, this.facts, this.verdict), this.hazard),
      this.figure.element, this.past.element, h("div", { class: "below" }, this.figure.of.lives, this.table));
    root.replaceChildren(this.root);
    const { signal } = this.over; // colours are not read for each frame; while a run goes on, the next one draws anyway
    const redraw = () => { this.theme = null; if (this.frame?.state !== "running") this.request(); };
    const sizes = new ResizeObserver(redraw), clock = setInterval(redraw, 1000); // nobody tells of another theme
    sizes.observe(this.root);
    signal.addEventListener("abort", () => { sizes.disconnect(); clearInterval(clock); });
    // a hidden page draws nothing, but goes on answering, or the engine would think that nobody is there
    document.addEventListener("visibilitychange", () => (document.hidden ? this.answer() : redraw()), { signal });
    window.addEventListener("pagehide", () => this.send({ type: "bye" }), { signal });
  }

  // ---- pressing

  /** A button was pressed that has this command. */
  press(command) {
    if (command.type === "pause") return this.send(command);
    const choice = this.choice(), reset = command.type === "reset";
    if (!choice || (!reset && !this.guess.answer())) return;
    if (reset) this.guess.take(); // the old guess goes
    this.past.latest();
    this.send({ ...command, ...choice });
  }

  /** What the controls say; null while a box cannot be read, which gets the focus. @returns {import("./types.js").Choice} */
  choice() {
    const { wrong, settings, rate, speed } = this.controls;
    wrong?.focus();
    return wrong ? null : { settings, lr: Number(rate.value), speed };
  }

  rate(lr) { if (this.run && this.controls.rate.validity.valid) this.send({ type: "rate", run: this.run.run, lr }); }

  /** A guess was made or declined: the picture may be seen, as soon as there is one. */
  answered() {
    this.guess.gate.remove();
    this.root.classList.toggle("asking", !this.frame);
    this.controls?.bar.append(this.guess.element);
    this.controls?.buttons[0].focus();
    this.request();
  }

  /** The run on show begins, or is looked at: the guess in the box is for this one. A fork's end was no question. */
  begin() {
    const { run, guesses, guess } = this;
    if (!guesses.has(run.run)) guesses.set(run.run, run.parent === null ? guess.take() : []);
  }

  /** May an earlier iteration be shown? */
  mayLook() {
    if (this.guess.answer() && this.run.recorded) this.begin();
    return this.guess.asked;
  }

  fork(iteration) {
    const choice = this.choice();
    if (choice) this.send({ type: "fork", run: this.run.run, iteration, ...choice });
  }

  // ---- hearing

  /** @param {import("./types.js").FromEngine} message */
  receive(message) {
    if (message.type === "lab") this.offer(message);
    else if (message.type === "run") this.enter(message);
    else if (message.run !== this.run?.run) return; // of an earlier run
    else if (message.type === "moment") this.past.answer(message);
    else this.take(message);
  }

  /** The controls, from what the engine offers. @param {import("./types.js").Lab} lab */
  offer(lab) {
    this.outcomes = lab.outcomes ?? this.outcomes;
    this.list();
    if (this.controls) return; // another page of this engine said hello: keep what was typed here
    this.lab = lab;
    this.said = lab.note ?? "";
    this.controls = new Controls(lab, this);
    this.form.replaceChildren(...this.controls.elements);
    if (this.guess.asked) this.controls.bar.append(this.guess.element);
  }

  /** A run comes on show. @param {Run} run */
  enter(run) {
    const { run: old, frame } = this;
    if (old && old.run !== run.run && !old.recorded) {
      const made = this.series.last, left = made && frame.state !== "ended" && !run.recorded;
      if (left) this.note(`none by ${whole(made)}${frame.dead ? ", but dead" : ""}`);
      if (made) this.ghosts.push({ run: old, series: this.series, lr: frame.rates.at(-1)[1] });
    }
    this.ghosts = this.ghosts.filter(ghost => ghost.run.run !== run.run).slice(-GHOSTS - 1); // this one may come back
    Object.assign(this, { run, frame: null, series: new Series(), said: old ? "" : this.said });
    this.figure.show(run);
    this.past.forget();
    this.root.classList.toggle("recorded", run.recorded);
    this.hazard.hidden = !run.hazard;
    this.hazard.firstChild.textContent = [HAZARD, FOUND[run.hazard]].filter(Boolean).join(", ");
    if (!run.recorded && (!old || run.parent !== null)) this.controls.follow(run.settings);
    this.form.disabled = false; // before, what is chosen would be lost
  }

  /** New rows and the latest batch. @param {Frame} frame */
  take(frame) {
    const { run } = this, now = performance.now();
    if (frame.state !== this.frame?.state) this.told = -TELL;
    this.fast = frame.state === "running" && now - this.taken < FAST;
    Object.assign(this, { frame, taken: now });
    run.lr = frame.rates[0][1]; // another one, if the slider moves before the first iteration
    this.root.classList.toggle("asking", !this.guess.asked);
    if (!frame.quiet) this.unanswered = frame;
    this.series.append(frame);
    if (this.series.last && !run.recorded) this.begin();
    if (frame.said || frame.state === "running") this.said = frame.said ?? "";
    this.past.take(frame, run);
    if (frame.state === "ended" && !run.recorded) this.note(`NaN at ${whole(frame.verdict?.iteration ?? frame.iteration)}`);
    if (document.hidden) this.answer();
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
    const scene = this.scene();
    if (scene && this.guess.asked) this.figure.draw(scene); // it reads sizes: before words change, or all is laid out twice
    if (!this.fast || performance.now() > this.told + TELL) this.tell(scene);
  }

  /** All words and numbers around the picture, and its description. */
  tell(scene) {
    const { frame, run, controls } = this, changed = frame && !controls.wrong ? controls.differing(run).join(", ") : "";
    const words = this.sentence(scene, changed);
    this.told = performance.now();
    if (this.verdict.textContent !== words) this.verdict.textContent = words; // it is read aloud
    controls?.enable(frame?.state);
    if (!scene) return;
    this.guess.task.textContent = changed ? `${this.headline}, with ${changed}` : this.headline;
    const place = scene.nanAt ? `NaN at iteration ${whole(scene.nanAt)}` : `iteration ${whole(scene.until)}`;
    if (this.guess.asked) this.figure.describe(`${this.headline}, ${place}.`);
    const p = scene.picture.chance;
    this.chance.textContent = chance(p);
    this.chance.style.setProperty("--grow", String(p > 0 ? clamp(1 + Math.log10(p) / 4, 0, 1) : 0)); // from 1e-4 on
    this.facts.textContent = this.status();
    this.root.classList.toggle("ended", Boolean(scene.nanAt));
    const of = run.recorded && !scene.nanAt ? "" : ` of ${whole(Math.max(this.series.last, frame.iteration))}`;
    this.past.draw(of, frame.iteration, Boolean(frame.rewind) && !run.recorded);
  }

  /** What the panels draw: a run as far as `until`, in the window x of iterations, and one of its iterations as a picture. */
  scene() {
    const { run, frame, series, past, figure } = this;
    if (!run || !frame) return null;
    const until = run.recorded ? past.position : series.last, running = frame.state === "running";
    const end = run.recorded ? run.nanAt : frame.state === "ended" ? frame.verdict?.iteration ?? frame.iteration : null;
    const nanAt = end && end <= until ? end : null, guesses = this.guesses.get(run.run) ?? [];
    const ghosts = this.ghosts.slice(-GHOSTS).map(({ run: old, series: rows, lr }) => ({
      series: rows, faint: old.run === run.parent ? 0.6 : 0.3,
      name: lr === frame.rates.at(-1)[1] ? `${old.settings[this.lab?.fork]}` : rateText(lr) }));
    return {
      theme: this.theme ??= figure.colours(this.root), run, series, picture: past.picture, until, nanAt, guesses, running, fast: this.fast,
      ghosts: run.recorded ? [] : ghosts, x: past.window(run, series.last), cursor: past.position, pinned: figure.pinned,
      lowest: figure.lowest, narrow: this.root.clientWidth < 700,
      lives: nanAt ? this.lives(run) : [], // these would tell the answer before
    };
  }

  /** The recorded lives of runs like this one, at one rate from the beginning. @param {Run} run */
  lives(run) {
    if (this.frame.rates.length > 1 || run.parent !== null) return [];
    const same = settings => Object.entries(settings).every(([name, value]) => run.settings[name] === value);
    return this.lab?.lives.find(({ lr, settings }) => lr === run.lr && same(settings))?.iterations ?? [];
  }

  // ---- words

  get headline() { return this.run ? `${this.run.title}, learning rate ${rateText(this.run.lr)}` : ""; }

  /** How things stand, in numbers. */
  status() {
    const { run, frame } = this, row = this.series.entries.at(-1);
    if (run.recorded) return this.headline;
    const at = name => short(row?.high[QUANTITIES.indexOf(name)] ?? NaN);
    return [
      this.controls.differing(run).length && run.title, frame.state,
      `iteration ${whole(frame.iteration)}`, `rate in force ${rateText(Number(frame.rate.toPrecision(6)))}`,
      frame.state === "running" && frame.speed && `${whole(frame.speed)} iterations/s`,
      row && `generated logits ${at("fake_min")} to ${at("fake_max")}`,
    ].filter(Boolean).join(" · ");
  }

  /** What matters most just now. */
  sentence(scene, changed) {
    const { controls, frame } = this;
    if (controls?.wrong) return controls.wrong.validationMessage;
    if (!scene || !frame) return this.said;
    if (!this.guess.asked) return "Predict first, or press No guess.";
    const { run, nanAt, guesses, running } = scene, { verdict } = frame;
    const end = nanAt ? [verdict?.words ?? `NaN at iteration ${whole(nanAt)}.`, score(guesses, nanAt)]
      : [frame.dead && "Finite but dead: G gets no gradient any more."];
    const stale = changed && frame.iteration > 0 && `${changed}: ${running ? "Pause, then " : ""}Start begins a new run.`;
    const idle = run.recorded ? "Press Play, or drag the iteration."
      : running ? "Running." : this.series.last ? "Paused." : "Press Start.";
    return [...end, this.said, stale].filter(Boolean).join(" ") || idle;
  }

  /** A run's line in the table; after a reload it is there already, with its guess. */
  note(outcome) {
    const { run, frame, outcomes } = this;
    if (outcomes.some(one => one.run === run.run && one.outcome === outcome)) return;
    const guess = guessesText(this.guesses.get(run.run) ?? []);
    const line = { run: run.run, rates: ratesText(frame.rates), settings: run.title, guess, outcome };
    this.outcomes = [...outcomes.filter(one => one.run !== run.run), line];
    this.send({ type: "outcome", outcome: line });
    this.list();
  }

  /** The table of runs, newest first. */
  list() {
    const row = (tag, words) => h("tr", {}, ...words.map(word => h(tag, {}, word)));
    const rows = this.outcomes.slice(-ROWS).reverse().map(o => row("td", [o.rates, o.settings, o.guess, o.outcome]));
    const head = h("thead", {}, row("th", ["learning rate", "run", "guess", "outcome"]));
    const all = h("table", {}, h("caption", {}, "Runs so far, newest first"), head, h("tbody", {}, ...rows));
    const names = { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of runs", hidden: !rows.length };
    this.table.replaceChildren(h("div", names, all));
  }

  // ---- the end

  /** The engine cannot be reached. */
  fail(text) {
    this.form.disabled = this.past.element.disabled = true;
    this.past.stop();
    this.facts.textContent = "";
    this.said = this.verdict.textContent = text;
  }

  destroy() {
    this.send({ type: "bye" });
    this.past.stop();
    this.over.abort();
    cancelAnimationFrame(this.pending);
    this.root.remove();
  }
}
