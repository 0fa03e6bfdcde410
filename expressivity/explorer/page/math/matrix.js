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
  const { rows, columns: inner } = left;
  const { columns } = right;
  const result = zeros(rows, columns);
  const { data } = result;
  for (let i = 0; i < rows; i++) {
    for (let k = 0; k < inner; k++) {
      const factor = left.data[i * inner + k];
      if (!factor) continue;
      for (let j = 0; j < columns; j++) data[i * columns + j] += factor * right.data[k * columns + j];
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
