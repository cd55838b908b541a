// The atlas: all that G can draw along one latent number, and below it D's logit with the batch's dots.

import { scatter } from "./samples.js";
import { cliffs, logitAxis, realReach, shade } from "./scene.js";
import { short, whole } from "./text.js";

/** @typedef {import("./scene.js").Panel} Panel */
/** @typedef {import("./scene.js").Side} Side */

/** The point of the atlas at latent z. @param {import("./types.js").Run} run @param {number} points @param {number} z */
const nearest = (run, points, z) => Math.round((z + run.reach) / (2 * run.reach) * (points - 1));

/** @type {Panel} */
export const atlas = {
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
      plot.start(theme, { x: [-run.reach, run.reach], y: [0, run.dimension], xTicks: false, yFormat: () => "" });
      const value = (k, line) => image[k * run.dimension + line] / (2 * realReach(run));
      if (image.length) plot.image(curve.length, run.dimension, (k, line) => shade(value(k, line)));
    }
    if (picture.atlasAt !== picture.iteration) plot.remark = `as of iteration ${whole(picture.atlasAt)}`;
    return `${plane ? "D's logit over the plane" : "what G draws for each latent"} at iteration ${whole(picture.atlasAt)}`;
  },
  probe(plot, { run, picture }, x, y) {
    const z = plot.back(x), line = Math.floor(plot.up(y)), k = nearest(run, picture.curve.length, z);
    if (run.kind === "plane") return { x, y, text: `(${short(z)}, ${short(plot.up(y))})` };
    const value = picture.image[k * run.dimension + line];
    const place = run.kind === "series" ? `time ${short(line / run.dimension)}` : `pixel ${line}`;
    return value === undefined || line < 0 || line >= run.dimension ? null
      : { x, y, text: `z = ${short(z)}\n${place}: ${short(value)} ${run.unit}` };
  },
};

/** One dot of the batch, inside the box; beyond the axis it is an arrow. @param {import("./plot.js").Plot} plot
 * @param {Side} side @param {number} index @param {number} px @param {number} logit @param {string} colour */
function dot(plot, side, index, px, logit, colour) {
  const { box, theme } = plot, y = Math.min(Math.max(plot.y(logit), box.top), box.bottom);
  const x = Math.min(Math.max(px, box.left), box.right);
  if (px !== x) plot.arrowAcross(x, y, px > x ? 1 : -1, colour);
  else plot.spot(x, y, theme.size * 0.3, colour);
  plot.spots.push({ side, index, x, y });
}

/** A dot in words. @param {import("./scene.js").Scene} scene @param {Side} side @param {number} index */
function words({ run, picture: { z, lengths, fakeLogits, realLogits } }, side, index) {
  if (side === "real") return `real sample ${index}\nlogit ${short(realLogits[index])}`;
  const at = short(z[index]);
  const latent = run.slice ? `|z| = ${short(lengths?.[index] ?? NaN)}, along the slice ${at}` : `z = ${at}`;
  return `generated sample ${index}\n${latent}\nlogit ${short(fakeLogits[index])}`;
}

/** @type {Panel} */
export const along = {
  name: "along", label: "D's logit",
  title: run => [["D's logit along z", "ink"], [`dots: the batch${run.slice ? ", projected" : ""}`, "g"], ["real", "real"]],
  draw(plot, scene) {
    const { run, picture, theme, pinned } = scene, { curve, z, fakeLogits, realLogits, verdict } = picture;
    const values = [0, ...curve, ...fakeLogits, ...realLogits].filter(Number.isFinite);
    const step = 2 * run.reach / (curve.length - 1);
    plot.start(theme, { x: [-run.reach, run.reach], ...logitAxis(run, Math.min(...values), Math.max(...values)) });
    plot.line(Array.from(curve, (_, k) => k * step - run.reach), curve, { colour: theme.ink });
    fakeLogits.forEach((logit, index) => dot(plot, "fake", index, plot.x(z[index]), logit, theme.g));
    realLogits.forEach((logit, index) => dot(plot, "real", index, plot.box.right - 6, logit, theme.real));
    cliffs(plot, scene);
    const find = one => plot.spots.find(({ side, index }) => side === one?.side && index === one.index);
    const clicked = pinned?.iteration === picture.iteration && find(pinned), fatal = find(verdict);
    if (clicked) plot.spot(clicked.x, clicked.y, -theme.size * 0.8, theme.muted);
    if (fatal) plot.spot(fatal.x, fatal.y, -theme.size * 0.8, theme.cliff);
    if (fatal && verdict) plot.label((verdict.rare ?? "").replace(" is as far out", ""), fatal.x, fatal.y, theme.cliff);
    const ends = `${short(Math.min(...fakeLogits))} to ${short(Math.max(...fakeLogits))}`;
    return fakeLogits.length ? `logits of ${whole(fakeLogits.length)} generated samples from ${ends}` : "no batch yet";
  },
  step(plot, { x }, step) {
    const next = plot.spots.filter(spot => (spot.x - x) * step > 0.01).sort((a, b) => (a.x - b.x) * step)[0];
    return next ? { x: next.x, y: next.y } : null;
  },
  probe(plot, scene, x, y) {
    const { run, picture } = scene, far = spot => Math.hypot(spot.x - x, spot.y - y);
    const near = plot.spots.reduce((a, b) => (a && far(a) <= far(b) ? a : b), plot.spots[0]);
    if (near && far(near) < 22) return { ...near, text: words(scene, near.side, near.index) };
    const z = plot.back(x), value = picture.curve[nearest(run, picture.curve.length, z)];
    return value === undefined ? null : { x, y: plot.y(value), text: `z = ${short(z)}\nD's logit ${short(value)}` };
  },
};
