// One canvas with two axes: what every panel draws with. Nothing is clipped in silence: what lies outside gets an arrow.

import { clamp, short, whole } from "./text.js";

/** Linear; with a knee linear between -knee and knee, and logarithmic beyond: both cliffs and a runaway stay in the picture. */
const bend = (v, knee) => (!knee ? v : Math.abs(v) <= knee ? v / knee : Math.sign(v) * (1 + Math.log10(Math.abs(v) / knee)));
/** From the values of an axis to pixels, also beyond its ends. */
function scale([low, high, knee], start, end) {
  const from = bend(low, knee), unit = (end - start) / (bend(high, knee) - from);
  return v => start + unit * (bend(v, knee) - from);
}

/** A number beside an axis, where there is room for five characters. */
const brief = v => (Math.abs(v) >= 1000 && Math.abs(v) < 1e5 ? `${short(v / 1000)}k` : short(v));

/** Round numbers on an axis, about `count` of them if it is linear. */
function ticks([low, high, knee], count) {
  if (knee) {
    const beyond = [knee, ...Array.from({ length: 16 }, (_, k) => 10 ** (k - 6)).filter(v => v >= 2 * knee)];
    return [...beyond.map(v => -v).reverse(), 0, ...beyond].filter(v => v >= low * 1.001 && v <= high * 1.001);
  }
  const power = 10 ** Math.floor(Math.log10((high - low) / count));
  const step = power * ([1, 2, 5].find(m => m * power * count >= high - low) ?? 10), first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, k) => (first + k) * step);
}

export class Plot {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    this.pen = canvas.getContext("2d", { alpha: false }); // nothing behind it shines through, so it is put on the screen faster
    this.still = document.createElement("canvas"); // the axes, which seldom change,
    this.key = ""; // and what they were drawn for
    this.theme = this.axes = this.box = this.x = this.y = null;
    this.small = document.createElement("canvas"); // an image's pixels, before they are stretched
    this.spots = []; // what can be pointed at and clicked: {x, y, side, index}
    this.remark = ""; // what the panel's caption adds for this picture
  }

  /** An empty picture with its axes x and y, each [low, high, knee]; `bare` names those without numbers. */
  start(theme, x, y, bare = "") {
    const { canvas, still, pen } = this, { size } = theme, ratio = window.devicePixelRatio || 1, { round } = Math;
    const on = canvas.getBoundingClientRect(), snap = (from, to) => (round(to * ratio) - round(from * ratio)) / ratio;
    const width = snap(on.left, on.right), height = snap(on.top, on.bottom); // whole pixels of the screen: else it is blurred
    const key = [width, height, ratio, x, y, bare, ...Object.values(theme)].join();
    Object.assign(this, { theme, axes: { x, y }, remark: "", spots: [] });
    if (key === this.key) {
      pen.drawImage(still, 0, 0, canvas.width / ratio, canvas.height / ratio);
      return;
    }
    this.key = key;
    const bottom = height - size * (bare.includes("x") ? 0.5 : 1.45), left = bare.includes("y") ? 2 : size * 3.3;
    this.box = { left: round(left), top: round(size * 0.55), right: round(width - size * 0.7), bottom: round(bottom) };
    this.x = scale(x, this.box.left, this.box.right); // from values to pixels
    this.y = scale(y, this.box.bottom, this.box.top);
    canvas.width = still.width = round(width * ratio); // this empties both
    canvas.height = still.height = round(height * ratio);
    pen.scale(ratio, ratio);
    pen.fillStyle = theme.paper;
    pen.fillRect(0, 0, width, height);
    Object.assign(pen, { lineJoin: "round", lineCap: "round", textBaseline: "middle", font: `${size}px system-ui, sans-serif` });
    this.frame(x, y, bare, width);
    still.getContext("2d").drawImage(canvas, 0, 0);
    pen.font = `600 ${pen.font}`;
    pen.beginPath(); // from now on only what lies in the box is drawn, and emptied
    pen.rect(this.box.left, 0, width, this.box.bottom + size * 0.4);
    pen.clip();
  }

  /** The axes with their numbers. */
  frame(x, y, bare, width) {
    const { pen, box: { left, top, right, bottom }, theme: { size, grid, muted } } = this, thin = { colour: muted, width: 1 };
    let last = Infinity; // no two numbers on each other
    pen.textAlign = "right";
    for (const v of bare.includes("y") ? [] : ticks(y, (bottom - top) / size / 2.4)) {
      const at = this.y(v);
      this.path([[left, at], [right, at]], { colour: grid, width: 1 });
      pen.fillStyle = muted;
      if (last - at > size) pen.fillText(brief(v), left - size * 0.4, last = at);
    }
    last = -Infinity;
    pen.textAlign = "center";
    for (const v of bare.includes("x") ? [] : ticks(x, (right - left) / size / 5)) {
      const words = v < 1e5 ? short(v) : whole(v), half = pen.measureText(words).width / 2, at = this.x(v); // iterations in full
      this.path([[at, bottom], [at, bottom + size * 0.25]], thin);
      pen.fillStyle = muted;
      if (at - half > last) pen.fillText(words, clamp(at, half, width - half), bottom + size * 0.9);
      last = Math.max(last, at + half + size);
    }
    this.path([[left, top], [left, bottom], [right, bottom]], thin);
  }

  /** From pixels to values, for linear axes. */
  values(px, py) {
    const { axes: { x, y }, box } = this, share = (px - box.left) / (box.right - box.left);
    return [x[0] + share * (x[1] - x[0]), y[0] + (box.bottom - py) / (box.bottom - box.top) * (y[1] - y[0])];
  }

  /** A line through pixels, where null is a gap, or the area inside: all that is drawn is this, words or an image. */
  path(points, { colour, width = 2, dash = [], alpha = 1, fill = false }) {
    const { pen } = this;
    Object.assign(pen, { strokeStyle: colour, fillStyle: colour, lineWidth: width, globalAlpha: alpha });
    pen.setLineDash(dash);
    pen.beginPath();
    points.forEach((point, k) => point && (points[k - 1] ? pen.lineTo(point[0], point[1]) : pen.moveTo(point[0], point[1])));
    if (fill) pen.fill();
    else pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  line(xs, ys, style) { this.path(Array.from(ys, (v, k) => [this.x(xs[k]), this.y(v)]), style); }

  /** A filled rectangle between two corners, in values. @type {(from: any[], to: any[], colour: string) => void} */
  area([x0, y0], [x1, y1], colour) {
    this.pen.fillStyle = colour;
    this.pen.fillRect(this.x(x0), this.y(y1), this.x(x1) - 1 - this.x(x0), this.y(y0) - this.y(y1));
  }

  ring({ x, y }, radius, colour, width = 3) {
    this.path(Array.from({ length: 33 }, (_, k) => [x + radius * Math.sin(k / 5), y + radius * Math.cos(k / 5)]), { colour, width });
  }

  /** Dots at pixels, one on each; one path of all would take nearly twice as long. */
  spray(places, radius, colour) {
    const { pen } = this;
    pen.fillStyle = colour;
    for (const [x, y] of new Map(places.map(place => [place.map(Math.round).join(), place])).values()) {
      pen.beginPath();
      pen.arc(x, y, radius, 0, 7);
      pen.fill();
    }
  }

  /** Dots at values; beyond the axes they are arrows at the edge. Those of a side can be pointed at. */
  dots(xs, ys, radius, colour, side = "") {
    const { box } = this, places = /** @type {any[]} */ (Array.from(ys, (v, k) => [this.x(xs[k]), this.y(v)]));
    const inside = ([x, y]) => x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
    this.spray(places.filter(inside), radius, colour);
    for (const place of places) if (!inside(place)) this.arrow(place, colour);
    const spot = ([x, y], index) => ({ x: clamp(x, box.left, box.right), y: clamp(y, box.top, box.bottom), side, index });
    if (side) this.spots.push(...places.map(spot));
  }

  /** An arrow at the edge of the box, towards a place outside, with words. */
  arrow([px, py], colour, words = "") {
    const { box, theme: { size } } = this, x = clamp(px, box.left, box.right), y = clamp(py, box.top, box.bottom);
    const out = Math.atan2(py - y, px - x), wing = turn => [x - size * Math.cos(out + turn), y - size * Math.sin(out + turn)];
    this.path([[x, y], wing(0.5), wing(-0.5)], { colour, fill: true });
    if (words) this.text(words, x - size * 0.4, clamp(y, box.top + size * 0.5, box.bottom - size * 0.5), colour, true);
  }

  /** A quantity of a series' entries, a zigzag through the extremes, with a name at its end; an arrow where it leaves the axis,
   * and dots while they are few, unless it is faint. */
  curve(entries, q, { colour, dash, name = "", faint = 0 }) {
    const { axes: { y }, box } = this, points = [];
    let out = null;
    for (const { at, low, high } of entries) for (const v of low[q] === high[q] ? [low[q]] : [low[q], high[q]]) {
      points.push(Number.isFinite(v) ? [this.x(at), this.y(clamp(v, y[0], y[1]))] : null);
      if (v < y[0] || v > y[1]) out = [at, v];
    }
    const drawn = points.filter(Boolean), end = drawn.at(-1);
    // A long zigzag of one pixel is drawn 20 to 100 times as fast as a wider one, and 4 times as fast with dashes along x.
    const many = points.length > 200, style = { colour, alpha: faint || 1, width: many ? 1 : 2, dash: many ? [] : dash };
    const shown = point => !dash.length || point?.[0] % (dash[0] + dash[1]) < Math.max(dash[0], 2.5);
    this.path(many ? points.map(point => (shown(point) ? point : null)) : points, style);
    if (many && dash.length) this.path(points, { ...style, alpha: 0.35 * style.alpha }); // so that no spike is lost
    if (entries.length <= 40 && !faint) this.spray(drawn, 3, colour);
    if (out && !faint) this.arrow([this.x(out[0]), this.y(out[1])], colour, short(out[1]));
    if (name && end && end[0] <= box.right) this.text(name, end[0], clamp(end[1], box.top + 6, box.bottom - 6), colour);
  }

  /** A level across ("y"), or a mark down ("x"), at a value, with a label that begins at this share of its length. */
  level(axis, v, style, label = "", share = 0) {
    const { box, theme: { size } } = this, [low, high] = this.axes[axis], at = this[axis](v), across = axis === "y";
    if (!(v >= low && v <= high)) return;
    this.path(across ? [[box.left, at], [box.right, at]] : [[at, box.top], [at, box.bottom]], style);
    const place = across ? [box.left + share * (box.right - box.left), at - size * 0.65] : [at, box.top + size * 0.6];
    if (label) this.text(label, place[0], place[1], style.colour);
  }

  /** Bold words on paper that lets little shine through: right of a point (or `before` it), or else where there is room. */
  text(words, x, y, colour, before = false) {
    const { pen, box, theme: { paper, size } } = this, wide = pen.measureText(words).width + 5;
    const left = x - wide > box.left && (before || x + wide > box.right);
    Object.assign(pen, { fillStyle: paper, globalAlpha: 0.85, textAlign: left ? "right" : "left" });
    pen.fillRect(left ? x - wide - 2 : x + 2, y - size * 0.55, wide, size * 1.1);
    Object.assign(pen, { fillStyle: colour, globalAlpha: 1 });
    pen.fillText(words, x + (left ? -5 : 4), y);
  }

  /** Pixels, on white, between two corners in values; row 0 is the lowest; `colour(column, row)` as canvas keeps it. */
  image(columns, rows, colour, corners) {
    const { small } = this, pen = small.getContext("2d"), [[x0, y0], [x1, y1]] = corners, left = this.x(x0), top = this.y(y1);
    Object.assign(small, { width: columns, height: rows });
    const picture = pen.createImageData(columns, rows);
    new Uint32Array(picture.data.buffer).forEach((_, k, pixels) => {
      pixels[k] = colour(k % columns, rows - 1 - Math.floor(k / columns));
    });
    pen.putImageData(picture, 0, 0);
    this.area([x0, y0], [x1, y1], "#f7f7f7");
    this.pen.imageSmoothingEnabled = false;
    this.pen.drawImage(small, left, top, this.x(x1) - left, this.y(y0) - top);
  }
}
