/** Heads at work on an image: what they attend to, return, and are off by. */

import { channelsOf, headsOf, tapsOf } from '#math/layer';
import { combination, sandwich, zeros } from '#math/matrix';
import { limitRows, softmaxRows } from '#math/softmax';

/**
 * @typedef {import('#math/layer').Choice} Choice
 * @typedef {import('#math/layer').Head} Head
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 * @typedef {import('#math/softmax').Rows} Rows
 *
 * @typedef {object} HeadRows a head, and what it sees along both axes
 * @property {Head} head
 * @property {Rows} vertical
 * @property {Rows} horizontal
 * @property {[Matrix, Matrix] | null} wanted the tap's pixel along both axes, where the
 *   limit of the head is another one
 */

/**
 * @param {Layer} layer
 * @param {Head[]} heads
 * @returns {HeadRows[]}
 */
export function rowsOf(layer, heads) {
  /** @type {Map<string, Rows>} */
  const kept = new Map();
  const along = (/** @type {Head} */ head, /** @type {0 | 1} */ a) => {
    const name = [a, head.alpha, head.center[a]].join();
    const rows =
      kept.get(name) ??
      softmaxRows(layer.axes[a], layer.axes[a].queries, head.center[a], head.alpha);
    kept.set(name, rows);
    return rows;
  };
  return heads.map((head) => ({
    head,
    vertical: along(head, 0),
    horizontal: along(head, 1),
    wanted: head.center === head.tap ? null : limitOf(layer, head.tap),
  }));
}

/**
 * @param {Layer} layer
 * @param {[number, number]} tap
 * @returns {[Matrix, Matrix]}
 */
function limitOf(layer, [y, x]) {
  const [vertical, horizontal] = layer.axes;
  return [
    limitRows(vertical, vertical.queries, y),
    limitRows(horizontal, horizontal.queries, x),
  ];
}

/**
 * Return what a head attends to from one query, over the pixels of the image.
 *
 * @param {HeadRows} rows
 * @param {[number, number]} query index of the output along both axes
 */
export function attentionMap({ vertical, horizontal }, [i, j]) {
  const [height, width] = [vertical.attention.columns, horizontal.attention.columns];
  const map = zeros(height, width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      map.data[y * width + x] =
        vertical.attention.data[i * height + y] * horizontal.attention.data[j * width + x];
    }
  }
  return map;
}

/**
 * Return the attention of a head off the token nearest to its target.
 *
 * @param {HeadRows} rows
 * @param {[number, number]} query
 */
export function leakAt({ vertical, horizontal }, [i, j]) {
  const [first, second] = [vertical.leak[i], horizontal.leak[j]];
  return first + second - first * second;
}

/**
 * Return what the heads compute together: Σ_h P_h X W_h + bias, for one output channel.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @param {Matrix[]} image
 */
export function attended(layer, choice, image) {
  const channels = channelsOf(layer, choice.output, image);
  const parts = rowsOf(layer, headsOf(layer, choice)).map((rows) =>
    sandwich(
      rows.vertical.attention,
      combination(channels, rows.head.weights),
      rows.horizontal.attention,
    ),
  );
  const result = combination(parts, parts.map(() => 1));
  return shifted(result, layer.bias[choice.output]);
}

/**
 * Return what the convolution computes, for one output channel.
 *
 * @param {Layer} layer
 * @param {number} output
 * @param {Matrix[]} image
 */
export function convolved(layer, output, image) {
  const channels = channelsOf(layer, output, image);
  const parts = tapsOf(layer, output).map(({ tap, weights }) => {
    const [vertical, horizontal] = limitOf(layer, tap);
    return sandwich(vertical, combination(channels, weights), horizontal);
  });
  return shifted(combination(parts, parts.map(() => 1)), layer.bias[output]);
}

/**
 * Return attention − convolution at every output, heads on their taps, without forming
 * either.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @param {Matrix[]} image
 */
export function errors(layer, choice, image) {
  const channels = channelsOf(layer, choice.output, image);
  const heads = headsOf(layer, { ...choice, moved: {} });
  const parts = rowsOf(layer, heads).flatMap(({ head, vertical, horizontal }) => {
    const plane = combination(channels, head.weights);
    return [
      sandwich(vertical.deviation, plane, horizontal.attention),
      sandwich(vertical.limit, plane, horizontal.deviation),
    ];
  });
  return combination(parts, parts.map(() => 1));
}

/**
 * @param {Matrix} matrix
 * @param {number} bias
 * @returns {Matrix}
 */
function shifted({ rows, columns, data }, bias) {
  return { rows, columns, data: data.map((value) => value + bias) };
}
