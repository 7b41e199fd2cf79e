/** The line under the form that says what goes on: nothing, waiting, or what went wrong and what to do. */

import { h } from "./dom.js";

const box = () => document.getElementById("status");

export const say = (...children) => box().replaceChildren(...children);
export const sayText = (text) => say(h("p", { class: "message" }, text));
export const sayBusy = (text) => say(h("p", { class: "message busy" }, h("span", { class: "spinner" }), text));

/** An error, with a button for each way out: [text, action]. */
export function sayError(error, ways) {
  say(h("div", { class: "message error" }, h("p", {}, error.message),
    error.details?.length > 0 && h("ul", {}, error.details.map((detail) => h("li", {}, detail))),
    ways.map(([text, action]) => h("button", { type: "button", class: "ghost", on: { click: action } }, text))));
}

/** The way in to a service that asks for a key. */
export function sayKeyWanted(error, enter) {
  const field = h("input", { type: "password", id: "api-key", name: "key", autocomplete: "off", required: true });
  say(h("form", { class: "message error key-form", on: { submit: (event) => { event.preventDefault(); enter(field.value.trim()); } } },
    h("p", {}, error.message), h("label", { for: "api-key" }, "Key "), field, h("button", { type: "submit", class: "ghost" }, "Use it")));
}
