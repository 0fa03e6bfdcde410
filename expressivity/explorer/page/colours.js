/** Colours of data, from the style sheet, so that light and dark have their own. */

/**
 * @typedef {[number, number, number]} Colour
 * @typedef {(value: number) => Colour} Scale
 */

/** @type {Map<string, Colour>} */
const known = new Map();

/** Forget all colours: the style has changed. */
export function forget() {
  known.clear();
}

/**
 * @param {string} name of a custom property
 * @returns {Colour}
 */
export function colour(name) {
  const kept = known.get(name);
  if (kept) return kept;
  const text = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const found = /** @type {Colour} */ ([1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  known.set(name, found);
  return found;
}

/** @param {Colour} colour */
export function css([r, g, b]) {
  return `rgb(${Math.round(r)} ${Math.round(g)} ${Math.round(b)})`;
}

/**
 * @param {Colour} from
 * @param {Colour} to
 * @param {number} share
 * @returns {Colour}
 */
function mixed(from, to, share) {
  const part = Math.min(1, Math.max(0, share));
  return /** @type {Colour} */ (from.map((value, i) => value + (to[i] - value) * part));
}

/**
 * Black to white.
 *
 * @param {number} low
 * @param {number} high
 * @returns {Scale}
 */
export function greys(low, high) {
  const [black, white] = [colour('black'), colour('white')];
  const width = high - low || 1;
  return (value) => mixed(black, white, (value - low) / width);
}

/**
 * Nothing to the accent; small shares are lifted, so that they are seen.
 *
 * @param {number} most
 * @returns {Scale}
 */
export function shares(most) {
  const [zero, accent] = [colour('zero'), colour('accent')];
  return (value) => mixed(zero, accent, Math.sqrt(Math.max(0, value) / (most || 1)));
}

/**
 * Below and above zero.
 *
 * @param {number} most largest magnitude
 * @returns {Scale}
 */
export function signs(most) {
  const [zero, below, above] = [colour('zero'), colour('negative'), colour('positive')];
  return (value) => mixed(zero, value < 0 ? below : above, Math.abs(value) / (most || 1));
}
