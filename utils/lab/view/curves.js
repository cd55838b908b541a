// Panels over the iterations: losses, scores, logits, the hazard; and the class's guesses.

import { DASHED, DOTTED, SOLID, cliffs, logitAxis, stepUp } from "./scene.js";
import { QUANTITIES } from "./series.js";
import { chance, median, short, whole } from "./text.js";

/** @typedef {import("./scene.js").Panel} Panel */
/** @typedef {import("./scene.js").Scene} Scene */
/** A curve. @typedef {{q: number, colour: "g"|"d"|"real", dash: number[], words: string, end: string}} Line */

/** @param {import("./types.js").Quantity} quantity @param {Line["colour"]} colour @param {number[]} dash @param {string} words
 * @param {string} [end]   its name at the end of the curve @returns {Line} */
const line = (quantity, colour, dash, words, end = "") => ({ q: QUANTITIES.indexOf(quantity), colour, dash, words, end });

/** Lowest and highest of some curves in the window, ghosts included.
 * @param {Scene} scene @param {Line[]} lines @returns {[number, number]} */
function range({ series, until, ghosts, x }, lines) {
  const all = [{ series, until }, ...ghosts.map(ghost => ({ series: ghost.series, until: x[1] }))];
  const found = all.flatMap(one => {
    const from = one.series.find(x[0]), to = one.series.find(one.until + 1);
    return lines.map(({ q }) => one.series.extremes(q, from, to));
  });
  return [Math.min(...found.map(([low]) => low)), Math.max(...found.map(([, high]) => high))];
}

/** @param {Scene} scene @param {[number, number]} range */
function lossAxis({ run }, [low, high]) {
  const roof = Math.min(Math.max(high, 10), 1e6);
  if (run.signed) return { ys: "symlog", knee: 1, y: [-stepUp(Math.min(Math.max(-low, 10), 1e6)), stepUp(roof)] };
  const floor = Math.min(Math.max(low, 1e-4), 0.1);
  return { ys: "log", y: [10 ** Math.floor(Math.log10(floor)), 10 ** Math.ceil(Math.log10(roof))] };
}

/** The values of entry k in words. @param {Scene} scene @param {Line[]} lines @param {number} k @param {string} between */
function reading({ series }, lines, k, between) {
  const at = Math.min(k, series.count - 1);
  if (at < 0) return "nothing yet";
  return lines.map(({ q, words }) => {
    const low = series.low[at * series.width + q], high = series.high[at * series.width + q];
    return `${words} ${short(low)}${high > low ? ` to ${short(high)}` : ""}`;
  }).join(between);
}

/** Marks at iterations: fork, scrub bar, NaN, guesses. @param {import("./plot.js").Plot} plot @param {Scene} scene
 * @param {boolean} named @param {boolean} ticks */
function marks(plot, { run, theme, cursor, nanAt, guesses }, named, ticks) {
  if (run.forkedAt) plot.level("x", run.forkedAt, { colour: theme.muted }, named ? `fork ${whole(run.forkedAt)}` : "");
  if (cursor !== null) plot.level("x", cursor, { colour: theme.muted, alpha: 0.7 });
  if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, named ? `NaN at ${whole(nanAt)}` : "");
  if (ticks) for (const guess of guesses) plot.flag(guess, theme.ink);
}

/** A panel of curves. @param {string} name @param {string} label @param {Line[]} lines @param {string[][]} legend
 * @param {(scene: Scene, range: [number, number]) => any} axis @returns {Panel} */
function curves(name, label, lines, legend, axis) {
  return {
    name, label, title: () => [[label, "ink"], ...legend],
    draw(plot, scene) {
      const { theme, series, run, x, until } = scene, lowest = name === scene.lowest, last = series.find(until + 1) - 1;
      plot.start(theme, { x, xTicks: scene.narrow || lowest, ...axis(scene, range(scene, lines)) });
      if (name === "scores" && !run.scores) return plot.note("This loss gives no probabilities, so no scores.");
      for (const ghost of scene.ghosts)
        for (const { q, colour, dash } of lines.slice(0, name === "logits" ? 1 : 2)) {
          const style = { colour: theme[colour], width: 1.5, dash, alpha: ghost.strong ? 0.6 : 0.3, quiet: true };
          plot.curve(ghost.series, q, x[1], { ...style, name: name === "logits" ? ghost.name : "" });
        }
      for (const { q, colour, dash, end } of lines) plot.curve(series, q, until, { colour: theme[colour], dash, name: end });
      if (name === "logits") cliffs(plot, scene);
      marks(plot, scene, name === "losses", lowest);
      const zero = lines.filter(({ q }) => name === "losses" && last >= 0 && series.high[last * series.width + q] === 0);
      plot.remark = zero.map(({ words }) => `${words}'s loss is 0`).join(", ");
      return `${label}: ${reading(scene, lines, last, ", ")}`;
    },
    probe(plot, scene, x) {
      const { series, run } = scene, nearly = (scene.x[1] - scene.x[0]) / 1000;
      const k = Math.min(series.find(plot.back(x) - nearly), series.find(scene.until + 1) - 1);
      if (k < 0 || (name === "scores" && !run.scores)) return null;
      return { x: plot.x(series.at[k]), text: `iteration ${whole(series.at[k])}\n${reading(scene, lines, k, "\n")}` };
    },
  };
}

const LEGEND = [["— G", "g"], ["- - D", "d"]];
export const losses = curves("losses", "losses",
  [line("loss_g", "g", SOLID, "G", "G"), line("loss_d", "d", DASHED, "D", "D")], LEGEND, lossAxis);
export const scores = curves("scores", "scores",
  [line("score_g", "g", SOLID, "G", "G"), line("score_d", "d", DASHED, "D", "D")], LEGEND, () => ({ y: [-0.05, 1.05] }));
export const logits = curves("logits", "logits",
  [line("fake_max", "g", SOLID, "largest generated"), line("fake_min", "g", DOTTED, "smallest generated"),
    line("real_max", "real", SOLID, "largest real"), line("real_min", "real", DASHED, "smallest real")],
  [["— largest, ··· smallest generated", "g"], ["— largest, - - smallest real", "real"]],
  ({ run }, [low, high]) => logitAxis(run, low, high));

const FOUND = { exact: "", tail: "estimated from the tail of recent batches", sampled: "estimated from sampled draws" };
/** @type {Panel} */
export const hazard = {
  name: "hazard", label: "hazard",
  title: run => [["chance that the next batch kills this run", "ink"], [run.hazard ? FOUND[run.hazard] : "", "muted"]],
  draw(plot, { theme, hazards, x, until }) {
    plot.start(theme, { x, y: [1e-6, 1], ys: "log", xTicks: false, yTicks: false });
    plot.curve(hazards, 0, until, { colour: theme.ink, quiet: true });
    const k = hazards.find(until + 1) - 1;
    return `chance that the next batch kills this run: ${k < 0 ? "not computed" : chance(hazards.high[k])}`;
  },
  probe(plot, { hazards, until }, x) {
    const k = Math.min(hazards.find(plot.back(x)), hazards.find(until + 1) - 1);
    return k < 0 ? null : { x: plot.x(hazards.at[k]), text: `iteration ${whole(hazards.at[k])}\n${chance(hazards.high[k])}` };
  },
};

/** A class's guesses over the recorded lives at this rate: five bars a decade. @type {Panel} */
export const lives = {
  name: "lives", label: "guesses and recorded lives",
  title: () => [["the class's guesses", "ink"], ["grey bars: recorded lives at this rate, after the NaN", "muted"]],
  draw(plot, { theme, guesses, lives, nanAt }) {
    const bars = new Map();
    for (const life of lives) {
      const bar = Math.floor(5 * Math.log10(life));
      bars.set(bar, (bars.get(bar) ?? 0) + 1);
    }
    const most = Math.max(...bars.values(), 1);
    const middle = numbers => (numbers.length ? `, median ${whole(median(numbers))}` : "");
    plot.start(theme, { x: [1, Math.max(1e5, ...guesses, ...lives)], y: [0, 1.2 * most], xs: "log", yTicks: false });
    for (const [k, count] of bars) plot.bar(10 ** (k / 5), 10 ** ((k + 1) / 5), count, theme.real);
    for (const guess of guesses) plot.level("x", guess, { colour: theme.g, alpha: 0.6 });
    if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, `NaN at ${whole(nanAt)}`);
    return `${guesses.length} guesses${middle(guesses)}; ${lives.length} recorded lives${middle(lives)}`;
  },
  probe: () => null,
};
