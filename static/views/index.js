/** The views of a result, in the order of their tabs. A new view is one new file and one line here. */

import * as agreement from "./agreement.js";
import * as alignment from "./alignment.js";
import * as difference from "./difference.js";
import * as matrix from "./matrix.js";
import * as table from "./table.js";
import * as trees from "./trees.js";

/** Each exports `title` and `render(container, result)`, and `takes` if it is for one kind of input only. */
export const VIEWS = { trees, alignment, difference, matrix, agreement, table };

/** The views of results of one kind of input, "sentence" or "pair", by name. */
export const viewsOf = (takes) => Object.fromEntries(Object.entries(VIEWS).filter(([, view]) => (view.takes ?? takes) === takes));
