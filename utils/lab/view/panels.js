// All panels, as a table. `title(run)`: words, and the colour they are in. `draw(plot, scene)` returns what it shows, in words.
// `probe(plot, scene, x, y)`: what one points at. `step`: where an arrow key goes. A scene is what scene() in view.js returns.

import { QUANTITIES } from "./series.js";
import { chance, clamp, median, short, whole } from "./text.js";

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./types.js").Picture} Picture */
/** @typedef {"fake"|"real"} Side */

const DASHED = [8, 4], DOTTED = [2, 4], TILES = { wide: 4, high: 3 };

/** The next of 1, 2, 4, 10, 20 ... : axes that grow in steps do not tremble. */
function stepUp(v) {
  const power = 10 ** Math.floor(Math.log10(v));
  return power * ([1, 2, 4].find(m => m * power >= v) ?? 10);
}
/** The largest finite size of some numbers. */
const biggest = values => values.reduce((most, v) => (Math.abs(v) > most && Math.abs(v) < Infinity ? Math.abs(v) : most), 0);
const reaches = new WeakMap();
/** The largest size of a number in the run's real samples. @param {Run} run */
const realReach = run => reaches.get(run) ?? reaches.set(run, biggest(run.real) || 1).get(run);
/** Row k of a (rows, width) array. */
const row = (rows, k, width) => rows.subarray(k * width, (k + 1) * width);

/** The sample of the batch with this number, if the engine sent it. @param {Picture} picture @param {Run} run */
export function sampleOf(picture, run, side, index) {
  const k = side === "fake" && picture.fakeIndex ? picture.fakeIndex.indexOf(index) : index;
  return k < 0 || (k + 1) * run.dimension > picture[side].length ? null : row(picture[side], k, run.dimension).slice();
}

const pixel = (r, g, b) => (255 << 24 | b << 16 | g << 8 | r) >>> 0; // as canvas keeps it
// matplotlib's PuOr, in 257 steps
const STOPS = [[179, 88, 6], [241, 163, 64], [247, 247, 247], [153, 142, 195], [84, 39, 136]];
const SHADES = Array.from({ length: 257 }, (_, i) => {
  const k = Math.min(Math.floor(i / 64), 3), [r, g, b] = STOPS[k].map((v, c) => v + (STOPS[k + 1][c] - v) * (i / 64 - k));
  return pixel(r, g, b);
});
/** A colour between orange (-1), nearly white (0) and purple (1). */
const shade = share => SHADES[Math.round((clamp(share || 0, -1, 1) + 1) * 128)];

// ---- curves over the iterations

/** An axis with both cliffs and all logits. */
function logitAxis(run, low, high) {
  const reach = (cliff, most) => stepUp(Math.min(Math.max(40, 1.2 * Math.abs(cliff ?? 0), most), 1e6));
  return { ys: "symlog", knee: 20, y: [-reach(run.low, -low), reach(run.high, high)] };
}

function cliffs(plot, { run, theme }) {
  for (const v of [run.high, run.low])
    if (v !== null) plot.level("y", v, { colour: theme.cliff, dash: DASHED }, `cliff ${v > 0 ? v.toFixed(2) : short(v)}`);
}

function lossAxis(run, low, high) {
  const roof = clamp(high, 10, 1e6), power = (round, v) => 10 ** round(Math.log10(v));
  if (run.signed) return { ys: "symlog", knee: 1, y: [-stepUp(clamp(-low, 10, 1e6)), stepUp(roof)] };
  return { ys: "log", y: [power(Math.floor, clamp(low, 1e-4, 0.1)), power(Math.ceil, roof)] };
}

/** A panel of curves. Each of its `lines` is [quantity, colour, dash, its name in words, its name at the curve's end]; `of` is
 * what they are drawn from, `axis(run, low, high)` the y axis, `ghosts` the number of lines drawn of earlier runs. */
function curves({ name, lines, axis, of = "series", say = short, ghosts = 0, zero = "", quiet = false, ...panel }) {
  const known = ({ run }) => name !== "scores" || run.scores;
  const reading = (scene, k, between) => (k < 0 ? "nothing yet" : lines.map(([q, , , words]) => {
    const series = scene[of], [low, high] = series.extremes(q, k, k + 1), raw = series.high[k * series.width + q];
    return `${words} ${say(low > high ? raw : low)}${high > low ? ` to ${say(high)}` : ""}`.trim();
  }).join(between));
  const last = scene => scene[of].find(scene.until + 1) - 1;
  return {
    name, label: name, ...panel,
    draw(plot, scene) {
      const { theme, run, x, until, nanAt, cursor } = scene, series = scene[of], lowest = name === scene.lowest;
      const ranges = [[series, until], ...(ghosts ? scene.ghosts.map(ghost => [ghost.series, x[1]]) : [])].flatMap(([s, end]) =>
        lines.map(([q]) => s.extremes(q, s.find(x[0]), s.find(end + 1))));
      const [lows, highs] = [0, 1].map(side => ranges.map(range => range[side])), k = last(scene);
      const xTicks = of === "series" && (scene.narrow || lowest);
      plot.start(theme, { x, xTicks, ...axis(run, Math.min(...lows), Math.max(...highs)) });
      if (!known(scene)) {
        plot.text("This loss gives no probabilities, so no scores.", plot.box.left, plot.box.bottom / 2, theme.muted);
        return "This loss gives no probabilities, so no scores";
      }
      for (const ghost of ghosts ? scene.ghosts : [])
        for (const [q, colour, dash] of lines.slice(0, ghosts)) {
          const style = { colour: theme[colour], width: 1.5, dash, alpha: ghost.strong ? 0.6 : 0.3, quiet: true };
          plot.curve(ghost.series, q, x[1], { ...style, name: ghosts === 1 ? ghost.name : "" });
        }
      for (const [q, colour, dash, , end] of lines)
        plot.curve(series, q, until, { colour: theme[colour], dash, name: end, quiet });
      if (name === "logits") cliffs(plot, scene);
      const top = name === "losses", named = (words, at) => (top ? `${words} ${whole(at)}` : "");
      if (run.forkedAt) plot.level("x", run.forkedAt, { colour: theme.muted }, named("fork", run.forkedAt));
      if (cursor !== null) plot.level("x", cursor, { colour: theme.muted, alpha: 0.7 });
      if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, named("NaN at", nanAt));
      for (const guess of lowest ? scene.guesses : []) {
        const at = plot.x(guess), { bottom } = plot.box, up = theme.size * 0.8;
        if (guess <= x[1]) plot.rule([[at, bottom - up], [at, bottom]], { colour: theme.ink, width: 3 });
        else plot.dot(at, bottom - up / 2, 3, theme.ink);
      }
      const nought = lines.filter(([q]) => zero && k >= 0 && series.high[k * series.width + q] === 0);
      plot.remark = nought.map(line => `${line[3]}'s ${zero} is 0`).join(", ");
      return `${this.label}: ${reading(scene, k, ", ")}`;
    },
    probe(plot, scene, px) {
      const nearly = (scene.x[1] - scene.x[0]) / 1000, series = scene[of];
      const k = Math.min(series.find(plot.values(px, 0)[0] - nearly), last(scene));
      if (k < 0 || !known(scene)) return null;
      return { x: plot.x(series.at[k]), text: `iteration ${whole(series.at[k])}\n${reading(scene, k, "\n")}` };
    },
  };
}

// ---- samples

/** How far the axis reaches: as far as the real data, or in steps as far as what is drawn. It shrinks only after two steps. */
function reach(plot, run, drawn) {
  const real = realReach(run) * 1.05, most = Math.max(...drawn.map(biggest), real), { kept } = plot;
  const steps = Math.min(Math.ceil(Math.log(most / real) / Math.log(1.5)), 60);
  if (kept.run !== run.run || steps > kept.steps || steps < kept.steps - 1) plot.kept = { run: run.run, steps };
  return real * 1.5 ** plot.kept.steps;
}

/** The sample that is drawn thick, and why: it was clicked, it ended the run, or D likes it best. */
function marked({ run, picture, pinned }, side) {
  const { verdict, fakeLogits } = picture, mark = (index, why, special) =>
    ({ sample: sampleOf(picture, run, side, index), why, special });
  const { index, iteration, logit } = pinned ?? {};
  if (pinned?.side === side)
    return { ...pinned, special: true, why: `sample ${index} of iteration ${whole(iteration)}, logit ${short(logit)}` };
  const fatal = verdict?.side === side ? verdict.index : null;
  if (fatal !== null) return mark(fatal, `sample ${fatal} ended the run`, true);
  if (side === "real" || !fakeLogits.length) return { sample: null, why: "", special: false };
  return mark(fakeLogits.indexOf(Math.max(...fakeLogits)), `${run.kind === "plane" ? "ring" : "thick"}: D's favourite`, false);
}

/** Points in the plane, with those of G or without. Returns how many of these lie outside. */
function scatter(plot, { theme, run, picture }, generated) {
  const cloud = picture.cloud ?? picture.fake, { x: [left, right], y: [low, high] } = plot.axes;
  let outside = 0;
  plot.inside(() => {
    const place = (points, k) => [plot.x(points[k]), plot.y(points[k + 1])];
    for (let k = 0; k < Math.min(run.real.length, 1000); k += 2)
      plot.spot(...place(run.real, k), generated ? 1.6 : 2.2, theme.real);
    for (let k = 0; generated && k < cloud.length; k += 2) {
      if (cloud[k] < left || cloud[k] > right || cloud[k + 1] < low || cloud[k + 1] > high) outside++;
      else plot.spot(...place(cloud, k), 2.2, theme.g);
    }
  });
  return outside;
}

/** Small images, the last one framed if it is special. Grey within the real data's range, beyond it the atlas' colours. */
function tiles(plot, { run, theme }, images, why) {
  const side = Math.round(Math.sqrt(run.dimension)), most = realReach(run), cell = side + 1, { wide, high } = TILES;
  plot.start(theme, { x: [0, wide], y: [0, high], xTicks: false, yTicks: false, left: 2 });
  plot.image(wide * cell, high * cell, (column, fromBelow) => {
    const line = high * cell - 1 - fromBelow, k = Math.floor(line / cell) * wide + Math.floor(column / cell);
    if (column % cell === side || line % cell === side || k >= images.length) return 0;
    const value = images[k][line % cell * side + column % cell] / most, grey = 255 * clamp(value, 0, 1);
    return value > 1.25 ? shade(1) : value < -0.25 ? shade(-1) : pixel(grey, grey, grey);
  });
  const k = images.length - 1, corner = [k % wide, high - 1 - Math.floor(k / wide)];
  if (why) plot.rect(corner, [corner[0] + 1, corner[1] + 1], theme.d, 4);
  const outside = images.some(image => image.some(v => v > 1.25 * most || v < -0.25 * most));
  const loud = outside ? `coloured: outside 0 to ${short(most)}, up to ${short(Math.max(...images.map(biggest)))}` : "";
  plot.remark = [why && `frame: ${why}`, loud].filter(Boolean).join("; ");
}

/** Samples of one side: the real ones on an axis of their own, the generated ones on an axis that lets them be loud. */
const samples = (/** @type {Side} */ side) => ({
  name: side, label: side === "fake" ? "generated" : "real",
  title: run => [side === "real" ? ["real", "real"] : [run.averaged ? "averaged G" : "generated", "g"],
    [run.kind === "image" ? "" : run.unit, "muted"]],
  draw(plot, scene) {
    const { run, picture, theme } = scene, rows = side === "real" && !picture.real.length ? run.real : picture[side];
    const count = rows.length / run.dimension, shown = Math.min(run.kind === "series" ? 5 : TILES.wide * TILES.high, count);
    const drawn = Array.from({ length: shown }, (_, k) => row(rows, Math.floor(k * count / shown), run.dimension));
    const { sample, why, special } = marked(scene, side), words = [biggest(rows), realReach(run)].map(short);
    const said = `${this.label} samples reach ±${words[0]} ${run.unit}; real data ±${words[1]}`, plane = run.kind === "plane";
    if (run.kind === "image") {
      tiles(plot, scene, sample ? [...drawn.slice(1), sample] : drawn, special && sample ? why : "");
      return said;
    }
    const loud = side === "real" ? [] : [...(plane ? [picture.fake, picture.cloud ?? picture.fake] : drawn), sample ?? []];
    const most = reach(plot, run, loud), colour = side === "fake" ? theme.g : theme.real, strong = special ? theme.ink : colour;
    plot.start(theme, { x: plane ? [-most, most] : [0, 1], y: [-most, most] });
    if (sample) plot.remark = why;
    if (plane) {
      scatter(plot, scene, side === "fake");
      if (sample) plot.spot(plot.x(sample[0]), plot.y(sample[1]), special ? -9 : -6, strong);
      return said;
    }
    const real = realReach(run), time = Array.from({ length: run.dimension }, (_, k) => k / run.dimension);
    if (side === "fake") plot.rect([0, -real], [1, real], theme.band);
    if (side === "fake") plot.text("real", plot.box.right, plot.y(-real) - theme.size * 0.7, theme.muted);
    for (const one of drawn) plot.line(time, one, { colour, width: 1.3, alpha: 0.75 });
    if (sample) plot.line(time, sample, { colour: strong, width: 3.5 });
    return said;
  },
  probe(plot, { run }, x, y) {
    const [at, value] = plot.values(x, y).map(short);
    if (run.kind === "image") return null;
    return { x, y, text: run.kind === "plane" ? `(${at}, ${value})` : `time ${at}\n${value} ${run.unit}` };
  },
});

// ---- along the latent

/** The point of the atlas at latent z. @param {Run} run */
const nearest = (run, points, z) => Math.round((z + run.reach) / (2 * run.reach) * (points - 1));

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
      plot.start(theme, { x: [box[0], box[1]], y: [box[2], box[3]] });
      plot.image(side, side, (column, line) => shade(heat[line * side + column] / 10));
      const outside = scatter(plot, scene, true);
      if (outside) plot.remark = `${whole(outside)} generated points outside`;
    } else {
      plot.start(theme, { x: [-run.reach, run.reach], y: [0, run.dimension], xTicks: false, yTicks: false });
      const value = (k, line) => image[k * run.dimension + line] / (2 * realReach(run));
      if (image.length) plot.image(curve.length, run.dimension, (k, line) => shade(value(k, line)));
    }
    if (picture.atlasAt !== picture.iteration) plot.remark = `as of iteration ${whole(picture.atlasAt)}`;
    return `${plane ? "D's logit over the plane" : "what G draws for each latent"} at iteration ${whole(picture.atlasAt)}`;
  },
  probe(plot, { run, picture }, x, y) {
    const [z, up] = plot.values(x, y), line = Math.floor(up), k = nearest(run, picture.curve.length, z);
    if (run.kind === "plane") return { x, y, text: `(${short(z)}, ${short(up)})` };
    const value = picture.image[k * run.dimension + line];
    const place = run.kind === "series" ? `time ${short(line / run.dimension)}` : `pixel ${line}`;
    return value === undefined || line < 0 || line >= run.dimension ? null
      : { x, y, text: `z = ${short(z)}\n${place}: ${short(value)} ${run.unit}` };
  },
};

/** A dot in words. */
function dotWords({ run, picture: { z, lengths, fakeLogits, realLogits } }, side, index) {
  if (side === "real") return `real sample ${index}\nlogit ${short(realLogits[index])}`;
  const at = short(z[index]), size = short(lengths?.[index] ?? NaN);
  const latent = run.slice ? `|z| = ${size}, along the slice ${at}` : `z = ${at}`;
  return `generated sample ${index}\n${latent}\nlogit ${short(fakeLogits[index])}`;
}

/** D's logit along the latent, and the batch's dots. */
const along = {
  name: "along", label: "D's logit",
  title: run => [["D's logit along z", "ink"], [`dots: the batch${run.slice ? ", projected" : ""}`, "g"], ["real", "real"]],
  draw(plot, scene) {
    const { run, picture, theme, pinned } = scene, { curve, z, fakeLogits, realLogits, verdict } = picture;
    const values = [0, ...curve, ...fakeLogits, ...realLogits].filter(Number.isFinite);
    const step = 2 * run.reach / (curve.length - 1);
    plot.start(theme, { x: [-run.reach, run.reach], ...logitAxis(run, Math.min(...values), Math.max(...values)) });
    plot.line(Array.from(curve, (_, k) => k * step - run.reach), curve, { colour: theme.ink });
    const dots = (side, logits, colour, x) => logits.forEach((logit, index) =>
      plot.spots.push({ side, index, ...plot.dot(x(index), plot.y(logit), theme.size * 0.3, colour) }));
    dots("fake", fakeLogits, theme.g, index => plot.x(z[index]));
    dots("real", realLogits, theme.real, () => plot.box.right - 6);
    cliffs(plot, scene);
    const find = one => plot.spots.find(({ side, index }) => side === one?.side && index === one.index);
    const clicked = pinned?.iteration === picture.iteration && find(pinned), fatal = find(verdict);
    if (clicked) plot.spot(clicked.x, clicked.y, -theme.size * 0.8, theme.muted);
    if (fatal) plot.spot(fatal.x, fatal.y, -theme.size * 0.8, theme.cliff);
    const rare = (verdict?.rare ?? "").replace(" is as far out", ""), high = fatal && fatal.y - theme.size * 2 < plot.box.top;
    if (fatal) plot.text(rare, fatal.x, fatal.y + (high ? 1.7 : -1.5) * theme.size, theme.cliff);
    const ends = [Math.min(...fakeLogits), Math.max(...fakeLogits)].map(short).join(" to ");
    return fakeLogits.length ? `logits of ${whole(fakeLogits.length)} generated samples from ${ends}` : "no batch yet";
  },
  step: (plot, { x }, step) => plot.spots.filter(spot => (spot.x - x) * step > 0.01).sort((a, b) => (a.x - b.x) * step)[0],
  probe(plot, scene, x, y) {
    const { run, picture } = scene, far = spot => Math.hypot(spot.x - x, spot.y - y);
    const near = plot.spots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), plot.spots[0]);
    if (near && far(near) < 22) return { ...near, text: dotWords(scene, near.side, near.index) };
    const [z] = plot.values(x, y), value = picture.curve[nearest(run, picture.curve.length, z)];
    return value === undefined ? null : { x, y: plot.y(value), text: `z = ${short(z)}\nD's logit ${short(value)}` };
  },
};

/** A class's guesses over the recorded lives at this rate: five bars a decade. */
const lives = {
  name: "lives", label: "guesses and recorded lives",
  title: () => [["the class's guesses", "ink"], ["grey bars: recorded lives at this rate, after the NaN", "muted"]],
  draw(plot, { theme, guesses, lives, nanAt }) {
    const bars = new Map(), middle = numbers => (numbers.length ? `, median ${whole(median(numbers))}` : "");
    for (const bar of lives.map(life => Math.floor(5 * Math.log10(life)))) bars.set(bar, (bars.get(bar) ?? 0) + 1);
    const x = [1, Math.max(1e5, ...guesses, ...lives)], y = [0, 1.2 * Math.max(...bars.values(), 1)];
    plot.start(theme, { x, y, xs: "log", yTicks: false });
    for (const [k, count] of bars) plot.rect([10 ** (k / 5), 0], [10 ** ((k + 1) / 5), count], theme.real);
    for (const guess of guesses) plot.level("x", guess, { colour: theme.g, alpha: 0.6 });
    if (nanAt) plot.level("x", nanAt, { colour: theme.cliff, dash: DOTTED, width: 3 }, `NaN at ${whole(nanAt)}`);
    return `${guesses.length} guesses${middle(guesses)}; ${lives.length} recorded lives${middle(lives)}`;
  },
  probe: () => null,
};

const line = (quantity, ...rest) => [QUANTITIES.indexOf(quantity), ...rest];
const titled = (...words) => () => words, LEGEND = [["— G", "g"], ["- - D", "d"]];
const FOUND = { exact: "", tail: "estimated from the tail of recent batches", sampled: "estimated from sampled draws" };
const HAZARD = "chance that the next batch kills this run";

export const PANELS = [
  curves({ name: "losses", title: titled(["losses", "ink"], ...LEGEND), axis: lossAxis, ghosts: 2, zero: "loss",
    lines: [line("loss_g", "g", [], "G", "G"), line("loss_d", "d", DASHED, "D", "D")] }),
  curves({ name: "scores", title: titled(["scores", "ink"], ...LEGEND), axis: () => ({ y: [-0.05, 1.05] }), ghosts: 2,
    lines: [line("score_g", "g", [], "G", "G"), line("score_d", "d", DASHED, "D", "D")] }),
  curves({ name: "logits", axis: logitAxis, ghosts: 1,
    title: titled(["logits", "ink"], ["— largest, ··· smallest generated", "g"], ["— largest, - - smallest real", "real"]),
    lines: [line("fake_max", "g", [], "largest generated"), line("fake_min", "g", DOTTED, "smallest generated"),
      line("real_max", "real", [], "largest real"), line("real_min", "real", DASHED, "smallest real")] }),
  samples("real"), samples("fake"), atlas, along,
  curves({ name: "hazard", of: "hazards", say: chance, quiet: true, lines: [[0, "ink", [], ""]],
    title: run => [[HAZARD, "ink"], [FOUND[run.hazard] ?? "", "muted"]],
    axis: () => ({ y: [1e-6, 1], ys: "log", yTicks: false, left: 2 }) }),
  lives,
];
