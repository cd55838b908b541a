// All panels, as a table. `title(run)`: words, and the colour they are in. `draw(plot, scene)` returns a function that says
// what it shows. `read(scene, x, y)`: what stands at a place, `spot(scene, dot)`: at a dot that is near. scene: see view.js.

import { QUANTITIES } from "./series.js";
import { clamp, guessesText, median, plain, short, whole } from "./text.js";

const DASHED = [7, 6], DOTTED = [0.1, 5], TILES = { wide: 4, high: 3 };

/** The next of 1, 2, 4, 10, 20 ... : axes that grow in steps do not tremble. */
function stepUp(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return power * ([1, 2, 4].find(m => m * power >= v) ?? 10);
}
/** The largest finite size of some numbers. */
const biggest = values => values.reduce((most, v) => (Math.abs(v) > most && Math.abs(v) < Infinity ? Math.abs(v) : most), 0);
const realReach = run => run.most || 1;
/** Row k of a (rows, width) array. */
const row = (rows, k, width) => rows.subarray(k * width, (k + 1) * width);

/** The sample of the batch with this number, if the engine sent it. */
export function sampleOf(picture, run, side, index) {
  const k = side === "fake" && picture.fakeIndex ? picture.fakeIndex.indexOf(index) : index;
  return k < 0 || (k + 1) * run.dimension > picture[side].length ? null : row(picture[side], k, run.dimension).slice();
}

const ORANGE = 0x0658b3, PURPLE = 0x882754; // as canvas keeps them: blue, green, red
/** Orange (-1), nothing (0), purple (1). */
const shade = share => (Math.round(255 * Math.min(Math.abs(share || 0), 1)) << 24 | (share < 0 ? ORANGE : PURPLE)) >>> 0;

// ---- curves over the iterations

/** An axis with both cliffs and all logits. */
function logitAxis(run, low, high) {
  const reach = (cliff, most) => stepUp(clamp(most, Math.max(40, 1.2 * Math.abs(cliff ?? 0)), 1e6));
  return [-reach(run.low, -low), reach(run.high, high), 20];
}
/** Logarithmic down to 0.01, and on to 0: a loss of 0 has its place. */
const lossAxis = (run, low, high) =>
  [run.signed ? -stepUp(clamp(-low, 10, 1e6)) : 0, stepUp(clamp(high, 10, 1e6)), run.signed ? 1 : 0.01];

function cliffs(plot, { run, theme }, share = 0) {
  for (const v of [run.high, run.low])
    if (v !== null) plot.level("y", v, { colour: theme.cliff, dash: DASHED }, `cliff ${v > 0 ? v.toFixed(2) : short(v)}`, share);
}

/** Lowest and highest finite value of some lines; [∞, -∞] if none is finite. */
function extremes(lines) {
  const all = end => lines.flatMap(({ q, entries }) => entries.map(entry => entry[end][q])).filter(Number.isFinite);
  return [Math.min(...all("low")), Math.max(...all("high"))];
}

/** A panel of curves. Each of its `lines` is [quantity, colour, dash, its name]; `axis(run, low, high)` is the y axis;
 * of earlier runs, `ghosts` lines are drawn. */
function curves({ name, title, lines, axis, ghosts }) {
  const styles = lines.map(([quantity, colour, dash, words]) => ({ q: QUANTITIES.indexOf(quantity), colour, dash, words }));
  const missing = run => (name === "scores" && !run.scores ? "This loss gives no probabilities, so no scores" : "");
  const reading = ({ low, high }, between) =>
    styles.map(({ q, words }) => `${words} ${short(low[q])}${high[q] > low[q] ? ` to ${short(high[q])}` : ""}`).join(between);
  return {
    name, label: name, title: () => [[name, "ink"], ...title],
    draw(plot, scene) {
      const { theme, run, x, until, guesses, cursor, nanAt } = scene, lowest = name === scene.lowest, words = missing(run);
      const entries = scene.series.between(x[0], until), now = entries.at(-1), label = text => (name === "losses" ? text : "");
      const faint = scene.ghosts.flatMap(({ series, ...ghost }) => styles.slice(0, ghosts).map(style => (
        { ...style, ...ghost, name: ghosts === 1 ? ghost.name : "", entries: series.between(...x) })));
      const drawn = [...faint, ...styles.map(style => ({ ...style, entries }))], y = axis(run, ...extremes(drawn));
      plot.start(theme, x, y, scene.narrow || lowest ? "" : "x");
      if (words) plot.text(`${words}.`, plot.box.left, plot.box.bottom / 2, theme.muted);
      if (words) return () => words;
      for (const { entries: rows, q, ...style } of drawn) plot.curve(rows, q, { ...style, colour: theme[style.colour] });
      if (name === "logits") cliffs(plot, scene);
      if (run.forkedAt) plot.level("x", run.forkedAt, { colour: theme.muted }, label(`fork ${whole(run.forkedAt)}`));
      if (cursor !== null) plot.level("x", cursor, { colour: theme.muted, alpha: 0.7 });
      if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, label(`NaN at ${whole(nanAt)}`));
      if (lowest) plot.dots(guesses, guesses.map(() => y[0]), 5, theme.ink);
      const zero = now && name === "losses" ? styles.filter(({ q }) => now.high[q] === 0) : [];
      plot.remark = zero.map(style => `${style.words}'s loss is 0`).join(", ");
      return () => `${name}: ${now ? reading(now, ", ") : "nothing yet"}`;
    },
    read({ series, run, until }, x) {
      const entries = series.between(1, until), entry = entries.find(({ at }) => at >= Math.round(x)) ?? entries.at(-1);
      return entry && !missing(run) && x > (run.forkedAt ?? 0) - 0.5 ? `iteration ${whole(entry.at)}\n${reading(entry, "\n")}` : "";
    },
  };
}

// ---- samples

/** An axis as far as the real data, or in steps as far as what is drawn. */
function reach(run, drawn) {
  const real = 1.05 * realReach(run), far = Math.max(0, ...drawn.map(biggest)) / real;
  const most = real * 2 ** Math.max(0, Math.ceil(Math.log2(far)));
  return [-most, most];
}

/** The sample that is marked, and why: it was clicked, it ended the run, or D likes it best. */
function marked({ run, picture, pinned }, side) {
  const { verdict, fakeLogits } = picture, clicked = pinned?.side === side && pinned, { sample, index } = clicked || {};
  const words = clicked && `sample ${index} of iteration ${whole(clicked.iteration)}, logit ${short(clicked.logit)}`;
  if (sample) return { sample, special: true, why: words };
  if (verdict?.side === side)
    return { sample: sampleOf(picture, run, side, verdict.index), special: true, why: `sample ${verdict.index} ended the run` };
  const best = side === "fake" ? fakeLogits.indexOf(Math.max(...fakeLogits)) : -1;
  const why = words ? `${words}, was not sent; marked: D's favourite` : "marked: D's favourite";
  return { sample: sampleOf(picture, run, side, best), special: false, why };
}

/** Curves over time, on an axis that lets generated ones be loud: a band says where the real ones are. */
function overTime(plot, { run, theme }, side, drawn, { sample, special }) {
  const real = realReach(run), colour = side === "fake" ? theme.g : theme.real;
  const time = Array.from({ length: run.dimension }, (_, k) => k / run.dimension);
  plot.start(theme, [0, 1], reach(run, side === "real" ? [] : [...drawn, sample ?? []]));
  if (side === "fake") plot.area([0, -real], [1, real], theme.band);
  for (const one of drawn) plot.line(time, one, { colour, width: 1, alpha: 0.85 });
  if (sample) plot.line(time, sample, { colour: special ? theme.ink : colour, width: 3.5 });
  if (side === "fake") plot.text("real", plot.box.right, plot.y(-real) - theme.size * 0.7, theme.muted);
}

/** Points in the plane: the real ones grey, those of G blue. */
function scatter(plot, { theme, run, picture }, generated) {
  const every = (points, odd) => points.filter((_, k) => k % 2 === odd);
  const dots = (points, radius, colour) => plot.dots(every(points, 0), every(points, 1), radius, colour);
  dots(run.real.subarray(0, 1000), generated ? 1.6 : 2.2, theme.real);
  if (generated) dots(picture.cloud ?? picture.fake, 2.2, theme.g);
}

function inThePlane(plot, scene, side, _, { sample, special }) {
  const { run, picture, theme } = scene, axis = reach(run, side === "real" ? [] : [picture.fake, picture.cloud ?? []]);
  plot.start(theme, axis, axis);
  scatter(plot, scene, side === "fake");
  if (sample) plot.ring({ x: plot.x(sample[0]), y: plot.y(sample[1]) }, special ? 9 : 6, special ? theme.ink : theme.g);
}

/** Small images; a special one is the last, in a frame. Grey within the real data's range, beyond it the atlas' colours. */
function tiles(plot, { run, theme }, side, drawn, { sample, special }) {
  const edge = Math.sqrt(run.dimension), most = realReach(run), images = sample ? [...drawn.slice(1), sample] : drawn;
  const outside = v => v > 1.25 * most || v < -0.25 * most;
  const grey = v => (Math.round(255 * clamp(v / most, 0, 1)) * 0x010101 | 255 << 24) >>> 0;
  plot.start(theme, [0, TILES.wide], [0, TILES.high], "xy");
  images.forEach((image, k) => {
    const left = k % TILES.wide, low = TILES.high - 1 - Math.floor(k / TILES.wide);
    if (special && k === images.length - 1) plot.area([left - 0.05, low - 0.05], [left + 1, low + 1], theme.d);
    const colours = Array.from(image, v => (outside(v) ? shade(v) : grey(v))); // from the top down
    plot.image(edge, edge, (column, up) => colours[(edge - 1 - up) * edge + column], [[left, low], [left + 0.95, low + 0.95]]);
  });
  return images.some(image => image.some(outside)) ? `coloured: outside 0 to ${short(most)}` : "";
}

const KINDS = { series: [overTime, 5], plane: [inThePlane, 0], image: [tiles, TILES.wide * TILES.high] }; // and samples shown

/** Samples of one side: the real ones on an axis of their own, the generated ones on an axis that lets them be loud. */
const samples = (/** @type {"fake"|"real"} */ side) => ({
  name: side, label: side === "fake" ? "generated" : "real",
  title: run => [side === "real" ? ["real", "real"] : [run.averaged ? "averaged G" : "generated", "g"],
    [run.kind === "image" ? "" : run.unit, "muted"]],
  draw(plot, scene) {
    const { run, picture } = scene, rows = side === "real" && !picture.real.length ? run.real : picture[side];
    const [draw, most] = KINDS[run.kind], count = rows.length / run.dimension, shown = Math.min(most, count);
    const drawn = Array.from({ length: shown }, (_, k) => row(rows, Math.floor(k * count / shown), run.dimension));
    const mark = marked(scene, side), loud = draw(plot, scene, side, drawn, mark);
    plot.remark = [mark.sample && mark.why, loud].filter(Boolean).join("; ");
    return () => `${this.label} samples reach ±${short(biggest(rows))} ${run.unit}; real data ±${short(realReach(run))}`;
  },
  read: ({ run: { kind, unit } }, x, y) =>
    ({ image: "", plane: `(${short(x)}, ${short(y)})`, series: `time ${short(x)}\n${short(y)} ${unit}` })[kind],
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
      const side = Math.round(Math.sqrt(heat.length)), [left, right, low, high] = box;
      plot.start(theme, [left, right], [low, high]);
      plot.image(side, side, (column, line) => shade(heat[line * side + column] / 10), [[left, low], [right, high]]);
      scatter(plot, scene, true);
    } else {
      const value = (k, line) => image[k * run.dimension + line] / (2 * realReach(run));
      const corners = [[-run.reach, 0], [run.reach, run.dimension]];
      plot.start(theme, [-run.reach, run.reach], [0, run.dimension]);
      if (image.length) plot.image(curve.length, run.dimension, (k, line) => shade(value(k, line)), corners);
    }
    if (picture.atlasAt !== picture.iteration) plot.remark = `as of iteration ${whole(picture.atlasAt)}`;
    return () => `${plane ? "D's logit over the plane" : "what G draws for each latent"} at iteration ${whole(picture.atlasAt)}`;
  },
  read(scene, z, up) {
    const { run, picture } = scene, line = clamp(Math.floor(up), 0, run.dimension - 1);
    if (run.kind === "plane") return `(${short(z)}, ${short(up)})`;
    const value = picture.image[nearest(scene, z) * run.dimension + line];
    return value === undefined ? "" : `z = ${short(z)}\nnumber ${line} of the sample: ${short(value)} ${run.unit}`;
  },
};

/** D's logit along the latent, and the batch's dots. */
const along = {
  name: "along", label: "D's logit",
  title: run => [["D's logit along z", "ink"], [`● batch${run.slice ? ", projected" : ""}`, "g"], ["● real", "real"]],
  draw(plot, scene) {
    const { run, picture, theme, pinned } = scene, { curve, z, fakeLogits, realLogits, verdict } = picture;
    const values = [0, ...curve, ...fakeLogits, ...realLogits].filter(Number.isFinite);
    plot.start(theme, [-run.reach, run.reach], logitAxis(run, Math.min(...values), Math.max(...values)));
    plot.line(Array.from(curve, (_, k) => (2 * k / (curve.length - 1) - 1) * run.reach), curve, { colour: theme.ink });
    plot.dots(z, fakeLogits, theme.size * 0.3, theme.g, "fake");
    plot.dots(realLogits.map(() => run.reach * 0.97), realLogits, theme.size * 0.3, theme.real, "real");
    cliffs(plot, scene, 0.4); // where dots are low
    const clicked = pinned?.iteration === picture.iteration && pinned;
    for (const [one, colour] of [[clicked, theme.muted], [verdict, theme.cliff]]) {
      const spot = plot.spots.find(({ side, index }) => side === one?.side && index === one.index);
      if (spot) plot.ring(spot, theme.size * 0.8, colour);
    }
    const count = fakeLogits.length, ends = () => [Math.min(...fakeLogits), Math.max(...fakeLogits)].map(short).join(" to ");
    return () => (count ? `logits of ${whole(count)} generated samples from ${ends()}` : "no batch yet");
  },
  spot({ run, picture: { z, lengths, fakeLogits, realLogits } }, { side, index: k }) {
    if (side === "real") return `real sample ${k}\nlogit ${short(realLogits[k])}`;
    const latent = run.slice ? `|z| = ${short(lengths?.[k] ?? NaN)}, along the slice ${short(z[k])}` : `z = ${short(z[k])}`;
    return `generated sample ${k}\n${latent}\nlogit ${short(fakeLogits[k])}`;
  },
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
    const bars = new Map();
    for (const bar of lives.map(life => Math.floor(5 * Math.log10(life)))) bars.set(bar, (bars.get(bar) ?? 0) + 1);
    plot.start(theme, [0, Math.max(1e5, ...guesses, ...lives), 1], [0, 1.2 * Math.max(...bars.values(), 1)], "y");
    for (const [k, count] of bars) plot.area([10 ** (k / 5), 0], [10 ** ((k + 1) / 5), count], theme.real);
    for (const guess of guesses) plot.level("x", guess, { colour: theme.g, alpha: 0.6 });
    if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, `NaN at ${whole(nanAt)}`);
    const middle = lives.length ? `, median ${plain(median(lives))}` : "";
    return () => `${guessesText(guesses)}; ${lives.length} recorded lives${middle}`;
  },
};

const LEGEND = [["— G", "g"], ["- - D", "d"]];

export const PANELS = [
  curves({ name: "losses", title: LEGEND, axis: lossAxis, ghosts: 2,
    lines: [["loss_g", "g", [], "G"], ["loss_d", "d", DASHED, "D"]] }),
  curves({ name: "scores", title: LEGEND, axis: () => [-0.05, 1.05], ghosts: 2,
    lines: [["score_g", "g", [], "G"], ["score_d", "d", DASHED, "D"]] }),
  curves({ name: "logits", axis: logitAxis, ghosts: 1,
    title: [["largest and smallest:", "muted"], ["— ··· generated", "g"], ["— - - real", "real"]],
    lines: [["fake_max", "g", [], "largest generated"], ["fake_min", "g", DOTTED, "smallest generated"],
      ["real_max", "real", [], "largest real"], ["real_min", "real", DASHED, "smallest real"]] }),
  samples("real"), samples("fake"), atlas, along, lives,
];
