/** From the JSON of the page to arrays, layers and cases. */

import { axisOf } from '#math/axis';
import * as readings from '#math/readings';

/**
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 *
 * @typedef {object} Encoded
 * @property {number[]} shape
 * @property {string} [float32] bytes in base64
 * @property {string} [float64]
 */

/**
 * @param {Encoded} document
 * @returns {Float64Array}
 */
export function numbers(document) {
  const text = atob(document.float32 ?? document.float64 ?? '');
  const bytes = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  return document.float32 === undefined
    ? new Float64Array(bytes.buffer)
    : Float64Array.from(new Float32Array(bytes.buffer));
}

/**
 * Return the images of an array, one matrix a channel.
 *
 * @param {Encoded} document (channels, rows, columns)
 * @returns {Matrix[]}
 */
export function planes(document) {
  const [channels, rows, columns] = document.shape;
  const data = numbers(document);
  return Array.from({ length: channels }, (_, c) => ({
    rows,
    columns,
    data: data.slice(c * rows * columns, (c + 1) * rows * columns),
  }));
}

/**
 * @param {any} document
 * @returns {Layer}
 */
export function layerOf(document) {
  const image = planes(document.image);
  const [vertical, horizontal] = [0, 1].map((a) =>
    axisOf({
      pixels: document.image.shape[a + 1],
      kernel: document.kernel[a],
      stride: document.stride[a],
      dilation: document.dilation[a],
      padding: document.padding[a],
      mode: document.mode,
    }),
  );
  return {
    dimensions: document.dimensions,
    outputs: document.outputs,
    groups: document.groups,
    axes: [vertical, horizontal],
    weight: numbers(document.weight),
    bias: numbers(document.bias),
    image,
    unit: document.unit,
  };
}

/**
 * Evaluate a reading for a layer and a state, both as JSON has them.
 *
 * @param {Layer} layer
 * @param {any} state
 * @param {string} reading
 * @returns {Record<string, number>}
 */
export function evaluate(layer, state, reading) {
  const { head, query, center } = state;
  const choice = { alpha: state.alpha, output: state.output, moved: state.moved ?? {} };
  switch (reading) {
    case 'oneHead':
      return readings.oneHead(layer, choice, head, query);
    case 'seen':
      return readings.seen(layer, choice, head, query, state.pixel);
    case 'allHeads':
      return readings.allHeads(layer, choice, query);
    case 'errorCurves':
      return readings.errorCurves(layer, choice);
    case 'twoPaths':
      return readings.twoPaths(layer, choice);
    case 'border':
      return readings.border(readings.bordered(layer, state.mode), choice, head, query);
    case 'painted':
      return readings.painted(layer, choice, planes(state.image));
    case 'learnedHead':
      return readings.learnedHead(layer, state.alpha, center);
    case 'fewerHeads':
      return readings.fewerHeads(tablesOf(state), numbers(state.kernel));
    case 'halfDifference':
      return readings.halfDifference(state.images.map(
        (/** @type {any} */ image) => ({ ...layer, image: planes(image) }),
      ), state.queries);
    default:
      throw new Error(`no reading is called ${reading}`);
  }
}

/**
 * @param {any} document
 * @returns {import('#math/tables').TableHeads}
 */
export function tablesOf(document) {
  return {
    tables: numbers(document.tables),
    matrices: numbers(document.matrices),
    count: document.tables.shape[0],
  };
}
