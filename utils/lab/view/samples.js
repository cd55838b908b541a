// The panels of samples: real ones on an axis of their own, generated ones on an axis that lets them be loud.

import { biggest, pixel, realReach, row, sampleOf, shade } from "./scene.js";
import { short, whole } from "./text.js";

/** @typedef {import("./types.js").Run} Run */
/** @typedef {import("./plot.js").Plot} Plot */
/** @typedef {import("./scene.js").Scene} Scene */
/** @typedef {import("./scene.js").Side} Side */

const TILES = { wide: 4, high: 3 };

/** How far the axis of the generated samples reaches: as far as the real data's, or in steps as far as what is drawn. It
 * shrinks only after two steps. @param {Plot} plot @param {Run} run @param {Float32Array[]} drawn */
function reach(plot, run, drawn) {
  const real = realReach(run) * 1.05, most = Math.max(...drawn.map(biggest), real);
  const steps = Math.min(Math.ceil(Math.log(most / real) / Math.log(1.5)), 60);
  const kept = plot.kept.run === run.run ? plot.kept.steps : 0;
  plot.kept = { run: run.run, steps: steps > kept || steps < kept - 1 ? steps : kept };
  return real * 1.5 ** plot.kept.steps;
}

/** Index of the largest number. @param {Float32Array} values */
const top = values => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);

/** The sample that is drawn thick, and why: it was clicked, it ended the run, or D likes it best.
 * @param {Scene} scene @param {Side} side @returns {{sample: Float32Array|null, why: string, special: boolean}} */
function marked({ run, picture, pinned }, side) {
  const { verdict, fakeLogits } = picture;
  if (pinned?.side === side)
    return { sample: pinned.sample, special: true,
      why: `sample ${pinned.index} of iteration ${whole(pinned.iteration)}, logit ${short(pinned.logit)}` };
  if (verdict?.side === side && verdict.index !== null)
    return { sample: sampleOf(picture, run, side, verdict.index), why: `sample ${verdict.index} ended the run`, special: true };
  if (side === "real" || !fakeLogits.length) return { sample: null, why: "", special: false };
  const why = `${run.kind === "plane" ? "ring" : "thick"}: D's favourite`;
  return { sample: sampleOf(picture, run, side, top(fakeLogits)), why, special: false };
}

/** Points in the plane. @param {Plot} plot @param {Scene} scene @param {boolean} generated   draw those too
 * @returns {number} how many of them lie outside */
export function scatter(plot, { theme, run, picture }, generated) {
  const cloud = picture.cloud ?? picture.fake, { x: [left, right], y: [low, high] } = plot.axes;
  let outside = 0;
  plot.inside(() => {
    for (let k = 0; k < Math.min(run.real.length, 1000); k += 2)
      plot.spot(plot.x(run.real[k]), plot.y(run.real[k + 1]), generated ? 1.6 : 2.2, theme.real);
    for (let k = 0; generated && k < cloud.length; k += 2) {
      const [x, y] = [cloud[k], cloud[k + 1]];
      if (x < left || x > right || y < low || y > high) outside++;
      else plot.spot(plot.x(x), plot.y(y), 2.2, theme.g);
    }
  });
  return outside;
}

/** Small images, the last one framed if it is special. Grey within the real data's range; beyond it the colours of the
 * atlas, so that loud pixels are seen.
 * @param {Plot} plot @param {Scene} scene @param {Float32Array[]} images @param {string} why */
function tiles(plot, { run, theme }, images, why) {
  const side = Math.round(Math.sqrt(run.dimension)), most = realReach(run), cell = side + 1, { wide, high } = TILES;
  plot.start(theme, { x: [0, wide], y: [0, high], xTicks: false, yTicks: false });
  plot.image(wide * cell, high * cell, (column, fromBelow) => {
    const line = high * cell - 1 - fromBelow, k = Math.floor(line / cell) * wide + Math.floor(column / cell);
    if (column % cell === side || line % cell === side || k >= images.length) return 0;
    const value = images[k][line % cell * side + column % cell] / most, grey = 255 * Math.min(Math.max(value, 0), 1);
    return value > 1.25 ? shade(1) : value < -0.25 ? shade(-1) : pixel([grey, grey, grey]);
  });
  const outside = images.some(image => image.some(v => v > 1.25 * most || v < -0.25 * most));
  if (why) plot.frame(images.length - 1, wide, high, theme.d);
  const loud = outside ? `coloured: outside 0 to ${short(most)}, up to ${short(Math.max(...images.map(biggest)))}` : "";
  plot.remark = [why && `frame: ${why}`, loud].filter(Boolean).join("; ");
}

/** Curves over time, or points in the plane. @param {Plot} plot @param {Scene} scene @param {Side} side
 * @param {Float32Array[]} drawn @param {{sample: Float32Array|null, why: string, special: boolean}} mark */
function axes(plot, scene, side, drawn, { sample, why, special }) {
  const { run, theme } = scene, plane = run.kind === "plane", colour = side === "fake" ? theme.g : theme.real;
  const cloud = plane ? [scene.picture.fake, scene.picture.cloud ?? scene.picture.fake] : drawn;
  const most = reach(plot, run, side === "real" ? [] : sample ? [...cloud, sample] : cloud);
  const strong = special ? theme.ink : colour;
  plot.start(theme, { x: plane ? [-most, most] : [0, 1], y: [-most, most] });
  if (sample) plot.remark = why;
  if (plane) {
    scatter(plot, scene, side === "fake");
    if (sample) plot.spot(plot.x(sample[0]), plot.y(sample[1]), special ? -9 : -6, strong);
    return;
  }
  if (side === "fake") plot.band(-realReach(run), realReach(run), theme.band, "real");
  const time = Float32Array.from({ length: run.dimension }, (_, k) => k / run.dimension);
  for (const one of drawn) plot.line(time, one, { colour, width: 1.3, alpha: 0.75 });
  if (sample) plot.line(time, sample, { colour: strong, width: 3.5 });
}

/** Samples of one side. @param {Side} side @returns {import("./scene.js").Panel} */
export function samples(side) {
  return {
    name: side, label: side === "fake" ? "generated" : "real",
    title: run => [side === "real" ? ["real", "real"] : [run.averaged ? "averaged G" : "generated", "g"],
      [run.kind === "image" ? "" : run.unit, "muted"]],
    draw(plot, scene) {
      const { run, picture } = scene, rows = side === "real" && !picture.real.length ? run.real : picture[side];
      const count = rows.length / run.dimension, shown = Math.min(run.kind === "series" ? 5 : TILES.wide * TILES.high, count);
      const drawn = Array.from({ length: shown }, (_, k) => row(rows, Math.floor(k * count / shown), run.dimension));
      const mark = marked(scene, side), last = mark.sample ? [...drawn.slice(1), mark.sample] : drawn;
      if (run.kind === "image") tiles(plot, scene, last, mark.special && mark.sample ? mark.why : "");
      else axes(plot, scene, side, drawn, mark);
      return `${this.label} samples reach ±${short(biggest(rows))} ${run.unit}; real data ±${short(realReach(run))}`;
    },
    probe(plot, { run }, x, y) {
      const at = short(plot.back(x)), value = short(plot.up(y));
      if (run.kind === "image") return null;
      return { x, y, text: run.kind === "plane" ? `(${at}, ${value})` : `time ${at}\n${value} ${run.unit}` };
    },
  };
}
