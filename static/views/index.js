/** The views of a result, in the order of their tabs. A new view is one new file and one line here. */

import * as agreement from "./agreement.js";
import * as difference from "./difference.js";
import * as matrix from "./matrix.js";
import * as table from "./table.js";
import * as trees from "./trees.js";

/** Each exports `title` and `render(container, result)`. */
export const VIEWS = { trees, difference, matrix, agreement, table };
