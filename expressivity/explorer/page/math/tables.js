/**
 * Heads with free tables: what kernel they make together, and how far off it is.
 *
 * @typedef {object} TableHeads
 * @property {Float64Array} tables (heads, taps), rows sum to one
 * @property {Float64Array} matrices what each head carries, (heads, entries)
 * @property {number} count heads
 */

/**
 * Return Σ_h table_h ⊗ matrix_h, (entries, taps).
 *
 * @param {TableHeads} heads
 * @returns {Float64Array}
 */
export function kernelOf({ tables, matrices, count }) {
  const [taps, entries] = [tables.length / count, matrices.length / count];
  const kernel = new Float64Array(entries * taps);
  for (let h = 0; h < count; h++) {
    for (let e = 0; e < entries; e++) {
      const carried = matrices[h * entries + e];
      for (let t = 0; t < taps; t++) kernel[e * taps + t] += tables[h * taps + t] * carried;
    }
  }
  return kernel;
}

/**
 * Return ‖kernel − wanted‖ / ‖wanted‖ in the Frobenius norm.
 *
 * @param {Float64Array} kernel
 * @param {Float64Array} wanted
 */
export function relativeError(kernel, wanted) {
  return length(wanted.map((value, i) => value - kernel[i])) / length(wanted);
}

/** @param {Float64Array} values */
function length(values) {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
}
