// All panels, as a table. `title(run)`: words, and the colour they are in. `draw(plot, scene)` returns what it shows, in words.
// `read(scene, x, y)`: what stands at a place, and `spot(scene, dot)` at a dot that is near. A scene is what scene() in view.js returns.

import { QUANTITIES } from "./series.js";
import { chance, clamp, median, short, whole } from "./text.js";

/** @typedef {import("./types.js").Run} Run */
/** @typedef {"fake"|"real"} Side */

const DASHED = [7, 6], DOTTED = [0.1, 5], TILES = { wide: 4, high: 3 };

/** The next of 1, 2, 4, 10, 20 ... : axes that grow in steps do not tremble. */
function stepUp(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return power * ([1, 2, 4].find(m => m * power >= v) ?? 10);
}
/** The largest finite size of some numbers. */
const biggest = values => values.reduce((most, v) => (Math.abs(v) > most && Math.abs(v) < Infinity ? Math.abs(v) : most), 0);
const realReach = run => run.most ??= biggest(run.real) || 1;
/** Row k of a (rows, width) array. */
const row = (rows, k, width) => rows.subarray(k * width, (k + 1) * width);

/** The sample of the batch with this number, if the engine sent it. */
export function sampleOf(picture, run, side, index) {
  const k = side === "fake" && picture.fakeIndex ? picture.fakeIndex.indexOf(index) : index;
  return k < 0 || (k + 1) * run.dimension > picture[side].length ? null : row(picture[side], k, run.dimension).slice();
}

const pixel = (r, g, b) => (255 << 24 | b << 16 | g << 8 | r) >>> 0; // as canvas keeps it
const STOPS = [[179, 88, 6], [241, 163, 64], [247, 247, 247], [153, 142, 195], [84, 39, 136]]; // matplotlib's PuOr
/** A colour between orange (-1), nearly white (0) and purple (1). */
const SHADES = Array.from({ length: 257 }, (_, i) => {
  const k = Math.min(Math.floor(i / 64), 3), [r, g, b] = STOPS[k].map((v, c) => v + (STOPS[k + 1][c] - v) * (i / 64 - k));
  return pixel(r, g, b);
});
const shade = share => SHADES[Math.round((clamp(share || 0, -1, 1) + 1) * 128)];

// ---- curves over the iterations

/** An axis with both cliffs and all logits. */
function logitAxis(run, low, high) {
  const reach = (cliff, most) => stepUp(clamp(most, Math.max(40, 1.2 * Math.abs(cliff ?? 0)), 1e6));
  return [-reach(run.low, -low), reach(run.high, high), 20];
}

function cliffs(plot, { run, theme }, share = 0) {
  for (const v of [run.high, run.low])
    if (v !== null) plot.level("y", v, { colour: theme.cliff, dash: DASHED }, `cliff ${v > 0 ? v.toFixed(2) : short(v)}`, share);
}

/** Logarithmic down to 0.01, and on to 0: a loss of 0 has its place. */
const lossAxis = (run, low, high) =>
  [run.signed ? -stepUp(clamp(-low, 10, 1e6)) : 0, stepUp(clamp(high, 10, 1e6)), run.signed ? 1 : 0.01];

/** The mark of a NaN, and what else stands at an iteration. */
function events(plot, { theme, run, nanAt, cursor }, named) {
  const label = (words, at) => (named ? `${words} ${whole(at)}` : "");
  if (run.forkedAt) plot.level("x", run.forkedAt, { colour: theme.muted }, label("fork", run.forkedAt));
  if (cursor !== null) plot.level("x", cursor, { colour: theme.muted, alpha: 0.7 });
  if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, label("NaN at", nanAt));
}

/** A panel of curves. Each of its `lines` is [quantity, colour, dash, its name in words, its name at the curve's end]; `of` is
 * what they are drawn from, `axis(run, low, high)` the y axis, `ghosts` the number of lines drawn of earlier runs. */
function curves({ name, lines, axis, of = "series", say = short, ghosts = 0, quiet = false, ...panel }) {
  const unknown = run => (name === "scores" && !run.scores ? "This loss gives no probabilities, so no scores" : "");
  const reading = ({ low, high }, between) => lines.map(([q, , , words]) =>
    `${words} ${say(low[q])}${high[q] > low[q] ? ` to ${say(high[q])}` : ""}`.trim()).join(between);
  return {
    name, label: name, ...panel,
    draw(plot, scene) {
      const { theme, run, x, until, guesses } = scene, series = scene[of], lowest = name === scene.lowest;
      const drawn = [[series, until], ...(ghosts ? scene.ghosts.map(ghost => [ghost.series, x[1]]) : [])];
      const ranges = drawn.map(([rows, end]) => rows.extremes(lines.map(([q]) => q), x[0], end));
      const y = axis(run, Math.min(...ranges.map(([low]) => low)), Math.max(...ranges.map(([, high]) => high)));
      const missing = unknown(run);
      plot.start(theme, x, y, of === "hazards" ? "xy" : scene.narrow || lowest ? "" : "x");
      if (missing) {
        plot.text(`${missing}.`, plot.box.left, plot.box.bottom / 2, theme.muted);
        return missing;
      }
      for (const ghost of ghosts ? scene.ghosts : []) for (const [q, colour, dash] of lines.slice(0, ghosts)) {
        const style = { colour: theme[colour], width: 1.5, dash, alpha: ghost.strong ? 0.6 : 0.3, quiet: true };
        plot.curve(ghost.series, q, x[1], { ...style, name: ghosts === 1 ? ghost.name : "" });
      }
      for (const [q, colour, dash, , end] of lines) plot.curve(series, q, until, { colour: theme[colour], dash, name: end, quiet });
      if (name === "logits") cliffs(plot, scene);
      events(plot, scene, name === "losses");
      if (lowest) plot.dots(guesses, guesses.map(() => y[0]), 5, theme.ink);
      const now = series.entries[series.find(until + 1) - 1];
      if (now && name === "losses") plot.remark = lines.filter(([q]) => now.high[q] === 0).map(([, , , of]) => `${of}'s loss is 0`).join(", ");
      return `${this.label}: ${now ? reading(now, ", ") : "nothing yet"}`;
    },
    read(scene, x) {
      const { entries } = scene[of], k = scene[of].find(Math.min(Math.round(x), scene.until));
      const entry = entries[Math.min(k, entries.length - 1)];
      return entry && !unknown(scene.run) ? `iteration ${whole(entry.at)}\n${reading(entry, "\n")}` : "";
    },
  };
}

// ---- samples

/** An axis as far as the real data, or in steps as far as what is drawn. It shrinks only after two steps. */
function reach(plot, run, drawn) {
  const real = realReach(run) * 1.05, most = Math.max(...drawn.map(biggest), real), { kept } = plot;
  const steps = Math.min(Math.ceil(Math.log(most / real) / Math.log(1.5)), 60);
  if (kept.run !== run.run || steps > kept.steps || steps < kept.steps - 1) plot.kept = { run: run.run, steps };
  return [-real * 1.5 ** plot.kept.steps, real * 1.5 ** plot.kept.steps];
}

/** The sample that is drawn thick, and why: it was clicked, it ended the run, or D likes it best. */
function marked({ run, picture, pinned }, side) {
  const { verdict, fakeLogits } = picture, fatal = verdict?.side === side ? verdict.index : null;
  const { index, iteration, logit } = pinned ?? {};
  if (pinned?.side === side)
    return { ...pinned, special: true, why: `sample ${index} of iteration ${whole(iteration)}, logit ${short(logit)}` };
  if (fatal === null && (side === "real" || !fakeLogits.length)) return { sample: null, why: "", special: false };
  const best = fatal ?? fakeLogits.indexOf(Math.max(...fakeLogits));
  return { sample: sampleOf(picture, run, side, best), special: fatal !== null,
    why: fatal === null ? `${run.kind === "plane" ? "ring" : "thick"}: D's favourite` : `sample ${best} ended the run` };
}

/** Curves over time, on an axis that lets generated ones be loud: a band says where the real ones are. */
function overTime(plot, { run, theme }, side, drawn, { sample, special }) {
  const y = reach(plot, run, side === "real" ? [] : [...drawn, sample ?? []]), real = realReach(run);
  const colour = side === "fake" ? theme.g : theme.real, time = Array.from({ length: run.dimension }, (_, k) => k / run.dimension);
  plot.start(theme, [0, 1], y);
  if (side === "fake") plot.area([0, -real], [1, real], theme.band);
  if (side === "fake") plot.text("real", plot.box.right, plot.y(-real) - theme.size * 0.7, theme.muted);
  for (const one of drawn) plot.line(time, one, { colour, width: 1, alpha: 0.85 });
  if (sample) plot.line(time, sample, { colour: special ? theme.ink : colour, width: 3.5 });
}

/** Points in the plane: the real ones grey, those of G blue. */
function scatter(plot, { theme, run, picture }, generated) {
  const dots = (points, radius, colour) => plot.dots(...[0, 1].map(odd => points.filter((_, k) => k % 2 === odd)), radius, colour);
  dots(run.real.subarray(0, 1000), generated ? 1.6 : 2.2, theme.real);
  if (generated) dots(picture.cloud ?? picture.fake, 2.2, theme.g);
}

function inThePlane(plot, scene, side, _, { sample, special }) {
  const { run, picture, theme } = scene;
  const axis = reach(plot, run, side === "real" ? [] : [picture.fake, picture.cloud ?? picture.fake]);
  plot.start(theme, axis, axis);
  scatter(plot, scene, side === "fake");
  if (sample) plot.ring(plot.x(sample[0]), plot.y(sample[1]), special ? 9 : 6, special ? theme.ink : theme.g);
}

/** Small images; a special one is the last, in orange. Grey within the real data's range, beyond it the atlas' colours. */
function tiles(plot, { run, theme }, side, drawn, { sample, special }) {
  const edge = Math.round(Math.sqrt(run.dimension)), most = realReach(run), cell = edge + 1, { wide, high } = TILES;
  const images = sample ? [...drawn.slice(1), sample] : drawn, frame = pixel(213, 94, 0);
  plot.start(theme, [0, wide], [0, high], "xy");
  plot.image(wide * cell, high * cell, (column, fromBelow) => {
    const line = high * cell - 1 - fromBelow, k = Math.floor(line / cell) * wide + Math.floor(column / cell);
    if (k >= images.length) return 0;
    if (column % cell === edge || line % cell === edge) return special && k === images.length - 1 ? frame : 0;
    const value = images[k][line % cell * edge + column % cell] / most, grey = 255 * clamp(value, 0, 1);
    return value > 1.25 ? shade(1) : value < -0.25 ? shade(-1) : pixel(grey, grey, grey);
  });
  return images.some(image => image.some(v => v > 1.25 * most || v < -0.25 * most)) ? `coloured: outside 0 to ${short(most)}` : "";
}

const KINDS = { series: [overTime, 5], plane: [inThePlane, 0], image: [tiles, TILES.wide * TILES.high] }; // and samples shown

/** Samples of one side: the real ones on an axis of their own, the generated ones on an axis that lets them be loud. */
const samples = (/** @type {Side} */ side) => ({
  name: side, label: side === "fake" ? "generated" : "real",
  title: run => [side === "real" ? ["real", "real"] : [run.averaged ? "averaged G" : "generated", "g"],
    [run.kind === "image" ? "" : run.unit, "muted"]],
  draw(plot, scene) {
    const { run, picture } = scene, rows = side === "real" && !picture.real.length ? run.real : picture[side];
    const [draw, most] = KINDS[run.kind], count = rows.length / run.dimension, shown = Math.min(most, count);
    const drawn = Array.from({ length: shown }, (_, k) => row(rows, Math.floor(k * count / shown), run.dimension));
    const mark = marked(scene, side), loud = draw(plot, scene, side, drawn, mark);
    plot.remark = [mark.sample ? mark.why : "", loud].filter(Boolean).join("; ");
    return `${this.label} samples reach ±${short(biggest(rows))} ${run.unit}; real data ±${short(realReach(run))}`;
  },
  read: ({ run }, x, y) => ({ image: "", plane: `(${short(x)}, ${short(y)})`, series: `time ${short(x)}\n${short(y)} ${run.unit}` })[run.kind],
});

// ---- along the latent

/** The point of the atlas at latent z. */
const nearest = ({ run, picture }, z) => Math.round((z + run.reach) / (2 * run.reach) * (picture.curve.length - 1));

/** All that G can draw along one latent number; of 2-D data D's heat map and G's points. */
const atlas = {
  name: "atlas", label: "atlas",
  title: run => run.kind === "plane" ? [["D over the plane", "ink"], ["purple: real, orange: generated", "muted"]]
    : [[run.slice ? "one slice of G" : "all that G can draw", "ink"], [run.averaged ? "averaged G" : "", "muted"],
      [`±${short(2 * realReach(run))} ${run.unit}`, "muted"]],
  draw(plot, scene) {
    const { run, picture, theme } = scene, { heat, box, image, curve } = picture, plane = run.kind === "plane";
    if (plane && heat && box) {
      const side = Math.round(Math.sqrt(heat.length));
      plot.start(theme, box.subarray(0, 2), box.subarray(2));
      plot.image(side, side, (column, line) => shade(heat[line * side + column] / 10));
      scatter(plot, scene, true);
    } else {
      plot.start(theme, [-run.reach, run.reach], [0, run.dimension]);
      const value = (k, line) => image[k * run.dimension + line] / (2 * realReach(run));
      if (image.length) plot.image(curve.length, run.dimension, (k, line) => shade(value(k, line)));
    }
    if (picture.atlasAt !== picture.iteration) plot.remark = `as of iteration ${whole(picture.atlasAt)}`;
    return `${plane ? "D's logit over the plane" : "what G draws for each latent"} at iteration ${whole(picture.atlasAt)}`;
  },
  read(scene, z, up) {
    const { run, picture } = scene, line = clamp(Math.floor(up), 0, run.dimension - 1);
    if (run.kind === "plane") return `(${short(z)}, ${short(up)})`;
    const value = picture.image[nearest(scene, z) * run.dimension + line];
    const place = run.kind === "series" ? `time ${short(line / run.dimension)}` : `pixel ${line}`;
    return value === undefined ? "" : `z = ${short(z)}\n${place}: ${short(value)} ${run.unit}`;
  },
};

/** A sample's dot in words. */
function dotWords({ run, picture: { z, lengths, fakeLogits, realLogits } }, { side, index: k }) {
  if (side === "real") return `real sample ${k}\nlogit ${short(realLogits[k])}`;
  const latent = run.slice ? `|z| = ${short(lengths?.[k] ?? NaN)}, along the slice ${short(z[k])}` : `z = ${short(z[k])}`;
  return `generated sample ${k}\n${latent}\nlogit ${short(fakeLogits[k])}`;
}

/** D's logit along the latent, and the batch's dots. */
const along = {
  name: "along", label: "D's logit",
  title: run => [["D's logit along z", "ink"], [`dots: the batch${run.slice ? ", projected" : ""}`, "g"], ["real", "real"]],
  draw(plot, scene) {
    const { run, picture, theme, pinned } = scene, { curve, z, fakeLogits, realLogits, verdict } = picture, radius = theme.size * 0.3;
    const values = [0, ...curve, ...fakeLogits, ...realLogits].filter(Number.isFinite);
    plot.start(theme, [-run.reach, run.reach], logitAxis(run, Math.min(...values), Math.max(...values)));
    plot.line(Array.from(curve, (_, k) => (2 * k / (curve.length - 1) - 1) * run.reach), curve, { colour: theme.ink });
    plot.dots(z, fakeLogits, radius, theme.g, "fake");
    plot.dots(realLogits.map(() => run.reach * 0.97), realLogits, radius, theme.real, "real");
    cliffs(plot, scene, 0.4); // where dots are low
    const clicked = pinned?.iteration === picture.iteration && pinned;
    for (const [one, colour] of [[clicked, theme.muted], [verdict, theme.cliff]]) {
      const spot = plot.spots.find(({ side, index }) => side === one?.side && index === one.index);
      if (spot) plot.ring(spot.x, spot.y, theme.size * 0.8, colour);
    }
    plot.remark = (verdict?.rare ?? "").replace(" is as far out", "");
    const ends = [Math.min(...fakeLogits), Math.max(...fakeLogits)].map(short).join(" to ");
    return fakeLogits.length ? `logits of ${whole(fakeLogits.length)} generated samples from ${ends}` : "no batch yet";
  },
  spot: dotWords,
  read(scene, z) {
    const value = scene.picture.curve[nearest(scene, z)];
    return value === undefined ? "" : `z = ${short(z)}\nD's logit ${short(value)}`;
  },
};

/** A class's guesses over the recorded lives at this rate: five bars a decade. */
const lives = {
  name: "lives", label: "guesses and recorded lives",
  title: () => [["the class's guesses", "ink"], ["grey bars: recorded lives at this rate, after the NaN", "muted"]],
  draw(plot, { theme, guesses, lives, nanAt }) {
    const bars = new Map(), middle = numbers => (numbers.length ? `, median ${whole(median(numbers))}` : "");
    for (const bar of lives.map(life => Math.floor(5 * Math.log10(life)))) bars.set(bar, (bars.get(bar) ?? 0) + 1);
    plot.start(theme, [0, Math.max(1e5, ...guesses, ...lives), 1], [0, 1.2 * Math.max(...bars.values(), 1)], "y");
    for (const [k, count] of bars) plot.area([10 ** (k / 5), 0], [10 ** ((k + 1) / 5), count], theme.real);
    for (const guess of guesses) plot.level("x", guess, { colour: theme.g, alpha: 0.6 });
    if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, `NaN at ${whole(nanAt)}`);
    return `${guesses.length} guesses${middle(guesses)}; ${lives.length} recorded lives${middle(lives)}`;
  },
};

const line = (quantity, ...rest) => [QUANTITIES.indexOf(quantity), ...rest];
const titled = (...words) => () => words, LEGEND = [["— G", "g"], ["- - D", "d"]];
const FOUND = { exact: "", tail: "estimated from the tail of recent batches", sampled: "estimated from sampled draws" };
const HAZARD = "chance that the next batch kills this run";

export const PANELS = [
  curves({ name: "losses", title: titled(["losses", "ink"], ...LEGEND), axis: lossAxis, ghosts: 2,
    lines: [line("loss_g", "g", [], "G", "G"), line("loss_d", "d", DASHED, "D", "D")] }),
  curves({ name: "scores", title: titled(["scores", "ink"], ...LEGEND), axis: () => [-0.05, 1.05], ghosts: 2,
    lines: [line("score_g", "g", [], "G", "G"), line("score_d", "d", DASHED, "D", "D")] }),
  curves({ name: "logits", axis: logitAxis, ghosts: 1,
    title: titled(["logits", "ink"], ["— largest, ··· smallest generated", "g"], ["— largest, - - smallest real", "real"]),
    lines: [line("fake_max", "g", [], "largest generated"), line("fake_min", "g", DOTTED, "smallest generated"),
      line("real_max", "real", [], "largest real"), line("real_min", "real", DASHED, "smallest real")] }),
  samples("real"), samples("fake"), atlas, along,
  curves({ name: "hazard", of: "hazards", say: chance, quiet: true, lines: [[0, "ink", [], ""]],
    title: run => [[HAZARD, "ink"], [FOUND[run.hazard] ?? "", "muted"]],
    axis: () => [0, 1, 1e-6] }),
  lives,
];
