/**
 * The worst case over all images with ‖x‖_∞ ≤ 1: the ℓ₁ norm of the worst row of
 * attention − convolution, attained by the signs of that row.
 */

import { rowsOf } from '#math/attention';
import { headsOf } from '#math/layer';

/**
 * @typedef {import('#math/attention').HeadRows} HeadRows
 * @typedef {import('#math/layer').Choice} Choice
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 */

/**
 * Return one row of the difference, as one image a channel.
 *
 * @param {Layer} layer
 * @param {HeadRows[]} heads
 * @param {[number, number]} query
 * @returns {Matrix[]}
 */
export function rowAt(layer, heads, [i, j]) {
  const [rows, columns] = layer.axes.map((axis) => axis.pixels);
  const channels = Array.from(heads[0].head.weights, () => new Float64Array(rows * columns));
  for (const { head, vertical, horizontal, wanted } of heads) {
    const limit = { y: vertical.limit.data, x: horizontal.limit.data };
    for (let y = 0; y < rows; y++) {
      const off = vertical.deviation.data[i * rows + y];
      const on = limit.y[i * rows + y];
      const tap = wanted === null ? 0 : wanted[0].data[i * rows + y];
      if (!off && !on && !tap) continue;
      for (let x = 0; x < columns; x++) {
        const cell = j * columns + x;
        let part =
          off * horizontal.attention.data[cell] + on * horizontal.deviation.data[cell];
        if (wanted !== null) part += on * limit.x[cell] - tap * wanted[1].data[cell];
        for (let c = 0; c < channels.length; c++) {
          channels[c][y * columns + x] += head.weights[c] * part;
        }
      }
    }
  }
  return channels.map((data) => ({ rows, columns, data }));
}

/**
 * Return Σ|entries|, the largest error of that output.
 *
 * @param {Matrix[]} row
 */
export function norm(row) {
  return row.reduce(
    (sum, { data }) => data.reduce((part, value) => part + Math.abs(value), sum),
    0,
  );
}

/**
 * Return the worst row over all outputs of one channel.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 */
export function worstRow(layer, choice) {
  const heads = rowsOf(layer, headsOf(layer, choice));
  const [vertical, horizontal] = layer.axes;
  const queries = vertical.queries.flatMap((_, i) =>
    horizontal.queries.map((__, j) => /** @type {[number, number]} */ ([i, j])),
  );
  const norms = queries.map((query) => norm(rowAt(layer, heads, query)));
  const query = queries[norms.indexOf(Math.max(...norms))];
  const row = rowAt(layer, heads, query);
  return { norm: norm(row), query, row };
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
