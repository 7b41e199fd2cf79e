/** TikZ for the `tikz-dependency` package: \deproot and \depedge, with widths and opacities for weighted arcs. */

import { pictureArcs } from "./arcs-of.js";

export const title = "TikZ";
export const extension = "tex";
export const mime = "application/x-tex";

const SPECIAL = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };

/** A token as LaTeX text. */
export const escapeTex = (token) => token.replace(/[\\~^]|[&%$#_{}]/g, (sign) => SPECIAL[sign] ?? `\\${sign}`);

function edge({ head, modifier, weight, weighted, side }) {
  const label = weighted ? `${Math.round(weight * 100)}` : "";
  const styles = [
    ...(side === "below" ? ["edge below"] : []),
    ...(weighted ? [`edge style={line width=${(0.2 + 1.6 * weight).toFixed(2)}pt, opacity=${(0.15 + 0.85 * weight).toFixed(2)}}`] : []),
    ...(weighted ? ["label style={draw=none, font=\\tiny}"] : []),
  ];
  const options = styles.length > 0 ? `[${styles.join(", ")}]` : "";
  return head === 0 ? `  \\deproot${options}{${modifier}}{${label || "root"}}` : `  \\depedge${options}{${head}}{${modifier}}{${label}}`;
}

/** The dependency environment of one picture. */
export function make({ sentence, structure, threshold, name }) {
  const arcs = pictureArcs(sentence, structure, threshold);
  return [
    `% ${name}; \\usepackage{tikz-dependency}`,
    "\\begin{dependency}[hide label=false, edge slant=0pt]",
    "  \\begin{deptext}[column sep=0.7em]",
    `    ${sentence.tokens.map(escapeTex).join(" \\& ")} \\\\`,
    "  \\end{deptext}",
    ...arcs.map(edge),
    "\\end{dependency}",
    "",
  ].join("\n");
}
