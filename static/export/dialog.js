/** The dialog that takes a picture or its numbers away. */

import { h } from "../dom.js";
import { apiKey } from "../history.js";
import { sideOf } from "../result.js";
import { PAIR_PICTURES, PICTURES } from "./arcs-of.js";
import { FORMATS } from "./index.js";

/** What was chosen is kept for the next time that the dialog opens. */
const chosen = { format: "svg", model: "", picture: "both", sentence: 0 };

function select(label, name, options, change) {
  return h("label", { class: "select" }, h("span", {}, label),
    h("select", { name, on: { change: (event) => { chosen[name] = event.target.value; change(); } } },
      options.map(([value, text]) => h("option", { value, selected: String(chosen[name]) === String(value) }, text))));
}

/** Which pictures there are, by name. */
const picturesOf = (result) => (result.takes === "pair" && chosen.format === "svg" ? PAIR_PICTURES : PICTURES);

/** What a format needs to know, from the result and the choices. */
function choiceOf(result, request) {
  const model = result.models.find(({ id }) => id === chosen.model);
  const side = chosen.picture === "alignment" ? "alignment" : sideOf(result, Number(chosen.sentence));
  return {
    model, sentence: model?.sentences[Number(chosen.sentence)], structure: chosen.picture,
    show: result.options.show, threshold: result.options.threshold, name: `${model?.id}${side ? `-${side}` : ""}`, answer: result.answer, request, base: document.baseURI, keyed: Boolean(apiKey()),
  };
}

async function preview(box, made) {
  const content = await made;
  if (typeof content === "string") {
    box.replaceChildren(h("pre", { tabindex: 0, "aria-label": "Preview" }, content.length > 6000 ? `${content.slice(0, 6000)}\n…` : content));
    return;
  }
  const url = URL.createObjectURL(content);
  box.replaceChildren(h("img", { src: url, alt: "Preview of the picture", on: { load: () => URL.revokeObjectURL(url) } }));
}

async function download(made, format, name) {
  const content = await made;
  const url = URL.createObjectURL(typeof content === "string" ? new Blob([content], { type: format.mime }) : content);
  h("a", { href: url, download: `understory-${name}.${format.extension}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function copy(made, button) {
  const content = await made;
  try {
    if (typeof content === "string") await navigator.clipboard.writeText(content);
    else await navigator.clipboard.write([new ClipboardItem({ [content.type]: content })]);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Not allowed here: use Download";
  }
}

/** Opens the dialog on a result; `request` is the body that gave it. */
export function openDialog(dialog, result, request) {
  const drawable = result.models.filter((model) => model.sentences.some(({ trees }) => trees));
  if (!drawable.some(({ id }) => id === chosen.model)) chosen.model = drawable[0]?.id ?? "";
  if (Number(chosen.sentence) >= (drawable[0]?.sentences.length ?? 1)) chosen.sentence = 0;
  const formats = Object.entries(FORMATS).filter(([, format]) => format.whole || drawable.length > 0);
  const draw = () => {
    const format = FORMATS[chosen.format];
    if (!(chosen.picture in picturesOf(result))) chosen.picture = "both";
    const choice = choiceOf(result, request);
    const made = format.make(choice);
    const box = h("div", { class: "preview" });
    const name = format.whole ? "answer" : choice.name;
    const focused = dialog.contains(document.activeElement) && { name: document.activeElement.name, value: document.activeElement.value };
    const copyButton = h("button", { type: "button", class: "ghost", on: { click: () => copy(made, copyButton) } }, "Copy");
    dialog.replaceChildren(
      h("div", { class: "dialog-head" }, h("h2", { id: "take-title" }, "Take it away"),
        h("button", { type: "button", class: "ghost small", on: { click: () => dialog.close() } }, "Close")),
      h("fieldset", { class: "segments" }, h("legend", { class: "sr-only" }, "Format"), formats.map(([key, { title }]) => h("label", {},
        h("input", { type: "radio", name: "format", value: key, checked: key === chosen.format, on: { change: () => { chosen.format = key; draw(); } } }),
        h("span", {}, title)))),
      !format.whole ? h("div", { class: "control-row" },
        select("Model", "model", drawable.map(({ id }) => [id, id]), draw),
        chosen.format !== "conllu" && select("Picture", "picture", Object.entries(picturesOf(result)), draw),
        result.takes === "pair" && chosen.picture !== "alignment" && select("Sentence", "sentence", [[0, "premise"], [1, "hypothesis"]], draw)) : "",
      box,
      h("div", { class: "control-row" },
        h("button", { type: "button", class: "primary", on: { click: () => download(made, format, name) } }, `Download .${format.extension}`),
        copyButton, h("span", { class: "spring" }),
        h("span", { class: "quiet" }, "The address of this page is a link to the same picture.")));
    preview(box, made);
    if (focused?.name) [...dialog.querySelectorAll("input, select")].find((each) => each.name === focused.name && each.value === focused.value)?.focus();
  };
  draw();
  dialog.showModal();
}
