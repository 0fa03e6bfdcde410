/** Borders: what a head finds beyond them, in each mode of padding. */

import { nearest, rounded } from '#math/axis';
import { headsOf } from '#math/layer';
import { zeros } from '#math/matrix';
import { bordered, border, MODES } from '#math/readings';
import { greys } from '#page/colours';
import { headButtons, html, numberList } from '#page/elements';
import { percent } from '#page/format';
import { picture, selectable } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */
/** @typedef {import('#math/axis').PaddingMode} PaddingMode */

export const id = 'borders';
export const title = 'Beyond the border, a head finds what the padding puts there';

const WORDS = {
  zeros: 'tokens of zeros',
  reflect: 'a mirror image',
  replicate: 'no tokens at all: the nearest pixel',
  circular: 'the other side',
};
const [SEEN, MARGIN] = [5, 2];

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const why = whyNot(page);
  if (why) {
    claim.textContent = why;
    return { update() {}, python: () => page.preamble };
  }
  const figures = body.appendChild(html('div', { class: 'figures four' }));
  const pictures = MODES.map((mode) => ({ mode, ...picture(figures, '') }));
  const corner = () => {
    const [y, x] = page.query;
    const last = page.layer.axes.map((axis) => Math.min(SEEN, axis.pixels) - 1);
    return /** @type {[number, number]} */ ([Math.min(y, last[0]), Math.min(x, last[1])]);
  };
  for (const { mode, frame } of pictures) {
    selectable(
      frame,
      `The corner with padding ${mode}: click, or press the arrow keys, to move the query`,
      () => {
        const [rows, columns] = sizes(page);
        const [y, x] = place(page);
        return { rows, columns, at: [y + margins(page)[0], x + margins(page)[1]] };
      },
      ([y, x]) => {
        const [up, aside] = margins(page);
        page.change({ query: [Math.max(0, y - up), Math.max(0, x - aside)] });
      },
    );
  }
  const controls = body.appendChild(html('div', { class: 'controls' }));
  const showHead = headButtons(controls, page);
  const numbers = numberList(body);
  const place = (/** @type {Page} */ _) => (page.state.query === null ? /** @type {[number, number]} */ ([0, 0]) : corner());
  return {
    update() {
      const query = place(page);
      const seen = MODES.map((mode) => padded(page, mode));
      const values = seen.flatMap(({ data }) => [...data]);
      const [low, high] = [Math.min(...values), Math.max(...values)];
      const reads = pictures.map(({ mode, draw, mark, caption }, n) => {
        const layer = page.once(`padded ${mode}`, () => bordered(page.layer, mode));
        const [up, aside] = margins(page);
        const center = headsOf(layer, page.choice)[page.head].center;
        const read = border(layer, page.choice, page.head, query);
        draw(seen[n], greys(low, high), `The corner with padding ${mode}: click, or press the arrow keys, to move the query`);
        // Where the head looks; with no tokens outside, the nearest pixel.
        const [y, x] = layer.axes.map((axis, a) => {
          const token = axis.queries[query[a]] + rounded(center[a]);
          const end = mode === 'replicate' ? nearest(axis, token) : token;
          return end - Math.max(0, axis.queries[0]);
        });
        mark([{ at: [query[0] + up, query[1] + aside] }, { at: [y + up, x + aside], shape: 'disc' }]);
        caption.innerHTML = `<strong>${mode}</strong>: ${WORDS[mode]}. ${percent(read.on)} of the attention is on ●.`;
        return { mode, read };
      });
      showHead();
      claim.textContent =
        'Softmax rows sum to one, so a head cannot look at nothing. Three modes put tokens around the image. ' +
        'Without them a head that wants a pixel outside ends on the nearest one inside: that is replicate padding.';
      numbers(reads.map(({ mode, read }) => ({ name: `error at □, ${mode}`, value: read.error })));
    },
    python() {
      const { state, output } = page;
      return [
        page.preamble,
        'options = dict(kernel_size=conv.kernel_size, stride=conv.stride, dilation=conv.dilation, groups=conv.groups)',
        'padding = [before for before, _ in ex.ConvGeometry.from_conv(conv).same_padding]',
        `for mode in (${MODES.map((mode) => JSON.stringify(mode)).join(', ')}):`,
        '    other = type(conv)(conv.in_channels, conv.out_channels, padding=padding, padding_mode=mode,',
        '                       bias=conv.bias is not None, dtype=x.dtype, **options)',
        '    other.load_state_dict(conv.state_dict())',
        `    layer = ex.attention_from_conv(other, alpha=${state.alpha})`,
        `    print((layer(x) - other(x))[0, ${output}, ${place(page).slice(-page.document.dimensions).join(', ')}].abs().item())`,
      ].join('\n');
    },
  };
}

/** @param {Page} page */
function whyNot(page) {
  if (!page.live) return page.tooLarge;
  const { axes } = page.layer;
  const even = axes.some(({ taps }) => -taps[0] !== taps[taps.length - 1]);
  if (even) return 'Other padding needs a kernel with as many taps before the middle as after it.';
  const wide = axes.some(({ taps, pixels }) => -taps[0] >= pixels && pixels > 1);
  return wide ? 'The image is too small for the padding of this kernel.' : '';
}

/**
 * Return how many pixels outside of the image are drawn.
 *
 * @param {Page} page
 * @returns {[number, number]}
 */
function margins(page) {
  const [y, x] = page.layer.axes.map(({ taps, pixels }) => (pixels === 1 ? 0 : Math.max(MARGIN, -taps[0])));
  return [y, x];
}

/** @param {Page} page */
function sizes(page) {
  const margin = margins(page);
  return page.layer.axes.map(({ pixels }, a) => Math.min(SEEN, pixels) + margin[a]);
}

/**
 * Return the corner of the image with what stands around it.
 *
 * @param {Page} page
 * @param {PaddingMode} mode
 */
function padded(page, mode) {
  const margin = margins(page);
  const [rows, columns] = sizes(page);
  const result = zeros(rows, columns);
  const plane = page.layer.image[0];
  const pixel = (/** @type {number} */ at, /** @type {number} */ pixels) => {
    if (at >= 0) return at;
    if (mode === 'reflect') return Math.min(-at, pixels - 1);
    if (mode === 'circular') return at + pixels;
    return mode === 'replicate' ? 0 : -1;
  };
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const y = pixel(i - margin[0], plane.rows);
      const x = pixel(j - margin[1], plane.columns);
      result.data[i * columns + j] = y < 0 || x < 0 ? 0 : plane.data[y * plane.columns + x];
    }
  }
  return result;
}
