// The panels: what each draws, and what it answers when one points at it.

import { QUANTITIES } from "./series.js";
import { chance, median, short, whole } from "./text.js";

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {import("./series.js").Series} Series */
/** @typedef {import("./plot.js").Plot} Plot */
/** @typedef {{side: "fake"|"real", index: number, iteration: number, sample: Float32Array|null, logit: number}} Pinned */

/** All that is on show: a run as far as `until`, in the window x of iterations, and one of its iterations as a picture.
 * @typedef {object} Scene
 * @property {import("./plot.js").Theme} theme
 * @property {Run} run
 * @property {Series} series
 * @property {Series} hazards
 * @property {Picture} picture
 * @property {[number, number]} x
 * @property {number} until
 * @property {number|null} cursor      where the scrub bar stands
 * @property {number|null} nanAt       if it is in the picture
 * @property {{series: Series, strong: boolean}[]} ghosts   of earlier runs; strong: the one this run was forked from
 * @property {number[]} guesses
 * @property {number[]} lives          recorded ones, once this run has ended
 * @property {Pinned|null} pinned      the sample that was clicked
 * @property {boolean} running
 * @property {boolean} narrow
 * @property {string} lowest           the last curves on show: they carry the iterations */

/** @typedef {{x: number, y?: number, text: string, side?: "fake"|"real", index?: number}} Answer */
/** @typedef {object} Panel
 * @property {string} name
 * @property {string} label
 * @property {(run: Run) => string[][]} title   words, and the colour they are in
 * @property {(plot: Plot, scene: Scene) => string} draw   returns what it shows, in words
 * @property {(plot: Plot, scene: Scene, x: number, y: number) => Answer|null} probe
 * @property {(from: {x: number, y: number}, step: number) => {x: number, y: number}|null} [step]   where an arrow key goes from there */

const SOLID = /** @type {number[]} */ ([]), DASHED = [8, 4], DOTTED = [2, 4];
const PURPLE_ORANGE = [[179, 88, 6], [241, 163, 64], [247, 247, 247], [153, 142, 195], [84, 39, 136]]; // matplotlib's PuOr
/** @param {import("./plot.js").Theme} theme @param {string} name @returns {string} */
const ink = (theme, name) => theme[/** @type {"g"} */ (name)];
const column = (/** @type {import("./types.js").Quantity} */ name) => QUANTITIES.indexOf(name);

/** The next of 1, 2, 4, 10, 20 ... : axes that grow in steps do not tremble. @param {number} v */
const stepUp = v => {
  const power = 10 ** Math.floor(Math.log10(v));
  return power * ([1, 2, 4].find(m => m * power >= v) ?? 10);
};
const biggest = (/** @type {ArrayLike<number>} */ values) => {
  let most = 0;
  for (let i = 0; i < values.length; i++) if (Math.abs(values[i]) > most && Math.abs(values[i]) < Infinity) most = Math.abs(values[i]);
  return most;
};
const reals = new WeakMap();
/** The largest size of a number in the run's real samples. @param {Run} run @returns {number} */
const realReach = run => reals.get(run) ?? (reals.set(run, biggest(run.real) || 1), reals.get(run));
/** Row k of a (rows, width) array. @param {Float32Array} rows @param {number} k @param {number} width */
const row = (rows, k, width) => rows.subarray(k * width, (k + 1) * width);

/** The sample of the batch with this number, if the engine sent it.
 * @param {Picture} picture @param {Run} run @param {"fake"|"real"} side @param {number} index @returns {Float32Array|null} */
export function sampleOf(picture, run, side, index) {
  const k = side === "fake" && picture.fakeIndex ? picture.fakeIndex.indexOf(index) : index;
  return k < 0 || (k + 1) * run.dimension > picture[side].length ? null : row(picture[side], k, run.dimension).slice();
}

/** A pixel of red, green, blue, as canvas keeps it. @param {number[]} rgb */
const pixel = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
const SHADES = Uint32Array.from({ length: 257 }, (_, i) => {
  const k = Math.min(Math.floor(i / 64), 3);
  return pixel(PURPLE_ORANGE[k].map((from, c) => from + (PURPLE_ORANGE[k + 1][c] - from) * (i / 64 - k)));
});
/** A colour between orange (-1), nearly white (0) and purple (1). @param {number} share */
const shade = share => SHADES[Math.round((Math.min(Math.max(share || 0, -1), 1) + 1) * 128)];

// ---- curves over the iterations

/** Range of some quantities in the window, ghosts included. @param {Scene} scene @param {number[]} columns @returns {[number, number]} */
function range(scene, columns) {
  let low = Infinity, high = -Infinity;
  for (const { series, until } of [{ series: scene.series, until: scene.until }, ...scene.ghosts.map(g => ({ series: g.series, until: scene.x[1] }))])
    for (const q of columns) {
      const [a, b] = series.extremes(q, series.find(scene.x[0]), series.find(until + 1));
      [low, high] = [Math.min(low, a), Math.max(high, b)];
    }
  return [low, high];
}

/** @param {Run} run @param {[number, number]} range @returns {Partial<import("./plot.js").Axes>} */
function lossAxis(run, [low, high]) {
  if (run.signed) return { ys: "symlog", knee: 1, y: [-stepUp(Math.min(Math.max(10, -low), 1e6)), stepUp(Math.min(Math.max(10, high), 1e6))] };
  const decade = (/** @type {number} */ v, /** @type {"floor"|"ceil"} */ to) => 10 ** Math[to](Math.log10(v));
  return { ys: "log", y: [decade(Math.min(Math.max(low, 1e-4), 0.1), "floor"), decade(Math.min(Math.max(high, 10), 1e6), "ceil")] };
}

/** Both cliffs and all logits. @param {Run} run @param {number} low @param {number} high @returns {Partial<import("./plot.js").Axes>} */
function logitAxis(run, low, high) {
  const floor = Math.max(40, 1.2 * -(run.low ?? 0), -low), roof = Math.max(40, 1.2 * (run.high ?? 0), high);
  return { ys: "symlog", knee: 20, y: [-stepUp(Math.min(floor, 1e6)), stepUp(Math.min(roof, 1e6))] };
}

/** The cliffs as dashed lines. @param {Plot} plot @param {Scene} scene */
function cliffs(plot, { run, theme }) {
  for (const cliff of [run.low, run.high])
    if (cliff !== null) plot.level("y", cliff, { colour: theme.cliff, dash: DASHED, width: 2 }, `cliff ${cliff.toFixed(cliff > 0 ? 2 : 1).replace("-", "−")}`);
}

/** A panel of curves.
 * @param {string} name @param {string} label @param {[import("./types.js").Quantity, string, string, number[], string][]} lines  quantity, colour, name at its end, dashes, name in words
 * @param {string[][]} title @param {(scene: Scene, range: [number, number]) => Partial<import("./plot.js").Axes>} axis @returns {Panel} */
function curves(name, label, lines, title, axis) {
  const columns = lines.map(([quantity]) => column(quantity));
  return {
    name, label, title: () => [[label, "ink"], ...title],
    draw(plot, scene) {
      const { theme, series, run } = scene;
      plot.start(theme, /** @type {import("./plot.js").Axes} */ ({ x: scene.x, xTicks: scene.narrow || scene.lowest === name, ...axis(scene, range(scene, columns)) }));
      plot.remark = lines.filter(([quantity]) => name === "losses" && series.count && series.high[(series.find(scene.until + 1) - 1) * series.width + column(quantity)] === 0)
        .map(([, , , , words]) => `${words}'s loss is 0`).join(", ");
      if (name === "scores" && !run.scores) return plot.note("This loss gives no probabilities, so no scores.");
      for (const ghost of scene.ghosts)
        lines.slice(0, name === "logits" ? 1 : 2).forEach(([, colour, , dash], k) =>
          plot.curve(ghost.series, columns[k], scene.x[1], { colour: ink(theme, colour), width: 1.5, dash, alpha: ghost.strong ? 0.6 : 0.3, quiet: true }));
      lines.forEach(([, colour, end, dash], k) => plot.curve(series, columns[k], scene.until, { colour: ink(theme, colour), dash, name: end }));
      if (name === "logits") cliffs(plot, scene);
      if (run.forkedAt) plot.level("x", run.forkedAt, { colour: theme.muted, width: 2 }, name === "losses" ? `fork ${whole(run.forkedAt)}` : "");
      if (scene.cursor !== null) plot.level("x", scene.cursor, { colour: theme.muted, width: 2, alpha: 0.7 });
      if (scene.nanAt) plot.level("x", scene.nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, name === "losses" ? `NaN at ${whole(scene.nanAt)}` : "");
      if (name === scene.lowest) scene.guesses.forEach(guess => plot.flag(guess, theme.ink));
      return `${label}: ${reading(scene, lines, series.find(scene.until))}`;
    },
    probe(plot, scene, x) {
      const { series } = scene, k = Math.min(series.find(plot.back(x) - (scene.x[1] - scene.x[0]) / 1e3), series.find(scene.until + 1) - 1);
      if (k < 0 || (name === "scores" && !scene.run.scores)) return null;
      return { x: plot.x(series.at[k]), text: `iteration ${whole(series.at[k])}\n${reading(scene, lines, k, "\n")}` };
    },
  };
}

/** The values of entry k in words. @param {Scene} scene @param {any[][]} lines @param {number} k @param {string} [between] */
function reading({ series }, lines, k, between = ", ") {
  const at = Math.min(k, series.count - 1);
  if (at < 0) return "nothing yet";
  return lines.map(([quantity, , , , words]) => {
    const place = at * series.width + column(quantity), low = series.low[place], high = series.high[place];
    return `${words} ${short(low)}${high > low ? ` to ${short(high)}` : ""}`;
  }).join(between);
}

// ---- samples

/** How far the axis of the samples reaches: the real data's, or in steps as far as what is drawn; it shrinks only after two steps.
 * @param {Plot} plot @param {Run} run @param {Float32Array[]} drawn */
function reach(plot, run, drawn) {
  const real = realReach(run) * 1.05, steps = Math.max(0, Math.ceil(Math.log(Math.max(...drawn.map(biggest), real) / real) / Math.log(1.5)));
  const kept = plot.kept.run === run.run ? plot.kept.steps : 0;
  plot.kept = { run: run.run, steps: steps > kept || steps < kept - 1 ? steps : kept };
  return real * 1.5 ** Math.min(plot.kept.steps, 60);
}

/** Which rows of the picture are drawn, the loudest or marked one last. @param {Scene} scene @param {"fake"|"real"} side @param {number} most */
function choose({ run, picture, pinned }, side, most) {
  const rows = side === "real" && !picture.real.length ? run.real : picture[side];
  const count = rows.length / run.dimension, shown = Math.min(most, count);
  const drawn = Array.from({ length: shown }, (_, k) => row(rows, Math.floor(k * count / shown), run.dimension));
  const verdict = picture.verdict?.side === side && picture.verdict.index !== null ? picture.verdict.index : null;
  const index = pinned?.side === side ? pinned.index : verdict ?? (side === "fake" && count ? top(picture.fakeLogits) : null);
  const marked = pinned?.side === side ? pinned.sample : index === null ? null : sampleOf(picture, run, side, index);
  const why = pinned?.side === side ? `sample ${index} of iteration ${whole(pinned.iteration)}, logit ${short(pinned.logit)}`
    : verdict !== null ? `sample ${index} ended the run` : `${run.kind === "plane" ? "ring" : "thick"}: D's favourite`;
  return { drawn, marked, why, plain: !pinned && verdict === null };
}

/** Index of the largest number. @param {Float32Array} values */
const top = values => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);

/** Samples of one side. @param {"fake"|"real"} side @returns {Panel} */
function samples(side) {
  const colour = side === "fake" ? "g" : "real";
  return {
    name: side, label: side === "fake" ? "generated" : "real",
    title: run => [[side === "real" ? "real" : run.averaged ? "averaged G" : "generated", colour], [run.kind === "image" ? "" : run.unit, "muted"]],
    draw(plot, scene) {
      const { run, theme, picture } = scene, { drawn, marked, why, plain } = choose(scene, side, run.kind === "series" ? 5 : 64);
      const all = marked ? [...drawn, marked] : drawn, strong = plain ? ink(theme, colour) : theme.ink;
      if (run.kind === "image") return tiles(plot, scene, side === "real" ? drawn.slice(0, 12) : all.slice(-12), marked && !plain ? why : "");
      const most = reach(plot, run, side === "real" ? [] : all), plane = run.kind === "plane";
      plot.start(theme, { x: plane ? [-most, most] : [0, 1], y: [-most, most] });
      if (side === "fake" && !plane) plot.band(-realReach(run), realReach(run), theme.band, "real");
      const time = Float32Array.from({ length: run.dimension }, (_, k) => k / run.dimension);
      if (plane) scatter(plot, theme, side, picture, run);
      else drawn.forEach(sample => plot.line(time, sample, { colour: ink(theme, colour), width: 1.3, alpha: 0.75 }));
      if (marked && plane) plot.spot(plot.x(marked[0]), plot.y(marked[1]), plain ? -6 : -9, strong);
      else if (marked) plot.line(time, marked, { colour: strong, width: 3.5 });
      if (marked) plot.remark = why;
      return `${side === "fake" ? "generated" : "real"} samples reach ±${short(biggest(side === "real" && !picture.real.length ? run.real : picture[side]))} ${run.unit}; real data ±${short(realReach(run))}`;
    },
    probe(plot, { run }, x, y) {
      if (run.kind === "image") return null;
      const text = run.kind === "plane" ? `(${short(plot.back(x))}, ${short(plot.up(y))})` : `time ${short(plot.back(x))}\n${short(plot.up(y))} ${run.unit}`;
      return { x, y, text };
    },
  };
}

/** Points in the plane. @param {Plot} plot @param {import("./plot.js").Theme} theme @param {"fake"|"real"|"both"} side @param {Picture} picture @param {Run} run */
function scatter(plot, theme, side, picture, run) {
  const cloud = picture.cloud ?? picture.fake;
  plot.inside(() => {
    for (let k = 0; k < Math.min(run.real.length, 1000); k += 2) plot.spot(plot.x(run.real[k]), plot.y(run.real[k + 1]), side === "real" ? 2.2 : 1.6, theme.real);
    for (let k = 0; side !== "real" && k < cloud.length; k += 2) plot.spot(plot.x(cloud[k]), plot.y(cloud[k + 1]), 2.2, theme.g);
  });
}

/** Small images, the marked one last and framed. @param {Plot} plot @param {Scene} scene @param {Float32Array[]} images @param {string} why */
function tiles(plot, { run, theme }, images, why) {
  const side = Math.round(Math.sqrt(run.dimension)), most = realReach(run), wide = 4, high = 3, cell = side + 1;
  plot.start(theme, { x: [0, wide], y: [0, high], xTicks: false, yTicks: false });
  plot.image(wide * cell, high * cell, (column, fromBelow) => {
    const line = high * cell - 1 - fromBelow, k = Math.floor(line / cell) * wide + Math.floor(column / cell);
    const inside = column % cell < side && line % cell < side && k < images.length, value = inside ? images[k][line % cell * side + column % cell] / most : 0;
    // grey within the real range; beyond it the colours of the atlas, so that loud pixels are seen
    return !inside ? 0 : value > 1.25 ? shade(1) : value < -0.25 ? shade(-1) : pixel(Array(3).fill(255 * Math.min(Math.max(value, 0), 1)));
  });
  const outside = images.reduce((sum, image) => sum + image.filter(v => v > 1.25 * most || v < -0.25 * most).length, 0);
  if (why) plot.frame(images.length - 1, wide, high, theme.d);
  plot.remark = [why && `frame: ${why}`, outside && `coloured: outside 0 to ${short(most)}, up to ${short(Math.max(...images.map(biggest)))}`].filter(Boolean).join("; ");
  return `${images.length} images, ${outside} pixels outside the real data's range`;
}

// ---- the atlas

/** @type {Panel} */
const atlas = {
  name: "atlas", label: "atlas",
  title: run => run.kind === "plane" ? [["D over the plane", "ink"], ["purple: real, orange: generated", "muted"]]
    : [[run.slice ? "one slice of G" : "all that G can draw", "ink"], [run.averaged ? "averaged G" : "", "muted"], [`±${short(2 * realReach(run))} ${run.unit}`, "muted"]],
  draw(plot, scene) {
    const { run, picture, theme } = scene, points = picture.curve.length, stale = picture.atlasAt !== picture.iteration;
    if (run.kind === "plane" && picture.heat && picture.box) {
      const [x0, x1, y0, y1] = picture.box, side = Math.round(Math.sqrt(picture.heat.length)), heat = picture.heat;
      plot.start(theme, { x: [x0, x1], y: [y0, y1] });
      plot.image(side, side, (column, line) => shade(heat[line * side + column] / 10));
      scatter(plot, theme, "both", picture, run);
    } else {
      plot.start(theme, { x: [-run.reach, run.reach], y: [0, run.dimension], xTicks: false, yTicks: true, yFormat: () => "" });
      if (picture.image.length) plot.image(points, run.dimension, (k, line) => shade(picture.image[k * run.dimension + line] / (2 * realReach(run))));
    }
    if (stale) plot.remark = `as of iteration ${whole(picture.atlasAt)}`;
    return `${run.kind === "plane" ? "D's logit over the plane" : "what G draws for each latent"} at iteration ${whole(picture.atlasAt)}`;
  },
  probe(plot, { run, picture }, x, y) {
    if (run.kind === "plane") return { x, y, text: `(${short(plot.back(x))}, ${short(plot.up(y))})` };
    const k = Math.round((plot.back(x) + run.reach) / (2 * run.reach) * (picture.curve.length - 1)), line = Math.floor(plot.up(y));
    const value = picture.image[k * run.dimension + line];
    if (value === undefined || line < 0 || line >= run.dimension) return null;
    return { x, y, text: `z = ${short(plot.back(x))}\n${run.kind === "series" ? `time ${short(line / run.dimension)}` : `pixel ${line}`}: ${short(value)} ${run.unit}` };
  },
};

/** @type {Panel & {spots: {side: "fake"|"real", index: number, x: number, y: number}[]}} */
const along = {
  spots: [],
  name: "along", label: "D's logit",
  title: run => [["D's logit along z", "ink"], [run.slice ? "dots: the batch, projected" : "dots: the batch", "g"], ["real", "real"]],
  draw(plot, scene) {
    const { run, picture, theme, pinned } = scene, { curve, z, fakeLogits, realLogits, verdict } = picture;
    const values = [...curve, ...fakeLogits, ...realLogits].filter(Number.isFinite);
    plot.start(theme, /** @type {import("./plot.js").Axes} */ ({ x: [-run.reach, run.reach], ...logitAxis(run, Math.min(...values, 0), Math.max(...values, 0)) }));
    const { box } = plot, step = 2 * run.reach / (curve.length - 1), radius = theme.size * 0.3;
    let mark = () => {};
    plot.line(Array.from(curve, (_, k) => k * step - run.reach), curve, { colour: theme.ink, width: 2 });
    const spots = Array.from(fakeLogits, (logit, index) => ({ side: /** @type {"fake"|"real"} */ ("fake"), index, x: plot.x(z[index]), y: plot.y(logit) }));
    realLogits.forEach((logit, index) => spots.push({ side: "real", index, x: box.right - 6, y: plot.y(logit) }));
    for (const spot of spots) {
      const { x } = spot, colour = spot.side === "fake" ? theme.g : theme.real;
      [spot.x, spot.y] = [Math.min(Math.max(x, box.left), box.right), Math.min(Math.max(spot.y, box.top), box.bottom)];
      if (x > box.right || x < box.left) plot.arrowAcross(spot.x, spot.y, x > box.right ? 1 : -1, colour);
      else plot.spot(spot.x, spot.y, radius, colour);
      const fatal = verdict?.side === spot.side && verdict.index === spot.index, clicked = pinned?.side === spot.side && pinned.index === spot.index && pinned.iteration === picture.iteration;
      if (!fatal && !clicked) continue;
      plot.spot(spot.x, spot.y, -2.6 * radius, fatal ? theme.cliff : theme.muted);
      if (fatal) mark = () => plot.label((verdict?.rare ?? "").replace(" is as far out", ""), spot.x, spot.y, theme.cliff);
    }
    cliffs(plot, scene);
    mark();
    this.spots = spots;
    return `logits of ${whole(fakeLogits.length)} generated samples from ${short(Math.min(...fakeLogits))} to ${short(Math.max(...fakeLogits))}`;
  },
  step({ x }, step) {
    const next = this.spots.filter(spot => (spot.x - x) * step > 0.01).sort((a, b) => (a.x - b.x) * step)[0];
    return next ? { x: next.x, y: next.y } : null;
  },
  probe(plot, { run, picture }, x, y) {
    const near = this.spots.map(spot => ({ ...spot, far: Math.hypot(spot.x - x, spot.y - y) })).sort((a, b) => a.far - b.far)[0];
    if (near && near.far < 22) {
      const { side, index } = near, logit = picture[side === "fake" ? "fakeLogits" : "realLogits"][index];
      const latent = side === "real" ? "" : run.slice ? `\n|z| = ${short(picture.lengths?.[index] ?? NaN)}, along the slice ${short(picture.z[index])}` : `\nz = ${short(picture.z[index])}`;
      return { x: near.x, y: near.y, side, index, text: `${side === "fake" ? "generated" : "real"} sample ${index}${latent}\nlogit ${short(logit)}` };
    }
    const z = plot.back(x), k = Math.round((z + run.reach) / (2 * run.reach) * (picture.curve.length - 1)), value = picture.curve[k];
    return value === undefined ? null : { x, y: plot.y(value), text: `z = ${short(z)}\nD's logit ${short(value)}` };
  },
};

// ---- the hazard, and the guesses

/** @type {Panel} */
const hazard = {
  name: "hazard", label: "hazard",
  title: run => [["chance that the next batch kills this run", "ink"], [{ exact: "", tail: "estimated from the tail of recent batches", sampled: "estimated from sampled draws", none: "" }[run.hazard ?? "none"], "muted"]],
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

/** A class's guesses over the recorded lives at this rate. @type {Panel} */
const lives = {
  name: "lives", label: "guesses and recorded lives",
  title: () => [["the class's guesses", "ink"], ["grey bars: recorded lives at this rate, after the NaN", "muted"]],
  draw(plot, { theme, guesses, lives, nanAt }) {
    const bins = new Map(), bin = (/** @type {number} */ n) => Math.floor(5 * Math.log10(n));
    for (const life of lives) bins.set(bin(life), (bins.get(bin(life)) ?? 0) + 1);
    const most = Math.max(...bins.values(), 1);
    plot.start(theme, { x: [1, Math.max(1e5, ...guesses, ...lives)], y: [0, 1.2 * most], xs: "log", yTicks: false });
    for (const [k, count] of bins) plot.bar(10 ** (k / 5), 10 ** ((k + 1) / 5), count, theme.real);
    for (const guess of guesses) plot.level("x", guess, { colour: theme.g, width: 2, alpha: 0.6 });
    if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, `NaN at ${whole(nanAt)}`);
    return `${guesses.length} guesses, median ${guesses.length ? whole(median(guesses)) : "none"}; ${lives.length} recorded lives${lives.length ? `, median ${whole(median(lives))}` : ""}`;
  },
  probe: () => null,
};

/** @type {Panel[]} */
export const PANELS = [
  curves("losses", "loss", [["loss_g", "g", "G", SOLID, "G"], ["loss_d", "d", "D", DASHED, "D"]], [["— G", "g"], ["- - D", "d"]],
    (scene, range) => lossAxis(scene.run, range)),
  curves("scores", "score", [["score_g", "g", "G", SOLID, "G"], ["score_d", "d", "D", DASHED, "D"]], [["— G", "g"], ["- - D", "d"]],
    () => ({ y: [-0.05, 1.05] })),
  curves("logits", "logit", [["fake_max", "g", "", SOLID, "largest generated"], ["fake_min", "g", "", DOTTED, "smallest generated"],
    ["real_max", "real", "", SOLID, "largest real"], ["real_min", "real", "", DASHED, "smallest real"]],
  [["— largest, ··· smallest generated", "g"], ["— largest, - - smallest real", "real"]],
  (scene, [low, high]) => logitAxis(scene.run, low, high)),
  samples("real"), samples("fake"), atlas, along, hazard, lives,
];
