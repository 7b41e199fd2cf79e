/** The names of the structures, as they are shown. */
export const NAMES = { map: "MAP", marginals: "Marginals", sparsemap: "SparseMAP" };
