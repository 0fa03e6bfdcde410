/**
 * The worst case over all images with ‖x‖_∞ ≤ 1: the ℓ₁ norm of the worst row of
 * attention − convolution, attained by the signs of that row.
 *
 * The row of the output (i, j) is a sum of few products, Σ_r L_r(i, y) R_r(j, x) for each
 * channel: heads that look into the same column share their R.
 */

import { rowsOf } from '#math/attention';
import { headsOf } from '#math/layer';
import { combination, zeros } from '#math/matrix';

/**
 * @typedef {import('#math/attention').HeadRows} HeadRows
 * @typedef {import('#math/layer').Choice} Choice
 * @typedef {import('#math/layer').Head} Head
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 *
 * @typedef {object} Product
 * @property {Matrix} right R, (outputs, pixels) along the second axis
 * @property {Matrix[]} left L, (outputs, pixels) along the first, one a channel
 *
 * @typedef {{ norm: number, query: [number, number], row: Matrix[] }} Worst
 */

/**
 * Return the difference as a sum of products.
 *
 * @param {HeadRows[]} heads
 * @returns {Product[]}
 */
export function productsOf(heads) {
  /** @type {Map<Matrix, Matrix[]>} */
  const sums = new Map();
  const add = (/** @type {Matrix} */ left, /** @type {Matrix} */ right, /** @type {Head} */ { weights }) => {
    const before = sums.get(right) ?? Array.from(weights, () => zeros(left.rows, left.columns));
    sums.set(right, before.map((sum, c) => combination([sum, left], [1, weights[c]])));
  };
  // What a head that is off its tap adds and leaves out cancels where both end on one
  // pixel: these come first, and side by side.
  const aside = heads.flatMap(({ head, vertical, horizontal, wanted }) => {
    if (wanted === null) return [];
    return [
      { right: horizontal.limit, left: times(vertical.limit, head.weights) },
      { right: wanted[1], left: times(wanted[0], head.weights.map((weight) => -weight)) },
    ];
  });
  for (const { head, vertical, horizontal } of heads) {
    add(vertical.deviation, horizontal.attention, head);
    add(vertical.limit, horizontal.deviation, head);
  }
  return [...aside, ...Array.from(sums, ([right, left]) => ({ right, left }))];
}

/**
 * @param {Matrix} matrix
 * @param {Float64Array} weights
 */
function times(matrix, weights) {
  return Array.from(weights, (weight) => combination([matrix], [weight]));
}

/**
 * Return one row of the difference, as one image a channel.
 *
 * @param {Product[]} products
 * @param {[number, number]} query
 * @returns {Matrix[]}
 */
export function rowAt(products, query) {
  const row = emptyRow(products);
  fillRow(row, products, query);
  return row;
}

/**
 * @param {Product[]} products
 * @returns {Matrix[]}
 */
function emptyRow([{ left, right }]) {
  return left.map(({ columns: rows }) => zeros(rows, right.columns));
}

/**
 * @param {Matrix[]} row
 * @param {Product[]} products
 * @param {[number, number]} query
 */
function fillRow(row, products, [i, j]) {
  row.forEach(({ rows, columns, data }, c) => {
    data.fill(0);
    for (let y = 0; y < rows; y++) addLine(data, y * columns, products, c, i * rows + y, j);
  });
}

/**
 * Add one line of a row of the difference.
 *
 * @param {Float64Array} line
 * @param {number} start where it begins
 * @param {Product[]} products
 * @param {number} channel
 * @param {number} cell of L: the output and the pixel along the first axis
 * @param {number} j the output along the second
 */
function addLine(line, start, products, channel, cell, j) {
  for (const { left, right } of products) {
    const factor = left[channel].data[cell];
    if (!factor) continue;
    const { columns, data } = right;
    for (let x = 0, from = j * columns; x < columns; x++) line[start + x] += factor * data[from + x];
  }
}

/**
 * Return Σ|entries|, the largest error of that output.
 *
 * @param {Matrix[]} row
 */
export function norm(row) {
  let sum = 0;
  for (const { data } of row) {
    for (let i = 0; i < data.length; i++) sum += Math.abs(data[i]);
  }
  return sum;
}

/**
 * Return the norms of all rows, (outputs, outputs).
 *
 * @param {Layer} layer
 * @param {Product[]} products
 */
export function norms(layer, products) {
  const [vertical, horizontal] = layer.axes;
  const result = zeros(vertical.queries.length, horizontal.queries.length);
  const row = emptyRow(products);
  for (let i = 0; i < result.rows; i++) {
    for (let j = 0; j < result.columns; j++) {
      fillRow(row, products, [i, j]);
      result.data[i * result.columns + j] = norm(row);
    }
  }
  return result;
}

/** @type {WeakMap<Layer, { choice: string, products: Product[], worst: Worst }>} */
const latest = new WeakMap();

/**
 * Return the worst row over all outputs of one channel.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 */
export function worstRow(layer, choice) {
  return operator(layer, choice).worst;
}

/**
 * Return the difference as a sum of products, and its worst row; the last answer is kept.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 */
export function operator(layer, choice) {
  const name = JSON.stringify([choice.alpha, choice.output, choice.moved]);
  const before = latest.get(layer);
  if (before?.choice === name) return before;
  const products = productsOf(rowsOf(layer, headsOf(layer, choice)));
  const { data, columns } = norms(layer, products);
  const place = data.indexOf(data.reduce((most, value) => Math.max(most, value)));
  const query = /** @type {[number, number]} */ ([Math.floor(place / columns), place % columns]);
  const worst = { norm: data[place], query, row: rowAt(products, query) };
  const found = { choice: name, products, worst };
  latest.set(layer, found);
  return found;
}

/**
 * Return the image that attains the worst case: the signs of the row.
 *
 * @param {Matrix[]} row
 * @returns {Matrix[]}
 */
export function signsOf(row) {
  return row.map((plane) => ({ ...plane, data: plane.data.map(Math.sign) }));
}
