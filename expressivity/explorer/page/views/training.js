/** What training finds: centers of heads over time, with the circles of their attention. */

import { headsOf } from '#math/layer';
import { learnedHead } from '#math/readings';
import { layerOf, numbers as decoded } from '#page/decode';
import { headButtons, html, numberList, set, slider, svg } from '#page/elements';
import { shown } from '#page/format';

/** @typedef {import('#page/page').Page} Page */

export const id = 'training';
export const title = 'What training finds';

const REACH = 2.75;

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const source = trained(page);
  const log = source?.training;
  if (!log) {
    claim.textContent = 'No heads were trained for this layer: heads that compute it need not find its taps, or there are too many.';
    return { update() {}, python: () => page.preamble };
  }
  const alpha = decoded(log.alpha);
  const centers = decoded(log.centers);
  const count = log.alpha.shape[1];
  const at = (/** @type {number} */ step, /** @type {number} */ head) => {
    const place = 2 * (step * count + head);
    return { alpha: alpha[step * count + head], center: /** @type {[number, number]} */ ([centers[place], centers[place + 1]]) };
  };
  const figures = body.appendChild(html('div', { class: 'figures two' }));
  const root = svg('svg', { class: 'map plane', viewBox: `${-REACH} ${-REACH} ${2 * REACH} ${2 * REACH}`, role: 'img', style: 'aspect-ratio: 1' });
  const caption = html('figcaption');
  figures.append(html('figure', {}, root, caption));
  const side = figures.appendChild(html('div'));
  const controls = side.appendChild(html('div', { class: 'controls' }));
  const epoch = slider(controls, 'step of the training', { min: 0, max: log.steps.length - 1, step: 1 }, (value) => page.change({ epoch: value }));
  const showHead = headButtons(controls, page);
  const numbers = numberList(side);
  const layer = page.once('trained', () => layerOf(source));
  const taps = headsOf(layer, { ...page.choice, output: 0 }).map(({ tap }) => tap);
  const picked = () => Math.min(page.head, count - 1);
  return {
    update() {
      const step = current(page);
      const chosen = at(step, picked());
      const read = learnedHead(layer, chosen.alpha, chosen.center);
      const heads = Array.from({ length: count }, (_, h) => at(step, h));
      const near = heads.filter(({ alpha: strength, center }) => learnedHead(layer, strength, center).away < 0.25).length;
      root.replaceChildren(
        ...taps.map(([y, x]) => svg('rect', { x: x - 0.5, y: y - 0.5, width: 1, height: 1, fill: 'none', stroke: 'var(--muted)', 'stroke-width': 0.03 })),
        ...heads.flatMap(({ alpha: strength, center: [y, x] }, h) => {
          const { half, most } = learnedHead(layer, strength, [y, x]);
          const bold = h === picked();
          const path = Array.from({ length: step + 1 }, (_, s) => at(s, h).center).map(([row, column]) => `${column.toFixed(3)},${row.toFixed(3)}`);
          return [
            svg('polyline', { points: path.join(' '), fill: 'none', stroke: 'var(--muted)', 'stroke-width': 0.02 }),
            svg('circle', { cx: x, cy: y, r: most, fill: 'none', stroke: 'var(--accent)', 'stroke-width': bold ? 0.06 : 0.02, 'stroke-dasharray': '.1 .08', opacity: bold ? 1 : 0.6 }),
            svg('circle', { cx: x, cy: y, r: half, fill: 'var(--accent)', 'fill-opacity': bold ? 0.4 : 0.12, stroke: 'var(--accent)', 'stroke-width': bold ? 0.06 : 0.02 }),
            svg('text', { x, y, fill: 'var(--ink)' }, String(h + 1)),
          ];
        }),
      );
      set(root, { 'aria-label': `Centers of ${count} heads after ${log.steps[step]} steps; ${near} are within a quarter pixel of a tap` });
      caption.innerHTML = `<strong>Heads after ${log.steps[step]} steps.</strong> Half of a head’s attention is inside the filled circle, 90 % inside the dashed one. Squares are taps, lines the way so far.`;
      epoch.value = String(step);
      epoch.setAttribute('aria-valuetext', `${log.steps[step]} steps`);
      showHead();
      claim.textContent =
        (source === page.document ? '' : `The layer “${source.title}”: `) +
        `${count} heads start anywhere and see only images and outputs. After ${log.steps[step]} steps their error is ` +
        `${shown(log.losses[step])} of the variance, and ${near} of ${count} sit within a quarter pixel of a tap.`;
      numbers([
        { name: `head ${picked() + 1}: radius of 50 %, pixels`, value: read.half },
        { name: 'radius of 90 %, pixels', value: read.most },
        { name: 'way to the nearest tap, pixels', value: read.away },
        { name: 'error, share of the variance', value: log.losses[step], quoted: page.seal() },
      ]);
    },
    python() {
      const { alpha: strength, center } = at(current(page), picked());
      return [
        page.preambleOf(source),
        `alpha, center = ${strength}, torch.tensor([${center.slice(-source.dimensions).join(', ')}]).double()`,
        'for share in (0.5, 0.9):  # of a Gaussian, exp(-alpha r^2)',
        '    print((-torch.log1p(torch.tensor(-share).double()) / alpha).sqrt().item())',
        'print((ex.ConvGeometry.from_conv(conv).centers() - center).norm(dim=1).min().item())',
      ].join('\n');
    },
  };
}

/**
 * Return the layer whose training is shown: this one, or the first that has any.
 *
 * @param {Page} page
 */
function trained(page) {
  return page.document.training ? page.document : page.scene.layers.find((/** @type {any} */ each) => each.training);
}

/** @param {Page} page */
function current(page) {
  const last = trained(page).training.steps.length - 1;
  const { epoch } = page.state;
  return epoch < 0 ? last : Math.min(last, epoch);
}
