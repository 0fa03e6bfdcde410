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
  const half = zeros(left.rows, middle.columns);
  for (let i = 0; i < left.rows; i++) {
    for (let k = 0; k < left.columns; k++) {
      const factor = left.data[i * left.columns + k];
      // Most rows are short: a head sees a few pixels.
      if (!factor) continue;
      for (let j = 0; j < half.columns; j++) {
        half.data[i * half.columns + j] += factor * middle.data[k * half.columns + j];
      }
    }
  }
  const result = zeros(left.rows, right.rows);
  for (let i = 0; i < result.rows; i++) {
    for (let j = 0; j < result.columns; j++) {
      let sum = 0;
      for (let k = 0; k < right.columns; k++) {
        sum += half.data[i * half.columns + k] * right.data[j * right.columns + k];
      }
      result.data[i * result.columns + j] = sum;
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
  const [{ rows, columns }] = matrices;
  const result = zeros(rows, columns);
  matrices.forEach(({ data }, c) => {
    const factor = factors[c];
    for (let i = 0; i < data.length; i++) result.data[i] += factor * data[i];
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
