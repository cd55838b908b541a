// The figure: all panels, what one points at and has clicked, sizes and dark mode.

import { h, named } from "./dom.js";
import { PANELS, sampleOf } from "./panels.js";
import { Plot } from "./plot.js";
import { chance, clamp } from "./text.js";

const COLOURS = ["ink", "paper", "grid", "muted", "g", "d", "real", "band", "cliff"]; // names in style.css
const STEPS = { ArrowLeft: [-8, 0], ArrowRight: [8, 0], ArrowUp: [0, -8], ArrowDown: [0, 8] }; // pixels

export class Figure {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.hover = this.hit = this.pinned = this.theme = /** @type {any} */ (null); // pinned: the sample that was clicked
    this.described = 0;
    this.parts = PANELS.map(panel => this.part(panel));
    this.of = Object.fromEntries(this.parts.map(part => [part.panel.name, part.element]));
    this.of.lives.hidden = true;
    const column = (...names) => h("div", { class: `column ${names[0]}` }, ...names.map(name => this.of[name]));
    this.description = h("p", { class: "unseen", id: `ganlab-${Math.random().toString(36).slice(2)}` });
    const names = { role: "group", "aria-label": "Figure of the run", "aria-describedby": this.description.id };
    this.grid = h("div", { class: "figure", ...names },
      column("losses", "scores", "logits"), column("real", "fake"), column("atlas", "along"));
    this.number = h("output", { class: "chance", "aria-live": "off" });
    this.hazard = h("div", { class: "hazard" }, this.number, this.of.hazard);
    this.tip = h("div", { class: "tip", hidden: true });
    this.element = h("div", { class: "stage" }, this.grid, this.tip, this.description);
  }

  /** One panel: its title, its canvas, and what pointing at it does, by mouse or by arrow keys. */
  part(panel) {
    const title = h("span", { class: "title" }), remark = h("span", { class: "remark" }), leave = () => this.point(null);
    const canvas = h("canvas", {
      role: "img", tabindex: 0, "aria-label": panel.label, onpointerleave: leave, onblur: leave, onclick: () => this.pin(),
      onkeydown: event => this.key(part, event),
      onpointermove: ({ offsetX: x, offsetY: y }) => this.point({ part, x, y }),
    });
    const element = h("figure", { class: `panel ${panel.name}` }, h("figcaption", {}, title, remark), canvas);
    const part = { panel, canvas, title, remark, element, plot: new Plot(canvas) };
    return part;
  }

  /** Arrow keys move the pointer, Enter clicks, Escape lets go. */
  key(part, event) {
    const [dx, dy] = STEPS[event.key] ?? [0, 0], { clientWidth: wide, clientHeight: high } = part.canvas;
    if (event.key === "Escape") this.hit = null;
    if (event.key === "Enter" || event.key === "Escape") this.pin();
    if (event.key === "Escape") this.point(null);
    if (!dx && !dy) return;
    event.preventDefault();
    const from = this.hover?.part === part ? this.hover : { x: wide / 2, y: high / 2 };
    const { x, y } = part.panel.step?.(part.plot, from, dx || -dy)
      ?? { x: clamp(from.x + dx, 0, wide), y: clamp(from.y + dy, 0, high) };
    this.point({ part, x, y }, "polite");
  }

  /** @param {string} live   is the tip read aloud? */
  point(hover, live = "off") {
    this.hover = hover;
    this.tip.setAttribute("aria-live", live);
    if (!hover) this.tip.hidden = true;
    this.view.request();
  }

  /** A click on a sample's dot keeps it in the picture; a click elsewhere lets it go. */
  pin() {
    const scene = this.view.scene(), { side, index, text } = this.hit ?? {};
    this.pinned = null;
    if (scene && side) {
      const { picture, run } = scene, sample = sampleOf(picture, run, side, index);
      this.pinned = { side, index, iteration: picture.iteration, sample, logit: picture[`${side}Logits`][index] };
      this.view.speak(`${text.replace(/\n/g, ", ")}: drawn with the ${side === "fake" ? "generated" : "real"} samples.`);
    }
    this.view.request();
  }

  /** The menu that shows and hides panels. */
  menu() {
    const ticks = this.parts.filter(({ panel }) => panel.name !== "lives").map(({ panel, element }) => {
      const tick = h("input", { type: "checkbox", checked: true, onchange: () => {
        element.classList.toggle("off", !tick.checked);
        for (const column of this.grid.children) column.hidden = !column.querySelector(".panel:not(.off)");
        this.view.request();
      } });
      return named(panel.label, tick, "tick");
    });
    return h("details", { class: "panels" }, h("summary", {}, "Panels"), h("div", {}, ...ticks));
  }

  /** The lowest panel of curves on show: it carries the iterations. */
  get lowest() { return ["logits", "scores", "losses"].find(name => !this.of[name].classList.contains("off")) ?? ""; }

  /** Another run comes on show. @param {import("./types.js").Run} run */
  show(run) {
    this.pinned = null;
    const spans = pairs => pairs.filter(([words]) => words).map(([words, name]) => h("span", { class: name }, words));
    for (const { panel, title } of this.parts) title.replaceChildren(...spans(panel.title(run)));
  }

  /** Draw again when the size or the theme changes, until the signal. @param {HTMLElement} root @param {AbortSignal} signal */
  watch(root, signal) {
    const redraw = () => { this.theme = null; this.view.request(); };
    const sizes = new ResizeObserver(redraw), themes = new MutationObserver(redraw);
    sizes.observe(root);
    for (const element of [document.documentElement, document.body]) themes.observe(element, { attributes: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw, { signal });
    signal.addEventListener("abort", () => { sizes.disconnect(); themes.disconnect(); });
  }

  /** Colours of the page's theme: JupyterLab's, VS Code's, Sphinx's or Colab's, else the system's. @param {HTMLElement} root */
  colours(root) {
    const { body, documentElement: page } = document, style = getComputedStyle(this.grid);
    const code = ["dark", "light"].find(name => body.classList.contains(`vscode-${name}`));
    const jupyter = { true: "light", false: "dark" }[body.dataset.jpThemeLight ?? ""];
    const said = [jupyter, code, page.dataset.theme, page.getAttribute("theme")];
    const theme = said.find(name => name === "dark" || name === "light");
    root.dataset.dark = String(theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
    const colours = Object.fromEntries(COLOURS.map(name => [name, style.getPropertyValue(`--${name}`).trim()]));
    return { size: parseFloat(style.fontSize) * 0.86, .../** @type {any} */ (colours) };
  }

  /** Draw all that can be seen. @param {string} headline */
  draw(scene, headline) {
    const words = [], now = performance.now();
    this.of.lives.hidden = scene.guesses.length < 2;
    for (const { panel, canvas, plot, remark } of this.parts) {
      if (!canvas.clientWidth || !canvas.clientHeight) continue;
      const text = panel.draw(plot, scene);
      words.push([canvas, plot.remark ? `${text}; ${plot.remark}` : text]);
      if (remark.textContent !== plot.remark) remark.textContent = remark.title = plot.remark;
    }
    if (this.hover) this.cross(scene, this.hover);
    if (now - this.described < 1000 && scene.running) return;
    this.described = now; // not 30 times a second: somebody may be listening
    for (const [canvas, text] of words) canvas.setAttribute("aria-label", text);
    this.description.textContent = `${headline} ${words.map(([, text]) => text).join(". ")}.`;
  }

  /** The chance that this batch is the last, in figures that grow with it, from 1e-4 on. */
  chance({ run, hazards, until, cursor }) {
    const k = hazards.find(Math.min(until, cursor ?? Infinity) + 1) - 1, p = k < 0 ? NaN : hazards.high[k];
    this.number.textContent = chance(p);
    this.number.style.setProperty("--grow", String(p > 0 ? clamp(1 + Math.log10(p) / 4, 0, 1) : 0));
    this.hazard.hidden = !run.hazard || this.of.hazard.classList.contains("off");
  }

  /** Cross and numbers where one points. */
  cross(scene, { part: { panel, plot, canvas }, x, y }) {
    const hit = this.hit = panel.probe(plot, scene, x, y), { tip } = this, { box } = plot;
    tip.hidden = !hit;
    if (!hit) return;
    if (hit.y === undefined) plot.rule([[hit.x, box.top], [hit.x, box.bottom]], { colour: scene.theme.muted, width: 1 });
    else plot.spot(hit.x, hit.y, -6, scene.theme.ink, 2);
    if (tip.textContent !== hit.text) tip.textContent = hit.text;
    const [stage, at] = [this.element, canvas].map(one => one.getBoundingClientRect()), left = at.left - stage.left + hit.x;
    tip.style.left = `${left + tip.offsetWidth + 16 > stage.width ? Math.max(left - tip.offsetWidth - 12, 0) : left + 12}px`;
    tip.style.top = `${at.top - stage.top + clamp(y, 0, canvas.clientHeight - tip.offsetHeight)}px`;
  }
}
