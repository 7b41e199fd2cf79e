/** The formats, in the order of their tabs. A new format is one new file and one line here. */

import * as conllu from "./conllu.js";
import * as curl from "./curl.js";
import * as json from "./json.js";
import * as png from "./png.js";
import * as svg from "./svg.js";
import * as tikz from "./tikz.js";

/** Each exports `title`, `extension`, `mime`, `make(choice)` (text or Blob), and `whole` if it needs no picture. */
export const FORMATS = { svg, png, tikz, conllu, json, curl };
