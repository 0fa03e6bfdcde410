/**
 * The page: what it knows, its state, and what follows from both.
 *
 * @typedef {import('#math/layer').Layer} Layer
 * @typedef {import('#math/matrix').Matrix} Matrix
 * @typedef {import('#page/state').State} State
 */

import { layerOf } from '#page/decode';

export class Page {
  /**
   * @param {any} scene
   * @param {State} state
   * @param {() => void} changed
   */
  constructor(scene, state, changed) {
    this.scene = scene;
    this.state = state;
    this.changed = changed;
    /** @type {Map<string, any>} */
    this.kept = new Map();
  }

  /** @param {Partial<State>} part */
  change(part) {
    if (part.layer !== undefined) {
      part = { moved: {}, output: 0, head: 0, query: null, paint: 'worst', heads: 0, epoch: -1, ...part };
    }
    this.state = { ...this.state, ...part };
    this.changed();
  }

  /**
   * Return what a function computes, once for a name.
   *
   * @template Value
   * @param {string} name
   * @param {() => Value} compute
   * @returns {Value}
   */
  once(name, compute) {
    const key = `${this.document.name} ${name}`;
    if (!this.kept.has(key)) this.kept.set(key, compute());
    return this.kept.get(key);
  }

  /** The layer as JSON has it. */
  get document() {
    const { layers } = this.scene;
    return layers.find((/** @type {any} */ each) => each.name === this.state.layer) ?? layers[0];
  }

  /** @returns {Layer} */
  get layer() {
    return this.once('layer', () => layerOf(this.document));
  }

  get live() {
    return this.document.live;
  }

  get tooLarge() {
    return 'This layer is too large to be recomputed in a browser: only quoted numbers are shown.';
  }

  get output() {
    return within(this.state.output, this.document.outputs);
  }

  get head() {
    const [rows, columns] = this.document.kernel;
    return within(this.state.head, rows * columns);
  }

  /** @returns {[number, number]} */
  get query() {
    const counts = this.layer.axes.map((axis) => axis.queries.length);
    const [i, j] = counts.map((n, a) => within(this.state.query?.[a] ?? Math.floor((n - 1) / 2), n));
    return [i, j];
  }

  /** The heads on their taps. */
  get choice() {
    return { alpha: this.state.alpha, output: this.output, moved: {} };
  }

  /** The quotes at this very α, as the dtype of the layer holds it; null in between. */
  get quote() {
    const { quotes, unit } = this.document;
    const { alpha } = this.state;
    return quotes.find((/** @type {any} */ each) => Math.abs(each.alpha - alpha) <= 2 * unit * alpha) ?? null;
  }

  /**
   * Return the seal of a quoted number.
   *
   * @param {any} [quote]
   */
  seal(quote) {
    const print = quote?.fingerprint ? `, parameters sha256 ${quote.fingerprint.slice(0, 16)}…` : '';
    const how = quote?.strategy ? `, evaluated by ${quote.strategy}` : '';
    return `${this.scene.made_by}${quote ? `, α = ${quote.alpha}${how}${print}` : ''}`;
  }

  /** The lines of Python that read the layer of this page. */
  get preamble() {
    return this.preambleOf(this.document);
  }

  /** @param {any} document */
  preambleOf(document) {
    const file = location.protocol === 'file:' ? decodeURIComponent(location.pathname) : 'page.html';
    return [
      'import torch, expressivity as ex',
      'from expressivity.explorer import read',
      '',
      `conv, x = read(${JSON.stringify(file)})[${JSON.stringify(document.name)}]`,
      'conv, x, size = conv.double(), x.double(), x.shape[2:]',
    ].join('\n');
  }
}

/**
 * @param {number} value
 * @param {number} count
 */
function within(value, count) {
  return Math.min(count - 1, Math.max(0, Math.round(value)));
}
