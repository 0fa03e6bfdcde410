/**
 * The smoothing identity: Attn_α(X) = Conv_W(G_α X), with one normalised Gaussian G_α.
 * The first order of the error is e^−α Conv_W(∇²X), ∇² the graph Laplacian.
 */

import { channelsOf, tapsOf } from '#math/layer';
import { combination, sandwich, zeros } from '#math/matrix';
import { laplacianRows, limitRows, softmaxRows } from '#math/softmax';

/**
 * @typedef {import('#math/axis').Axis} Axis
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 */

/**
 * Return G_α X at every target.
 *
 * @param {Layer} layer
 * @param {number} alpha
 * @param {Matrix} plane
 */
export function smoothed(layer, alpha, plane) {
  const [left, right] = layer.axes.map(
    (axis) => softmaxRows(axis, axis.targets, 0, alpha).attention,
  );
  return sandwich(left, plane, right);
}

/**
 * Return Conv_W(G_α X), one output channel.
 *
 * @param {Layer} layer
 * @param {number} alpha
 * @param {number} output
 * @param {Matrix[]} image
 */
export function smoothedThenConvolved(layer, alpha, output, image) {
  const planes = channelsOf(layer, output, image).map((x) => smoothed(layer, alpha, x));
  const result = convolvedTargets(layer, output, planes);
  return { ...result, data: result.data.map((value) => value + layer.bias[output]) };
}

/**
 * Return e^−α Conv_W(∇²X), one output channel.
 *
 * @param {Layer} layer
 * @param {number} alpha
 * @param {number} output
 * @param {Matrix[]} image
 */
export function firstOrder(layer, alpha, output, image) {
  const [vertical, horizontal] = layer.axes.map((axis) => ({
    limit: limitRows(axis, axis.targets, 0),
    laplacian: laplacianRows(axis, axis.targets),
  }));
  const planes = channelsOf(layer, output, image).map((x) =>
    combination(
      [
        sandwich(vertical.laplacian, x, horizontal.limit),
        sandwich(vertical.limit, x, horizontal.laplacian),
      ],
      [Math.exp(-alpha), Math.exp(-alpha)],
    ),
  );
  return convolvedTargets(layer, output, planes);
}

/**
 * Return the convolution, without padding and bias, of planes over the targets.
 *
 * @param {Layer} layer
 * @param {number} output
 * @param {Matrix[]} planes
 */
function convolvedTargets(layer, output, planes) {
  const [vertical, horizontal] = layer.axes;
  const result = zeros(vertical.queries.length, horizontal.queries.length);
  for (const { tap, weights } of tapsOf(layer, output)) {
    const plane = combination(planes, weights);
    vertical.queries.forEach((y, i) => {
      const row = plane.columns * place(vertical, y + tap[0]);
      horizontal.queries.forEach((x, j) => {
        result.data[i * result.columns + j] += plane.data[row + place(horizontal, x + tap[1])];
      });
    });
  }
  return result;
}

/**
 * Return the index of a target.
 *
 * @param {Axis} axis
 * @param {number} target
 */
function place(axis, target) {
  return target - axis.targets[0];
}
