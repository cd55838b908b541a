// Elements. Words only ever become text nodes, never HTML.

/** An element; a key `on...` is a listener, all else an attribute (true: present, false or null: absent).
 * @param {string} tag @param {Object<string, any>} [attributes] @param {...(Node|string)} children @returns {any} */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null) element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children);
  return element;
}

/** A control with its visible name. */
export const named = (words, control, kind = "") => h("label", { class: `named ${kind}` }, h("span", {}, words), control);

/** A button that keeps the focus when it has no effect: it is marked, not disabled. */
export function button(name, title, act) {
  const press = () => element.getAttribute("aria-disabled") !== "true" && act();
  const element = h("button", { type: "button", title, onclick: press }, name);
  return element;
}
