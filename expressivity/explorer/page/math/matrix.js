/**
 * Matrices of float64, row by row. An image is a matrix of pixels.
 *
 * @typedef {object} Matrix
 * @property {number} rows
 * @property {number} columns
 * @property {Float64Array} data
 */

/**
 * @param {number} rows
 * @param {number} columns
 * @returns {Matrix}
 */
export function zeros(rows, columns) {
  return { rows, columns, data: new Float64Array(rows * columns) };
}

/**
 * Return left · middle · rightᵀ: an image read along both axes.
 *
 * @param {Matrix} left
 * @param {Matrix} middle
 * @param {Matrix} right
 */
export function sandwich(left, middle, right) {
  return product(product(left, middle), transposed(right));
}

/**
 * @param {Matrix} matrix
 * @returns {Matrix}
 */
function transposed({ rows, columns, data }) {
  const result = zeros(columns, rows);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result.data[j * rows + i] = data[i * columns + j];
  }
  return result;
}

/**
 * @param {Matrix} left
 * @param {Matrix} right
 */
function product(left, right) {
  const result = zeros(left.rows, right.columns);
  for (let i = 0; i < left.rows; i++) {
    for (let k = 0; k < left.columns; k++) {
      const factor = left.data[i * left.columns + k];
      if (factor !== 0) {
        for (let j = 0; j < right.columns; j++) {
          result.data[i * right.columns + j] += factor * right.data[k * right.columns + j];
        }
      }
    }
  }
  return result;
}

/**
 * Return Σ factor · matrix over matrices of one shape.
 *
 * @param {Matrix[]} matrices
 * @param {ArrayLike<number>} factors
 */
export function combination(matrices, factors) {
  const result = zeros(matrices[0].rows, matrices[0].columns);
  matrices.forEach(({ data }, c) => {
    for (let i = 0; i < data.length; i++) result.data[i] += factors[c] * data[i];
  });
  return result;
}

/**
 * Return the largest magnitude.
 *
 * @param {Matrix} matrix
 */
export function largest({ data }) {
  return data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/**
 * @param {Matrix} matrix
 * @returns {Matrix}
 */
export function magnitudes({ rows, columns, data }) {
  return { rows, columns, data: data.map(Math.abs) };
}
