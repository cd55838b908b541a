// What stands beside the picture in words.

import { h } from "./dom.js";
import { QUANTITIES } from "./series.js";
import { compare, median, rateText, short, whole } from "./text.js";

/** @param {number[]} guesses */
export function inWords(guesses) {
  if (guesses.length > 1) return `${guesses.length} guesses, median ${whole(median(guesses))}`;
  return guesses.length ? whole(guesses[0]) : "none";
}

/** How far off the guesses were. @param {number[]} guesses @param {number} truth */
function score(guesses, truth) {
  if (!guesses.length) return "";
  const far = guess => Math.abs(Math.log(guess / truth));
  const words = compare(guesses.reduce((a, b) => (far(b) < far(a) ? b : a)), truth);
  return guesses.length === 1 ? `Guess: ${words}.` : `${inWords(guesses)}; nearest ${words.replace("you ", "")}.`;
}

/** How things stand, in numbers. @param {import("./types.js").Run} run @param {import("./types.js").Frame} frame
 * @param {import("./series.js").Series} series @param {boolean} named   say which run it is */
export function status(run, frame, series, named) {
  if (run.recorded) return `${run.title} · learning rate ${rateText(run.lr)} · recorded`;
  const place = (series.count - 1) * QUANTITIES.length, at = name => short(series.high[place + QUANTITIES.indexOf(name)]);
  return [
    named && run.title, frame.state, `iteration ${whole(frame.iteration)}`, `rate in force ${rateText(frame.rate)}`,
    frame.state === "running" && frame.speed && `${whole(frame.speed)} iterations/s`,
    series.count && `generated logits ${at("fake_min")} to ${at("fake_max")}`,
  ].filter(Boolean).join(" · ");
}

/** What matters most just now. @param {any} scene @param {import("./types.js").Frame} frame @param {any} verdict
 * @param {string} said   by the engine @param {string[]} changed   controls that no longer describe this run */
export function sentence({ run, nanAt, guesses }, frame, verdict, said, changed) {
  const end = nanAt ? [verdict?.words ?? `NaN at iteration ${whole(nanAt)}.`, score(guesses, nanAt)]
    : [frame.dead && "Finite but dead: G gets no gradient any more."];
  const stale = changed.length > 0 && frame.iteration > 0 && `${changed.join(", ")} changed: Start begins a new run.`;
  const idle = run.recorded ? "Press Play, or drag the iteration." : frame.iteration ? "" : "Press Start.";
  return [...end, said, stale].filter(Boolean).join(" ") || idle;
}

/** What sets an earlier run apart from this one, at most two things: "1e-4", "no fix, seed 3".
 * @param {import("./types.js").Run} old @param {import("./types.js").Run} run */
export function difference(old, run) {
  const changed = Object.keys(old.settings).filter(name => old.settings[name] !== run.settings[name]);
  const words = changed.map(name => `${typeof old.settings[name] === "number" ? `${name} ` : ""}${old.settings[name]}`);
  return [...(old.lr === run.lr ? [] : [rateText(old.lr)]), ...words].slice(0, 2).join(", ") || "before";
}

/** The last twelve runs, newest first. @param {import("./types.js").Outcome[]} outcomes */
export function table(outcomes) {
  const line = (tag, words) => h("tr", {}, ...words.map(word => h(tag, {}, word)));
  const lines = outcomes.slice(-12).reverse().map(o => line("td", [o.rates, o.settings, o.guess, o.outcome]));
  const head = h("thead", {}, line("th", ["learning rate", "run", "guess", "outcome"]));
  const all = h("table", {}, h("caption", {}, "Runs so far, newest first"), head, h("tbody", {}, ...lines));
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Table of runs", hidden: !lines.length }, all);
}
