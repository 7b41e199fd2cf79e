/** The bench: everything about a result. Its code is fetched with the first result, not with the page. */

import { requestFor } from "./api.js";
import { attachConstraints } from "./constrain.js";
import { renderControls } from "./controls.js";
import { attachPointers } from "./interact.js";
import { fontsReady } from "./measure.js";
import { rehearse } from "./rehearsal.js";
import { withOptions } from "./result.js";
import { viewsOf } from "./views/index.js";
import { renderWhatIf, withConstraint } from "./what-if.js";

const $ = (id) => document.getElementById(id);

let now = null; // what was drawn last, for gestures on it

/** To await before the first drawing: widths are measured in the type that is drawn. */
export const ready = fontsReady();

/** Done when the code of the drawing is warm, or no longer needs to be. Nothing waits for it. */
export const rehearsed = ready.then(() => rehearse(() => now !== null));

/**
 * Draws a result: controls, constraints and the chosen view.
 *
 * @param {{result, state, models, takes, set, constrain}} bench `models` are those of the task; `set(change, how)`
 *   changes the state, `constrain(constraints)` asks anew under them
 * @param {{keepControls?: boolean}} how `keepControls` while a control is in use
 */
export function drawBench(bench, { keepControls = false } = {}) {
  now = bench;
  const { result, state, models, takes, set } = bench;
  if (!keepControls) {
    renderControls($("controls"), { state, models, takes, set, takeAway });
    drawWhatIf(bench);
  }
  const views = viewsOf(takes);
  (views[state.view] ?? views.trees).render($("view"), withOptions(result, state));
}

/** Wrapped rows follow the width of the window. */
let settled = 0;
addEventListener("resize", () => {
  clearTimeout(settled);
  settled = setTimeout(() => now?.state.fit === "wrap" && !$("answer").hidden && drawBench(now, { keepControls: true }), 150);
});

/** Diagrams of one sentence scroll together, so that the same words of all models stay in sight. */
function scrollTogether({ target }) {
  if (!target.classList?.contains("scroller") || target.dataset.following) return;
  const { scrollLeft, scrollWidth } = target;
  for (const other of $("view").querySelectorAll(".main-figure .scroller, .mixture > .scroller")) {
    if (other === target || Math.abs(other.scrollWidth - scrollWidth) > 240 || other.scrollLeft === scrollLeft) continue;
    other.dataset.following = "true";
    other.scrollLeft = scrollLeft;
    requestAnimationFrame(() => requestAnimationFrame(() => delete other.dataset.following));
  }
}

function drawWhatIf({ result, state, takes, constrain }) {
  const sentences = result.models.find((model) => model.sentences.some(({ trees }) => trees))?.sentences ?? [];
  const sides = takes === "pair" ? ["premise", "hypothesis"] : [undefined];
  renderWhatIf($("what-if"), { constraints: state.constraints, sentences, sides, change: constrain });
}

async function takeAway() {
  const { openDialog } = await import("./export/dialog.js");
  openDialog($("take"), withOptions(now.result, now.state), requestFor(now.state, now.models));
}

$("view").addEventListener("scroll", scrollTogether, { capture: true, passive: true });
attachPointers($("view"), $("tip"));
attachConstraints($("view"));
$("view").addEventListener("constrain", ({ detail }) => now.constrain(withConstraint(now.state.constraints, detail)));
$("view").addEventListener("change-state", ({ detail }) => now.set(detail, { keepControls: true }));
