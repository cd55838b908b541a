// One canvas with two axes: what every panel draws with. Nothing is clipped in silence: what lies outside gets an arrow.

import { clamp, rateText, short, whole } from "./text.js";

const SCALES = {
  linear: v => v,
  log: v => Math.log10(Math.max(v, 1e-30)),
  // linear between -knee and knee, logarithmic beyond: both cliffs and a runaway stay in the picture
  symlog: (v, knee) => (Math.abs(v) <= knee ? v / knee : Math.sign(v) * (1 + Math.log10(Math.abs(v) / knee))),
};

/** Ticks at round numbers, about `count` of them. */
function ticks([low, high], scale, knee, count) {
  if (scale === "linear") {
    const rough = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find(m => m * power >= rough * 0.8) ?? 10), first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step);
  }
  const decades = Array.from({ length: 16 }, (_, k) => 10 ** (k - 6)).filter(v => scale === "log" || v >= 2 * knee);
  const all = scale === "log" ? decades : [...decades.map(v => -v).reverse(), -knee, 0, knee, ...decades];
  const inside = all.filter(v => v >= low * (low > 0 ? 0.999 : 1.001) && v <= high * 1.001);
  return inside.filter((_, k) => scale !== "log" || k % Math.ceil(inside.length / Math.max(count, 2)) === 0);
}

export class Plot {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this.small = document.createElement("canvas"); // an image's pixels, before they are stretched
    this.axes = this.box = this.theme = /** @type {any} */ (null);
    this.spots = /** @type {any[]} */ ([]); // dots of the batch, that can be clicked: {side, index, x, y}
    this.remark = ""; // what the panel's caption adds for this picture
    this.kept = { run: 0, steps: 0 }; // how far the axis reached in the picture before
  }

  /** An empty picture with its axes: {x, y} are their ranges, {xs, ys} their scales. */
  start(theme, axes) {
    const { canvas, pen } = this, ratio = window.devicePixelRatio || 1, { size } = theme;
    const { clientWidth: width, clientHeight: height } = canvas, pixels = [width, height].map(side => Math.round(side * ratio));
    if (canvas.width !== pixels[0] || canvas.height !== pixels[1]) [canvas.width, canvas.height] = pixels;
    Object.assign(this, { theme, axes: { xs: "linear", ys: "linear", knee: 1, ...axes }, remark: "", spots: [] });
    const bottom = height - size * (axes.xTicks === false ? 0.5 : 1.45);
    this.box = { left: axes.left ?? size * 3.3, top: size * 0.55, right: width - size * 0.7, bottom };
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.lineJoin = "round";
    this.grid();
  }

  grid() {
    const { pen, theme: { size, grid, muted }, axes, box } = this;
    pen.font = `${size}px system-ui, sans-serif`;
    Object.assign(pen, { fillStyle: muted, textBaseline: "middle", textAlign: "right" });
    let above = Infinity;
    for (const v of axes.yTicks === false ? [] : ticks(axes.y, axes.ys, axes.knee, (box.bottom - box.top) / size / 2.4)) {
      const y = this.y(v);
      this.rule([[box.left, y], [box.right, y]], { colour: grid, width: 1 });
      if (above - y < size * 1.05) continue; // no two labels on each other
      pen.fillText(short(v), box.left - size * 0.4, y);
      above = y;
    }
    Object.assign(pen, { textBaseline: "top", textAlign: "center" });
    for (const v of axes.xTicks === false ? [] : ticks(axes.x, axes.xs, 1, (box.right - box.left) / size / 5)) {
      const x = this.x(v), text = v < 1e5 ? short(v) : axes.xs === "log" ? rateText(v) : whole(v);
      this.rule([[x, box.bottom], [x, box.bottom + size * 0.25]], { colour: muted, width: 1 });
      pen.fillText(text, Math.min(x, box.right + size * 0.7 - pen.measureText(text).width / 2), box.bottom + size * 0.4);
    }
    this.rule([[box.left, box.top], [box.left, box.bottom], [box.right, box.bottom]], { colour: muted, width: 1 });
  }

  /** From values to pixels, also outside the box ... */
  x(v) { return this.along(v, this.axes.x, this.axes.xs, this.box.left, this.box.right); }
  y(v) { return this.along(v, this.axes.y, this.axes.ys, this.box.bottom, this.box.top); }
  along(v, range, scale, start, end) {
    const [at, low, high] = [v, ...range].map(value => SCALES[scale](value, this.axes.knee));
    return start + (at - low) / (high - low) * (end - start);
  }

  /** ... and back, for linear axes. @returns {[number, number]} */
  values(px, py) {
    const { axes: { x, y }, box } = this, share = (px - box.left) / (box.right - box.left);
    return [x[0] + share * (x[1] - x[0]), y[0] + (box.bottom - py) / (box.bottom - box.top) * (y[1] - y[0])];
  }

  /** A line through pixels. @param {number[][]} points @param {any} style */
  rule(points, { colour, width = 2, dash = [], alpha = 1 }) {
    const { pen } = this;
    Object.assign(pen, { strokeStyle: colour, lineWidth: width, globalAlpha: alpha });
    pen.setLineDash(dash);
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  /** A line through values. */
  line(xs, ys, style) { this.inside(() => this.rule(Array.from(ys, (v, k) => [this.x(xs[k]), this.y(v)]), style)); }

  /** What `draw` draws, cut off at the box. */
  inside(draw) {
    const { pen, box } = this;
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top - 2, box.right - box.left + 2, box.bottom - box.top + 4);
    pen.clip();
    draw();
    pen.restore();
  }

  /** A quantity of a series as far as `until`, a zigzag through each pixel's extremes, with a name at its end; an arrow where
   * it leaves the axis, and dots while they are few, unless it is quiet. */
  curve(series, q, until, { name = "", quiet = false, ...style }) {
    const { axes: { x, y }, box } = this, from = Math.max(series.find(x[0]) - 1, 0), to = series.find(until + 1);
    const pieces = /** @type {number[][][]} */ ([[]]), width = to - from > 300 ? 1.2 : 2; // dense ones thin
    let out = null;
    series.walk(q, from, to, (x[1] - x[0]) / (box.right - box.left) * 1.5, (iteration, low, high) => {
      if (low > high) return void pieces.push([]); // nothing finite: a gap
      for (const v of low === high ? [low] : [low, high]) {
        pieces[pieces.length - 1].push([this.x(iteration), this.y(clamp(v, ...y))]);
        if (v < y[0] || v > y[1]) out = [iteration, v];
      }
    });
    this.inside(() => pieces.forEach(piece => this.rule(piece, { width, ...style })));
    const points = pieces.flat(), end = points.at(-1);
    if (to - from <= 40 && !quiet) for (const [px, py] of points) if (px >= box.left) this.spot(px, py, 3, style.colour);
    if (out && !quiet) this.dot(this.x(out[0]), this.y(out[1]), 3, style.colour, short(out[1]));
    if (name && end && end[0] <= box.right) this.text(name, end[0], clamp(end[1], box.top + 6, box.bottom - 6), style.colour);
  }

  /** A dot at pixels; beyond the axes it is an arrow at their edge, with words. Returns where it stands. */
  dot(px, py, radius, colour, words = "") {
    const { box, pen, theme: { size } } = this, x = clamp(px, box.left, box.right), y = clamp(py, box.top, box.bottom);
    if (x === px && y === py) this.spot(x, y, radius, colour);
    else {
      const out = Math.atan2(py - y, px - x);
      pen.fillStyle = colour;
      pen.beginPath();
      pen.moveTo(x, y);
      for (const turn of [out - 0.5, out + 0.5]) pen.lineTo(x - size * Math.cos(turn), y - size * Math.sin(turn));
      pen.fill();
      this.text(words, x - size * 0.4, clamp(y, box.top + size * 0.5, box.bottom - size * 0.5), colour, true);
    }
    return { x, y };
  }

  /** A filled or, with a negative radius, an open circle at pixels. */
  spot(x, y, radius, colour, width = 3) {
    const { pen } = this;
    pen.beginPath();
    pen.arc(x, y, Math.abs(radius), 0, 7);
    Object.assign(pen, { fillStyle: colour, strokeStyle: colour, lineWidth: width });
    if (radius < 0) pen.stroke();
    else pen.fill();
  }

  /** A level across ("y"), or a mark down ("x"), at a value, with a label. */
  level(axis, v, style, label = "") {
    const { box, theme: { size } } = this, [low, high] = this.axes[axis], at = this[axis](v);
    if (!(v >= low && v <= high)) return;
    this.rule(axis === "y" ? [[box.left, at], [box.right, at]] : [[at, box.top], [at, box.bottom]], style);
    this.text(label, axis === "y" ? box.left : at, axis === "y" ? at - size * 0.65 : box.top + size * 0.6, style.colour);
  }

  /** Bold words with a halo of the paper's colour: right of a point (or `before` it), or else on the side that has room. */
  text(words, x, y, colour, before = false) {
    const { pen, theme: { size, paper } } = this, font = `${size}px system-ui, sans-serif`;
    Object.assign(pen, { font: `600 ${font}`, textBaseline: "middle", strokeStyle: paper, fillStyle: colour, lineWidth: 4 });
    const wide = pen.measureText(words).width + 5, left = x > wide && (before || x + wide > this.canvas.clientWidth);
    pen.textAlign = left ? "right" : "left";
    pen.strokeText(words, x + (left ? -5 : 4), y);
    pen.fillText(words, x + (left ? -5 : 4), y);
  }

  /** A rectangle between two corners, in values: filled, or only its frame. */
  rect([x0, y0], [x1, y1], colour, frame = 0) {
    const { pen } = this, [left, top] = [this.x(x0), this.y(y1)], size = [this.x(x1) - left - 1, this.y(y0) - top];
    Object.assign(pen, { fillStyle: colour, strokeStyle: colour, lineWidth: frame });
    if (frame) pen.strokeRect(left, top, size[0], size[1]);
    else pen.fillRect(left, top, size[0], size[1]);
  }

  /** Pixels stretched over the box; row 0 is the lowest; `colour(column, row)` is a pixel() or 0. */
  image(columns, rows, colour) {
    const { small, box } = this, pen = /** @type {any} */ (small.getContext("2d"));
    if (small.width !== columns || small.height !== rows) Object.assign(small, { width: columns, height: rows });
    const picture = pen.createImageData(columns, rows), pixels = new Uint32Array(picture.data.buffer);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) pixels[(rows - 1 - row) * columns + column] = colour(column, row);
    pen.putImageData(picture, 0, 0);
    this.pen.imageSmoothingEnabled = false;
    this.pen.drawImage(small, box.left, box.top, box.right - box.left, box.bottom - box.top);
  }
}
