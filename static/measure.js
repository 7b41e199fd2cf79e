/** Widths of words in the type that the diagrams use, measured once per word. */

export const WORD_FONT = "17px 'Source Serif 4', Georgia, 'Times New Roman', serif";

const known = new Map();
let canvas = null;

/** The type has arrived (or will not): widths measured from now on are final. */
export async function fontsReady() {
  try {
    await document.fonts.load(WORD_FONT);
  } catch {
    /* the fallback serif is measured instead */
  }
  known.clear();
}

/** Measured widths, px, in the order of the tokens. */
export function widthsOf(tokens) {
  canvas ??= document.createElement("canvas").getContext("2d");
  canvas.font = WORD_FONT;
  return tokens.map((token) => {
    if (!known.has(token)) known.set(token, Math.max(4, canvas.measureText(token).width));
    return known.get(token);
  });
}

/** True if the first letter with a direction is of a right-to-left script. */
export function isRightToLeft(tokens) {
  for (const token of tokens) {
    for (const letter of token) {
      if (/\p{Script=Hebrew}|\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Thaana}|\p{Script=Nko}/u.test(letter)) return true;
      if (/\p{L}/u.test(letter)) return false;
    }
  }
  return false;
}
