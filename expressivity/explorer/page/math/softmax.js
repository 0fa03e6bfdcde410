/**
 * What a query sees along one axis: R(t, k) = softmax over k of −α (k − t)².
 *
 * Next to the attention P stands P − S, with S its one-hot limit at the nearest token.
 * It is formed without a subtraction, so that a leak of 1e−30 keeps all its digits.
 */

import { nearest, rounded } from '#math/axis';
import { zeros } from '#math/matrix';

/**
 * @typedef {import('#math/axis').Axis} Axis
 * @typedef {import('#math/matrix').Matrix} Matrix
 *
 * @typedef {object} Rows
 * @property {Matrix} attention P, (positions, pixels); tokens of zeros left out
 * @property {Matrix} limit S
 * @property {Matrix} deviation P − S
 * @property {number[]} leak attention off the nearest token, for each position
 */

/**
 * @param {Axis} axis
 * @param {number[]} places positions of the queries
 * @param {number} center Δ, added to each
 * @param {number} alpha 1/pixel²
 * @returns {Rows}
 */
export function softmaxRows(axis, places, center, alpha) {
  const keys = axis.source;
  const attention = zeros(places.length, axis.pixels);
  const deviation = zeros(places.length, axis.pixels);
  const leak = places.map((place, row) => {
    const spot = nearest(axis, place + rounded(center));
    const weights = keys.map((_, k) =>
      Math.exp(-alpha * (k - spot) * (k + spot - 2 * (place + center))),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const away = weights.reduce((sum, weight, k) => (k === spot ? sum : sum + weight), 0);
    keys.forEach((pixel, k) => {
      if (pixel < 0) return;
      const cell = row * axis.pixels + pixel;
      attention.data[cell] += weights[k] / total;
      deviation.data[cell] += (k === spot ? -away : weights[k]) / total;
    });
    return away / total;
  });
  return { attention, limit: limitRows(axis, places, rounded(center)), deviation, leak };
}

/**
 * Return S: a one at the pixel nearest to each target.
 *
 * @param {Axis} axis
 * @param {number[]} places
 * @param {number} offset whole pixels, added to each place
 */
export function limitRows(axis, places, offset) {
  const limit = zeros(places.length, axis.pixels);
  places.forEach((place, row) => {
    const pixel = axis.source[nearest(axis, place + offset)];
    if (pixel >= 0) limit.data[row * axis.pixels + pixel] = 1;
  });
  return limit;
}

/**
 * Return the graph Laplacian: +1 at the neighbours of a target, −their number at itself.
 *
 * @param {Axis} axis
 * @param {number[]} places
 */
export function laplacianRows(axis, places) {
  const rows = zeros(places.length, axis.pixels);
  places.forEach((place, row) => {
    const self = axis.source[nearest(axis, place)];
    for (const pixel of [axis.source[place - 1], axis.source[place + 1]]) {
      if (pixel === undefined) continue;
      if (pixel >= 0) rows.data[row * axis.pixels + pixel] += 1;
      if (self >= 0) rows.data[row * axis.pixels + self] -= 1;
    }
  });
  return rows;
}
