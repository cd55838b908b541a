// What stands beside the picture in words: how things stand, and the table of runs.

import { h } from "./dom.js";
import { score } from "./guess.js";
import { QUANTITIES } from "./series.js";
import { rateText, short, whole } from "./text.js";

const LINES = 12; // of the table

/** How things stand, in numbers. @param {import("./types.js").Run} run @param {import("./types.js").Frame} frame
 * @param {import("./series.js").Series} series @param {boolean} named   say which run it is */
export function status(run, frame, series, named) {
  if (run.recorded) return `${run.title} · learning rate ${rateText(run.lr)} · recorded`;
  const place = (series.count - 1) * QUANTITIES.length, at = name => short(series.high[place + QUANTITIES.indexOf(name)]);
  return [
    named ? run.title : "", frame.state, `iteration ${whole(frame.iteration)}`, `rate in force ${rateText(frame.rate)}`,
    frame.state === "running" && frame.speed ? `${whole(frame.speed)} iterations/s` : "",
    series.count ? `generated logits ${at("fake_min")} to ${at("fake_max")}` : "",
  ].filter(Boolean).join(" · ");
}

/** What matters most just now. @param {any} scene @param {import("./types.js").Frame} frame
 * @param {import("./types.js").Verdict|null|undefined} verdict @param {string} said   by the engine
 * @param {string[]} changed   labels of the controls that no longer describe this run */
export function sentence({ run, nanAt, guesses }, frame, verdict, said, changed) {
  const parts = [];
  if (nanAt) parts.push(verdict?.words ?? `NaN at iteration ${whole(nanAt)}.`, score(guesses, nanAt));
  else if (frame.dead) parts.push("Finite but dead: G gets no gradient any more.");
  parts.push(said);
  if (changed.length && frame.iteration) parts.push(`${changed.join(", ")} changed: Start begins a new run.`);
  const words = parts.filter(Boolean).join(" ");
  if (words) return words;
  return run.recorded ? "Press Play, or drag the iteration." : frame.iteration ? "" : "Press Start.";
}

/** What sets an earlier run apart from this one, at most two things: "1e-4", "no fix, seed 3".
 * @param {import("./types.js").Run} old @param {import("./types.js").Run} run */
export function difference(old, run) {
  const changed = Object.keys(old.settings).filter(name => old.settings[name] !== run.settings[name]);
  const words = changed.map(name => `${typeof old.settings[name] === "number" ? `${name} ` : ""}${old.settings[name]}`);
  return [...(old.lr === run.lr ? [] : [rateText(old.lr)]), ...words].slice(0, 2).join(", ") || "before";
}

/** The runs so far, newest first. @param {import("./types.js").Outcome[]} outcomes */
export function table(outcomes) {
  const line = (tag, words) => h("tr", {}, ...words.map(word => h(tag, {}, word)));
  const lines = outcomes.slice(-LINES).reverse().map(o => line("td", [o.rates, o.settings, o.guess, o.outcome]));
  const head = h("thead", {}, line("th", ["learning rate", "run", "guess", "outcome"]));
  const all = h("table", {}, h("caption", {}, "Runs so far, newest first"), head, h("tbody", {}, ...lines));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of runs", hidden: !lines.length }, all);
}
