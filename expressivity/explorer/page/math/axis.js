/**
 * Positions along one axis of the canvas, in pixels from its first token.
 *
 * An output at query q reads its tap Δ at the target q + Δ. Replicate padding puts no
 * token on the canvas: its targets leave the canvas, and heads end on the nearest pixel.
 */

/**
 * @typedef {"zeros" | "reflect" | "replicate" | "circular"} PaddingMode
 *
 * @typedef {object} AxisOptions
 * @property {number} pixels of the image
 * @property {number} kernel taps
 * @property {number} stride
 * @property {number} dilation
 * @property {[number, number]} padding before and after
 * @property {PaddingMode} mode
 *
 * @typedef {object} Axis
 * @property {AxisOptions} options
 * @property {number} pixels of the image
 * @property {number[]} source the pixel that each token copies, −1 for a token of zeros
 * @property {number[]} queries position of each output
 * @property {number[]} targets every position that a tap may read at stride 1
 * @property {number[]} taps displacement of each tap
 */

/**
 * @param {AxisOptions} options
 * @returns {Axis}
 */
export function axisOf(options) {
  const { pixels, kernel, stride, dilation, mode } = options;
  const [before, after] = options.padding;
  const extent = dilation * (kernel - 1) + 1;
  const anchor = Math.floor((extent - 1) / 2);
  const bare = mode === 'replicate';
  const origin = bare ? -before : 0;
  const reach = pixels + before + after;
  const outputs = Math.floor((reach - extent) / stride) + 1;
  const tokens = bare ? pixels : reach;
  return {
    options,
    pixels,
    source: count(tokens).map((k) => copied(bare ? k : k - before, pixels, mode)),
    queries: count(outputs).map((i) => origin + anchor + stride * i),
    targets: count(reach).map((i) => origin + i),
    taps: count(kernel).map((tap) => dilation * tap - anchor),
  };
}

/**
 * Return the nearest whole number; of two, the upper one: a head in the middle attends to
 * both alike.
 *
 * @param {number} value
 */
export function rounded(value) {
  return Math.floor(value + 0.5);
}

/**
 * Return the token nearest to a position.
 *
 * @param {Axis} axis
 * @param {number} position
 */
export function nearest(axis, position) {
  return Math.max(Math.min(position, axis.source.length - 1), 0);
}

/** @param {number} n */
function count(n) {
  return Array.from({ length: n }, (_, i) => i);
}

/**
 * Return the pixel that padding copies at a position outside of the image.
 *
 * @param {number} position
 * @param {number} pixels
 * @param {PaddingMode} mode
 */
function copied(position, pixels, mode) {
  if (mode === 'circular') return ((position % pixels) + pixels) % pixels;
  const last = pixels - 1;
  if (mode === 'reflect') return last - Math.abs(last - Math.abs(position));
  return position < 0 || position > last ? -1 : position;
}
