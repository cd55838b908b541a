// The figure: all panels, what one points at and has clicked, and the colours of the page around.

import { h } from "./controls.js";
import { PANELS, sampleOf } from "./panels.js";
import { Plot } from "./plot.js";
import { clamp } from "./text.js";

const TURNS = 5; // where frames come fast, one of the first five panels is drawn in each
const COLOURS = ["ink", "paper", "grid", "muted", "g", "d", "real", "band", "cliff"]; // names in style.css

export class Figure {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.hover = this.pinned = this.scene = null; // where one points, the sample that was clicked, what was last drawn
    this.turn = 0;
    this.parts = PANELS.map(panel => this.part(panel));
    this.of = Object.fromEntries(this.parts.map(({ panel, element }) => [panel.name, element]));
    this.of.lives.hidden = true; // until there are guesses
    const column = (...names) => h("div", { class: `column ${names[0]}` }, ...names.map(name => this.of[name]));
    this.description = h("p", { class: "unseen", id: `ganlab-${Math.random().toString(36).slice(2)}` });
    const names = { role: "group", "aria-label": "Figure of the run", "aria-describedby": this.description.id };
    this.grid = h("div", { class: "figure", ...names },
      column("losses", "scores", "logits"), column("real", "fake"), column("atlas", "along"));
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "stage" }, this.grid, this.description);
  }

  /** One panel: its title with a tick that shows or hides it, its canvas, and what pointing at it does. */
  part(panel) {
    const title = h("span", { class: "title" }), remark = h("span", { class: "remark" });
    const leave = ({ pointerType }) => pointerType !== "touch" && this.point(null); // a tap is over before its click
    const at = ({ offsetX: x, offsetY: y }) => this.point({ part, x, y }), redraw = () => this.view.request();
    const tick = h("input", { type: "checkbox", checked: true, "aria-label": `show ${panel.label}`, onchange: redraw });
    const canvas = h("canvas", {
      role: "img", tabindex: 0, "aria-label": panel.label, onpointerleave: leave, onblur: leave, onclick: () => this.pin(),
      onkeydown: event => this.key(part, event), onpointermove: at, onpointerdown: at,
    });
    const element = h("figure", { class: `panel ${panel.name}` }, h("figcaption", {}, tick, title, remark), canvas);
    const part = { panel, canvas, title, remark, element, plot: new Plot(canvas) };
    return part;
  }

  /** The arrow keys left and right move the pointer, or from dot to dot; Enter clicks, Escape lets go. */
  key(part, event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key], { canvas, plot } = part;
    if (event.key === "Escape") this.point(null);
    if (event.key === "Enter" || event.key === "Escape") this.pin();
    if (!step) return;
    event.preventDefault();
    const { x, y } = this.hover?.part === part ? this.hover : { x: canvas.clientWidth / 2, y: canvas.clientHeight / 2 };
    const ahead = plot.spots.filter(spot => (spot.x - x) * step > 0.01).sort((a, b) => (a.x - b.x) * step)[0];
    this.point({ part, x: ahead?.x ?? clamp(x + 8 * step, 0, canvas.clientWidth), y: ahead?.y ?? y }, "polite");
  }

  /** @param {string} live   is the tip read aloud? */
  point(hover, live = "off") {
    this.hover = hover;
    this.tip.setAttribute("aria-live", live);
    this.tip.hidden ||= !hover;
    this.view.request();
  }

  /** The dot where one points. */
  get near() {
    const { part, x, y } = this.hover ?? {}, far = spot => Math.hypot(spot.x - x, spot.y - y);
    return part?.plot.spots.filter(spot => far(spot) < 22).sort((a, b) => far(a) - far(b))[0];
  }

  /** A click on a sample's dot keeps it in the picture; a click elsewhere lets it go. */
  pin() {
    const { side, index } = this.near ?? {};
    this.pinned = null;
    if (side) {
      const { picture, run } = this.scene, sample = sampleOf(picture, run, side, index);
      this.pinned = { side, index, iteration: picture.iteration, sample, logit: picture[`${side}Logits`][index] };
    }
    this.view.request();
  }

  /** The lowest panel of curves on show: it carries the iterations. */
  get lowest() { return ["logits", "scores", "losses"].find(name => this.of[name].querySelector("canvas").clientHeight) ?? ""; }

  /** Another run comes on show. @param {import("./types.js").Run} run */
  show(run) {
    this.pinned = null;
    for (const { panel, title } of this.parts)
      title.replaceChildren(...panel.title(run).map(([words, name]) => h("span", { class: name, hidden: !words }, words)));
  }

  /** The page is dark if its words are light, whoever made it: JupyterLab, VS Code, Colab, Sphinx. @param {HTMLElement} root */
  colours(root) {
    const [r, g, b] = getComputedStyle(root.parentElement ?? root).color.match(/[\d.]+/g)?.map(Number) ?? [0, 0, 0];
    root.dataset.dark = String(r + g + b > 384);
    const style = getComputedStyle(this.grid), colours = COLOURS.map(name => [name, style.getPropertyValue(`--${name}`)]);
    return { size: parseFloat(style.fontSize) * 0.86, ...Object.fromEntries(colours) };
  }

  /** Draw what can be seen: all of it, unless frames come fast. */
  draw(scene) {
    this.scene = scene;
    this.of.lives.hidden = scene.guesses.length < 2;
    this.turn = (this.turn + 1) % TURNS;
    for (const [k, part] of this.parts.entries()) {
      const { panel, canvas, plot, remark } = part;
      if (scene.fast && k < TURNS && k !== this.turn && part !== this.hover?.part) continue;
      part.words = canvas.clientWidth && canvas.clientHeight ? panel.draw(plot, scene) : null;
      if (part.words && remark.textContent !== plot.remark) remark.textContent = plot.remark;
    }
    if (this.hover) this.cross(scene, this.hover);
  }

  /** What was drawn, in words: for each panel, and for all below this headline. @param {string} headline */
  describe(headline) {
    const seen = this.parts.filter(({ words }) => words);
    const texts = seen.map(({ words, plot: { remark } }) => (remark ? `${words()}; ${remark}` : words()));
    seen.forEach(({ canvas }, k) => canvas.setAttribute("aria-label", texts[k]));
    this.description.textContent = `${headline} ${texts.join(". ")}.`;
  }

  /** Numbers where one points: of the dot that is near, else of the place. */
  cross(scene, { part: { panel, plot, canvas, element }, x, y }) {
    const { tip, near } = this, { box } = plot;
    const words = near ? panel.spot(scene, near) : panel.read?.(scene, ...plot.values(x, y));
    tip.hidden = !words;
    if (!words) return;
    if (near) plot.ring(near, 6, scene.theme.ink, 2);
    else plot.path([[x, box.top], [x, box.bottom]], { colour: scene.theme.muted, width: 1 });
    tip.textContent = words;
    if (tip.parentElement !== element) element.append(tip);
    tip.classList.toggle("left", x > canvas.clientWidth / 2); // in the corner where one does not point
  }
}
