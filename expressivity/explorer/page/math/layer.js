/**
 * A convolution over two axes, the image it reads, and the heads that compute it.
 *
 * One axis is two of which the first has a single pixel and a single tap.
 */

import { axisOf } from '#math/axis';

/**
 * @typedef {import('#math/axis').Axis} Axis
 * @typedef {import('#math/axis').AxisOptions} AxisOptions
 * @typedef {import('#math/axis').PaddingMode} PaddingMode
 * @typedef {import('#math/matrix').Matrix} Matrix
 *
 * @typedef {object} Layer
 * @property {number} dimensions axes of the convolution: 1 or 2
 * @property {number} outputs output channels
 * @property {number} groups
 * @property {[Axis, Axis]} axes
 * @property {Float64Array} weight (outputs, channels of a group, taps)
 * @property {Float64Array} bias
 * @property {Matrix[]} image one matrix a channel
 * @property {number} unit half an ulp of one in the dtype of the layer
 *
 * @typedef {object} Tap
 * @property {[number, number]} tap its displacement, in pixels
 * @property {Float64Array} weights what it carries from each channel to the output
 *
 * @typedef {object} HeadOfTap
 * @property {number} alpha locality strength, 1/pixel²
 * @property {[number, number]} center Δ, in pixels; the very tap if it was not moved
 *
 * @typedef {Tap & HeadOfTap} Head
 *
 * @typedef {object} Choice which heads
 * @property {number} alpha
 * @property {number} output
 * @property {Record<number, [number, number]>} moved centers off their taps, by head
 */

/**
 * Return the displacement of every tap, in the order of the weight.
 *
 * @param {Layer} layer
 */
export function displacements({ axes: [vertical, horizontal] }) {
  return vertical.taps.flatMap((y) =>
    horizontal.taps.map((x) => /** @type {[number, number]} */ ([y, x])),
  );
}

/**
 * Return the taps of one output channel: where each is, and what it carries.
 *
 * @param {Layer} layer
 * @param {number} output
 * @returns {Tap[]}
 */
export function tapsOf(layer, output) {
  const places = displacements(layer);
  const channels = layer.weight.length / (layer.outputs * places.length);
  return places.map((tap, h) => ({
    tap,
    weights: Float64Array.from(
      { length: channels },
      (_, c) => layer.weight[(output * channels + c) * places.length + h],
    ),
  }));
}

/**
 * Return one head a tap, for one output channel.
 *
 * @param {Layer} layer
 * @param {Choice} choice
 * @returns {Head[]}
 */
export function headsOf(layer, { alpha, output, moved }) {
  return tapsOf(layer, output).map((each, h) => ({
    ...each,
    alpha,
    center: moved[h] ?? each.tap,
  }));
}

/**
 * Return the channels that an output reads: those of its group.
 *
 * @param {Layer} layer
 * @param {number} output
 * @param {Matrix[]} image
 */
export function channelsOf(layer, output, image) {
  const each = image.length / layer.groups;
  const group = Math.floor((output * layer.groups) / layer.outputs);
  return image.slice(group * each, (group + 1) * each);
}

/**
 * Return the layer with other padding.
 *
 * @param {Layer} layer
 * @param {PaddingMode} mode
 * @param {[number, number][]} padding
 * @returns {Layer}
 */
export function withPadding(layer, mode, padding) {
  const [vertical, horizontal] = layer.axes.map((axis, a) =>
    axisOf({ ...axis.options, mode, padding: padding[a] }),
  );
  return { ...layer, axes: [vertical, horizontal] };
}
