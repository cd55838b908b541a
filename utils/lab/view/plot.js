// One canvas with two axes: what every panel draws with. Nothing is clipped in silence: what lies outside gets an arrow.

import { rateText, short, whole } from "./text.js";

/** Colours and font size, read from the style sheet.
 * @typedef {{size: number} & {[name in "ink"|"paper"|"grid"|"muted"|"g"|"d"|"real"|"band"|"cliff"]: string}} Theme */
/** @typedef {{x: [number, number], y: [number, number], ys?: "linear"|"log"|"symlog", xs?: "linear"|"log", knee?: number,
 *   xTicks?: boolean, yTicks?: boolean, unit?: string, yFormat?: (v: number) => string}} Axes */
/** @typedef {{colour: string, width?: number, dash?: number[], alpha?: number}} Style */

/** @type {Object<string, (v: number, knee: number) => number>} */
const SCALES = {
  linear: v => v,
  log: v => Math.log10(Math.max(v, 1e-30)),
  // linear between -knee and knee, logarithmic beyond: both cliffs and a runaway stay in the picture
  symlog: (v, knee) => (Math.abs(v) <= knee ? v / knee : Math.sign(v) * (1 + Math.log10(Math.abs(v) / knee))),
};
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

/** Ticks at round numbers. @param {[number, number]} range @param {string} scale @param {number} knee @param {number} count */
export function ticks([low, high], scale, knee, count) {
  if (scale === "linear") {
    const rough = (high - low) / Math.max(count, 1), power = 10 ** Math.floor(Math.log10(rough));
    const step = power * ([1, 2, 5].find(m => m * power >= rough * 0.8) ?? 10), first = Math.ceil(low / step - 1e-9);
    return Array.from({ length: Math.max(Math.floor(high / step + 1e-9) - first + 1, 0) }, (_, k) => (first + k) * step);
  }
  const decades = Array.from({ length: 16 }, (_, k) => 10 ** (k - 6)).filter(v => scale === "log" || v >= 2 * knee);
  const all = scale === "log" ? decades : [...decades.map(v => -v).reverse(), -knee, 0, knee, ...decades];
  const inside = all.filter(v => v >= low * (low > 0 ? 0.999 : 1.001) && v <= high * 1.001);
  const skip = Math.ceil(inside.length / Math.max(count, 2));
  return scale === "log" ? inside.filter((_, k) => k % skip === 0) : inside;
}

export class Plot {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** What a panel keeps from frame to frame, for instance how far its axis reaches. @type {Object<string, number>} */
    this.kept = {};
    this.theme = /** @type {Theme} */ (/** @type {any} */ ({}));
    this.axes = /** @type {Axes} */ ({ x: [0, 1], y: [0, 1] });
    this.box = { left: 0, top: 0, right: 1, bottom: 1 };
    this.spots = /** @type {{side: "fake"|"real", index: number, x: number, y: number}[]} */ ([]); // that can be clicked
    this.remark = ""; // what the panel's caption adds for this picture
    this.small = document.createElement("canvas"); // an image's pixels, before they are stretched
  }

  /** An empty picture with its axes. @param {Theme} theme @param {Axes} axes */
  start(theme, axes) {
    const { canvas, pen } = this, ratio = window.devicePixelRatio || 1, size = theme.size;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    for (const [side, pixels] of /** @type {const} */ ([["width", width], ["height", height]])) {
      const wanted = Math.round(pixels * ratio);
      if (canvas[side] !== wanted) canvas[side] = wanted;
    }
    this.theme = theme;
    this.axes = axes;
    this.remark = "";
    this.spots = [];
    const left = axes.yTicks === false ? 2 : size * 3.3;
    const bottom = height - size * (axes.xTicks === false ? 0.5 : 1.45);
    this.box = { left, top: size * 0.55, right: width - size * 0.7, bottom };
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `${size}px system-ui, sans-serif`;
    pen.lineJoin = "round";
    this.grid();
  }

  grid() {
    const { pen, theme, axes, box } = this, { size } = theme;
    pen.fillStyle = theme.muted;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const fit = (box.bottom - box.top) / size / 2.4;
    const rows = axes.yTicks === false ? [] : ticks(axes.y, axes.ys ?? "linear", axes.knee ?? 1, fit);
    let above = Infinity;
    for (const v of rows) {
      const y = this.y(v);
      this.rule([[box.left, y], [box.right, y]], { colour: theme.grid, width: 1 });
      if (above - y < size * 1.05) continue; // no two labels on each other
      pen.fillText((axes.yFormat ?? short)(v), box.left - size * 0.4, y);
      above = y;
    }
    pen.textBaseline = "top";
    pen.textAlign = "center";
    const columns = axes.xTicks === false ? [] : ticks(axes.x, axes.xs ?? "linear", 1, (box.right - box.left) / size / 5);
    for (const v of columns) {
      const x = this.x(v), text = axes.xs === "log" && v >= 1e5 ? rateText(v) : v >= 1e5 ? whole(v) : short(v);
      const half = pen.measureText(text).width / 2;
      this.rule([[x, box.bottom], [x, box.bottom + size * 0.25]], { colour: theme.muted, width: 1 });
      pen.fillText(text, Math.min(x, box.right + size * 0.7 - half), box.bottom + size * 0.4);
    }
    this.rule([[box.left, box.top], [box.left, box.bottom], [box.right, box.bottom]], { colour: theme.muted, width: 1 });
  }

  /** Pixels of a value, also outside the box. @param {number} v */
  x(v) { return this.along(v, this.axes.x, this.axes.xs ?? "linear", this.box.left, this.box.right); }
  /** @param {number} v */
  y(v) { return this.along(v, this.axes.y, this.axes.ys ?? "linear", this.box.bottom, this.box.top); }

  /** @param {number} v @param {[number, number]} range @param {string} scale @param {number} start @param {number} end */
  along(v, range, scale, start, end) {
    const to = SCALES[scale], knee = this.axes.knee ?? 1, low = to(range[0], knee), high = to(range[1], knee);
    return start + (to(v, knee) - low) / (high - low) * (end - start);
  }

  /** The value of a linear x or y axis at a pixel. @param {number} pixel */
  back(pixel) {
    const { axes: { x: [low, high] }, box } = this;
    return low + (pixel - box.left) / (box.right - box.left) * (high - low);
  }

  /** @param {number} pixel */
  up(pixel) {
    const { axes: { y: [low, high] }, box } = this;
    return low + (box.bottom - pixel) / (box.bottom - box.top) * (high - low);
  }

  /** A line through pixels. @param {number[][]} points @param {Style} style */
  rule(points, { colour, width = 2, dash = [], alpha = 1 }) {
    const { pen } = this;
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.globalAlpha = alpha;
    pen.setLineDash(dash);
    pen.beginPath();
    points.forEach(([x, y], k) => (k ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  /** A line through values, kept inside the box.
   * @param {ArrayLike<number>} xs @param {ArrayLike<number>} ys @param {Style} style */
  line(xs, ys, style) {
    this.inside(() => this.rule(Array.from(ys, (v, k) => [this.x(xs[k]), this.y(v)]), style));
  }

  /** What `draw` draws, cut off at the box. @param {() => void} draw */
  inside(draw) {
    const { pen, box } = this;
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top - 2, box.right - box.left + 2, box.bottom - box.top + 4);
    pen.clip();
    draw();
    pen.restore();
  }

  /** A quantity of a series as far as `until`, a zigzag through each pixel's extremes; an arrow where it leaves the axis.
   * @param {import("./series.js").Series} series @param {number} q @param {number} until
   * @param {Style & {name?: string, quiet?: boolean}} style  name: at its end; quiet: no arrow, no dots */
  curve(series, q, until, style) {
    const { axes: { x, y }, box } = this, from = Math.max(series.find(x[0]) - 1, 0), to = series.find(until + 1);
    const pieces = /** @type {number[][][]} */ ([[]]), [low, high] = y, width = to - from > 300 ? 1.2 : 2; // dense ones thin
    /** @type {[number, number]|null} */ let out = null;
    series.walk(q, from, to, (x[1] - x[0]) / (box.right - box.left) * 1.5, (iteration, a, b) => {
      if (a > b) return void (pieces[0].length && pieces.unshift([])); // nothing finite: a gap
      const at = this.x(iteration);
      pieces[0].push([at, this.y(clamp(a, low, high))]);
      if (a !== b) pieces[0].push([at, this.y(clamp(b, low, high))]);
      if (a < low || b > high) out = [at, b > high ? b : a];
    });
    this.inside(() => pieces.forEach(piece => this.rule(piece, { width, ...style })));
    if (to - from <= 40 && !style.quiet)
      for (const [px, py] of pieces.flat()) if (px >= box.left) this.spot(px, py, 3, style.colour);
    if (out && !style.quiet) this.arrow(out[0], out[1] > high ? -1 : 1, short(out[1]), style.colour);
    const end = pieces[0].at(-1);
    if (!style.name || !end || end[0] > box.right) return;
    const right = end[0] + 4 + this.pen.measureText(style.name).width * 1.1 > this.canvas.clientWidth; // it is bold
    const at = clamp(end[1], box.top + 6, box.bottom - 6);
    this.text(style.name, end[0] + (right ? -5 : 4), at, style.colour, right ? "right" : "left");
  }

  /** An arrow at the upper (-1) or lower (1) edge at pixel x, with the value that is out there.
   * @param {number} x @param {-1|1} side @param {string} text @param {string} colour */
  arrow(x, side, text, colour) {
    const { pen, box, theme: { size } } = this, y = side < 0 ? box.top : box.bottom;
    const at = clamp(x, box.left + size, box.right - size);
    pen.fillStyle = colour;
    pen.beginPath();
    pen.moveTo(at, y);
    pen.lineTo(at - size * 0.4, y - side * size * 0.7);
    pen.lineTo(at + size * 0.4, y - side * size * 0.7);
    pen.fill();
    const right = at > (box.left + box.right) / 2;
    this.text(text, at + (right ? -size * 0.6 : size * 0.6), y - side * size * 0.5, colour, right ? "right" : "left");
  }

  /** An arrow out of the right (1) or left (-1) edge.
   * @param {number} x @param {number} y @param {1|-1} side @param {string} colour */
  arrowAcross(x, y, side, colour) {
    const r = this.theme.size * 0.45;
    this.rule([[x - side * 2 * r, y - r], [x, y], [x - side * 2 * r, y + r]], { colour, width: 3 });
  }

  /** A dashed or dotted level across, or a mark down, at a value.
   * @param {"x"|"y"} axis @param {number} v @param {Style} style @param {string} [label]   at the left, or at the top */
  level(axis, v, style, label) {
    const { box, theme: { size } } = this, [low, high] = this.axes[axis], at = this[axis](v);
    if (!(v >= low && v <= high)) return;
    this.rule(axis === "y" ? [[box.left, at], [box.right, at]] : [[at, box.top], [at, box.bottom]], style);
    if (!label) return;
    const right = at > (box.left + box.right) / 2;
    if (axis === "y") this.text(label, box.left + 4, at - size * 0.65, style.colour, "left");
    else this.text(label, at + (right ? -5 : 5), box.top + size * 0.6, style.colour, right ? "right" : "left");
  }

  /** A filled or, with a negative radius, an open circle at pixels. @param {number} x @param {number} y @param {number} radius
   * @param {string} colour @param {number} [width] */
  spot(x, y, radius, colour, width = 3) {
    const { pen } = this;
    pen.beginPath();
    pen.arc(x, y, Math.abs(radius), 0, 7);
    pen.fillStyle = pen.strokeStyle = colour;
    pen.lineWidth = width;
    if (radius < 0) pen.stroke();
    else pen.fill();
  }

  /** Bold words with a halo of the paper's colour.
   * @param {string} words @param {number} x @param {number} y @param {string} colour @param {CanvasTextAlign} align */
  text(words, x, y, colour, align) {
    const { pen, theme } = this;
    pen.font = `600 ${theme.size}px system-ui, sans-serif`;
    pen.textAlign = align;
    pen.textBaseline = "middle";
    pen.strokeStyle = theme.paper;
    pen.lineWidth = 4;
    pen.strokeText(words, x, y);
    pen.fillStyle = colour;
    pen.fillText(words, x, y);
    pen.font = `${theme.size}px system-ui, sans-serif`;
  }

  /** Words above a spot, or below it where there is no room.
   * @param {string} words @param {number} x @param {number} y @param {string} colour */
  label(words, x, y, colour) {
    const { box, theme: { size } } = this, right = x > (box.left + box.right) / 2, under = y - size * 2 < box.top;
    this.text(words, x + (right ? 1 : -1) * size * 0.6, y + (under ? 1.7 : -1.5) * size, colour, right ? "right" : "left");
  }

  /** A sentence instead of curves. @param {string} words */
  note(words) {
    this.text(words, (this.box.left + this.box.right) / 2, (this.box.top + this.box.bottom) / 2, this.theme.muted, "center");
    return words;
  }

  /** A tick on the lower edge, for a guess. @param {number} x @param {string} colour */
  flag(x, colour) {
    const at = this.x(x), { box, theme: { size } } = this;
    if (at <= box.right) this.rule([[at, box.bottom - size * 0.8], [at, box.bottom]], { colour, width: 3 });
    else this.arrowAcross(box.right, box.bottom - size * 0.5, 1, colour);
  }

  /** A level from low to high, all across.
   * @param {number} low @param {number} high @param {string} colour @param {string} name */
  band(low, high, colour, name) {
    const { pen, box, theme } = this, top = this.y(high);
    pen.fillStyle = colour;
    pen.fillRect(box.left, top, box.right - box.left, this.y(low) - top);
    this.text(name, box.right - 4, this.y(low) - theme.size * 0.7, theme.muted, "right");
  }

  /** A bar of a histogram. @param {number} from @param {number} to @param {number} height @param {string} colour */
  bar(from, to, height, colour) {
    this.pen.fillStyle = colour;
    this.pen.fillRect(this.x(from), this.y(height), this.x(to) - this.x(from) - 1, this.box.bottom - this.y(height));
  }

  /** A frame around cell k of a table. @param {number} k @param {number} wide @param {number} high @param {string} colour */
  frame(k, wide, high, colour) {
    const { box, pen } = this, width = (box.right - box.left) / wide, height = (box.bottom - box.top) / high;
    const x = box.left + k % wide * width, y = box.top + Math.floor(k / wide) * height;
    pen.strokeStyle = colour;
    pen.lineWidth = 4;
    pen.strokeRect(x, y, width - 2, height - 2);
  }

  /** Pixels stretched over the box; row 0 is the lowest. @param {number} columns @param {number} rows
   * @param {(column: number, row: number) => number} colour   as a Uint32 of canvas' bytes, 0 for nothing */
  image(columns, rows, colour) {
    if (this.small.width !== columns || this.small.height !== rows) Object.assign(this.small, { width: columns, height: rows });
    const pen = /** @type {CanvasRenderingContext2D} */ (this.small.getContext("2d"));
    const picture = pen.createImageData(columns, rows), pixels = new Uint32Array(picture.data.buffer);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) pixels[(rows - 1 - row) * columns + column] = colour(column, row);
    pen.putImageData(picture, 0, 0);
    this.pen.imageSmoothingEnabled = false;
    this.pen.drawImage(this.small, this.box.left, this.box.top, this.box.right - this.box.left, this.box.bottom - this.box.top);
  }
}
