/**
 * What each view states about the layer in a state: live numbers, by name.
 *
 * The tests compute the same numbers with the package, for random layers and states.
 */

import { attended, attentionMap, convolved, errors, leakAt, rowsOf } from '#math/attention';
import { nearest, rounded } from '#math/axis';
import { channelsOf, displacements, headsOf, withPadding } from '#math/layer';
import { circle, interiorLeak } from '#math/leak';
import { largest, magnitudes } from '#math/matrix';
import { firstOrder, smoothedThenConvolved } from '#math/smoothing';
import { kernelOf, relativeError } from '#math/tables';
import { norm, operator, rowAt, signsOf, worstRow } from '#math/worst';

/**
 * @typedef {import('#math/axis').PaddingMode} PaddingMode
 * @typedef {import('#math/layer').Choice} Choice
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 * @typedef {import('#math/tables').TableHeads} TableHeads
 * @typedef {[number, number]} Query
 */

/** @type {PaddingMode[]} */
export const MODES = ['zeros', 'reflect', 'replicate', 'circular'];

/**
 * One head: the attention on the pixel it copies, and off it.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @param {number} head
 * @param {Query} query
 */
export function oneHead(layer, choice, head, query) {
  const [rows] = rowsOf(layer, [headsOf(layer, choice)[head]]);
  const leak = leakAt(rows, query);
  return { on: 1 - leak, leak, interior: interiorLeak(choice.alpha, layer.dimensions) };
}

/**
 * One head: its attention on one pixel of the image, and on all of them: the rest is on
 * tokens of zeros.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @param {number} head
 * @param {Query} query
 * @param {Query} pixel
 */
export function seen(layer, choice, head, query, pixel) {
  const [rows] = rowsOf(layer, [headsOf(layer, choice)[head]]);
  const { data, columns } = attentionMap(rows, query);
  const all = data.reduce((sum, value) => sum + value, 0);
  return { pixel: data[pixel[0] * columns + pixel[1]], all };
}

/**
 * Nine heads: the worst case against the convolution, and the row of one output.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @param {Query} query
 */
export function allHeads(layer, choice, query) {
  const { products, worst } = operator(layer, choice);
  return { worst: worst.norm, here: norm(rowAt(products, query)) };
}

/**
 * The error on the image, its first order, its worst case, and one rounding.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 */
export function errorCurves(layer, choice) {
  const { image } = layer;
  const loudest = Math.max(...image.map(largest));
  return {
    measured: largest(errors(layer, choice, image)),
    predicted: largest(firstOrder(layer, choice.alpha, choice.output, image)),
    worst: worstRow(layer, choice).norm * loudest,
    rounding: rounding(layer, choice.output),
  };
}

/**
 * Half an ulp of the largest Σ|W||x| + |b|: one rounding in the dtype of the layer.
 *
 * @param {Layer} layer
 * @param {number} output
 */
export function rounding(layer, output) {
  const sizes = { ...layer, weight: layer.weight.map(Math.abs), bias: layer.bias.map(Math.abs) };
  return layer.unit * largest(convolved(sizes, output, layer.image.map(magnitudes)));
}

/**
 * The identity: the largest output of the heads, of smoothing and convolution, and the
 * largest difference of the two.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 */
export function twoPaths(layer, choice) {
  const heads = attended(layer, choice, layer.image);
  const other = smoothedThenConvolved(layer, choice.alpha, choice.output, layer.image);
  const gap = { ...heads, data: heads.data.map((value, i) => value - other.data[i]) };
  return { heads: largest(heads), smoothing: largest(other), gap: largest(gap) };
}

/**
 * Return the layer with padding that keeps its size, in another mode.
 *
 * @param {Layer} layer
 * @param {PaddingMode} mode
 * @returns {Layer}
 */
export function bordered(layer, mode) {
  const padding = layer.axes.map(({ taps }) => {
    const after = taps[taps.length - 1];
    return /** @type {Query} */ ([-taps[0], after]);
  });
  return withPadding(layer, mode, padding);
}

/**
 * Borders: the pixel on which a head ends, its attention there, and the error.
 *
 * @param {Layer} layer with its padding
 * @param {Choice} choice
 * @param {number} head
 * @param {Query} query
 */
export function border(layer, choice, head, query) {
  const one = headsOf(layer, choice)[head];
  const [row, column] = layer.axes.map((axis, a) =>
    axis.source[nearest(axis, axis.queries[query[a]] + rounded(one.center[a]))],
  );
  const leak = leakAt(rowsOf(layer, [one])[0], query);
  const gaps = errors(layer, choice, layer.image);
  const error = Math.abs(gaps.data[query[0] * gaps.columns + query[1]]);
  return { row, column, on: 1 - leak, error };
}

/**
 * The worst input: the largest error on an image, what no image within ±1 exceeds, and
 * the error of the image that attains it.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @param {Matrix[]} image
 */
export function painted(layer, choice, image) {
  const attained = largest(errors(layer, choice, image));
  const { norm: bound, query } = worstRow(layer, choice);
  const gaps = errors(layer, choice, worstImage(layer, choice));
  const worst = gaps.data[query[0] * gaps.columns + query[1]];
  return { attained, bound, worst };
}

/**
 * Return the image that attains the worst case; channels of other groups as they are.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 */
export function worstImage(layer, choice) {
  const read = channelsOf(layer, choice.output, layer.image);
  const signs = signsOf(worstRow(layer, choice).row);
  return layer.image.map((plane) => signs[read.indexOf(plane)] ?? plane);
}

/**
 * A witness: half of the largest difference of what a convolution computes from two
 * images that the family treats alike.
 *
 * @param {Layer[]} layers the same convolution, on each of the images
 * @param {Query[]} queries
 */
export function halfDifference(layers, queries) {
  const outputs = layers.map((layer, n) =>
    Array.from(layer.bias, (_, o) => {
      const result = convolved(layer, o, layer.image);
      return result.data[queries[n][0] * result.columns + queries[n][1]];
    }),
  );
  const gaps = outputs[0].map((value, o) => Math.abs(outputs[1][o] - value));
  return { half: Math.max(...gaps) / 2 };
}

/**
 * Fewer heads: how far they are from the kernel.
 *
 * @param {TableHeads} heads
 * @param {Float64Array} kernel
 */
export function fewerHeads(heads, kernel) {
  return { error: relativeError(kernelOf(heads), kernel) };
}

/**
 * A learned head: the circles of its attention, and the way to the nearest tap.
 *
 * @param {Layer} layer
 * @param {number} alpha
 * @param {Query} center
 */
export function learnedHead(layer, alpha, center) {
  const ways = displacements(layer).map(([y, x]) => Math.hypot(center[0] - y, center[1] - x));
  return { half: circle(alpha, 0.5), most: circle(alpha, 0.9), away: Math.min(...ways) };
}
