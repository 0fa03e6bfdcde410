/**
 * The state of the page, and its spelling in the address.
 *
 * @typedef {object} State
 * @property {string} layer name of the layer
 * @property {number} alpha locality strength, 1/pixel²
 * @property {number} output channel
 * @property {number} head
 * @property {[number, number] | null} query index of an output; the middle if null
 * @property {Record<number, [number, number]>} moved centers off their taps
 * @property {string} paint "worst", "image", or one of p, n, 0 a pixel
 * @property {string} family
 * @property {number} step of an attack
 * @property {number} heads with free tables; all if 0
 * @property {number} epoch of a training; the last if −1
 * @property {string[]} hide views that are not shown
 */

/** @type {State} */
export const START = {
  layer: '',
  alpha: 2,
  output: 0,
  head: 0,
  query: null,
  moved: {},
  paint: 'worst',
  family: '',
  step: 40,
  heads: 0,
  epoch: -1,
  hide: [],
};

export const ALPHA = { least: 0.1, most: 24, step: 0.1 };

/**
 * @param {State} state
 * @param {State} [start] what the address leaves out
 * @returns {string} without the hash mark
 */
export function toAddress(state, start = START) {
  const parts = [];
  for (const [name, value] of Object.entries(state)) {
    const text = spelled(value);
    if (text !== spelled(start[/** @type {keyof State} */ (name)])) {
      parts.push(`${name}=${encodeURIComponent(text)}`);
    }
  }
  return parts.join('&');
}

/**
 * @param {string} address
 * @param {State} [start] what it leaves out
 * @returns {State}
 */
export function fromAddress(address, start = START) {
  const given = new Map(new URLSearchParams(address.replace(/^#/, '')));
  /** @type {State} */
  const state = { ...start };
  const text = (/** @type {keyof State} */ name) => given.get(name);
  const number = (/** @type {"alpha"|"output"|"head"|"step"|"heads"|"epoch"} */ name) => {
    const value = Number(given.get(name));
    if (given.has(name) && Number.isFinite(value)) state[name] = value;
  };
  for (const name of /** @type {const} */ (['alpha', 'output', 'head', 'step', 'heads', 'epoch'])) {
    number(name);
  }
  for (const name of /** @type {const} */ (['layer', 'paint', 'family'])) {
    state[name] = text(name) ?? state[name];
  }
  state.alpha = Math.min(ALPHA.most, Math.max(ALPHA.least, state.alpha));
  const query = pair(text('query') ?? '');
  state.query = query;
  state.moved = {};
  for (const item of (text('moved') ?? '').split(';')) {
    const [head, place] = item.split(':');
    const center = pair(place ?? '');
    if (center) state.moved[Number(head)] = center;
  }
  state.hide = (text('hide') ?? '').split(',').filter(Boolean);
  return state;
}

/** @param {unknown} value */
function spelled(value) {
  if (Array.isArray(value)) return value.join(',');
  if (value !== null && typeof value === 'object') {
    return Object.entries(value)
      .map(([head, center]) => `${head}:${center.join(',')}`)
      .join(';');
  }
  return value === null ? '' : String(value);
}

/**
 * @param {string} text
 * @returns {[number, number] | null}
 */
function pair(text) {
  const numbers = text.split(',').map(Number);
  if (text === '' || numbers.length !== 2 || !numbers.every(Number.isFinite)) return null;
  return [numbers[0], numbers[1]];
}
