/** The error against α: four curves, and where the page is on them. */

import { errorCurves } from '#math/readings';
import { chart } from '#page/chart';
import { numberList } from '#page/elements';
import { shown } from '#page/format';
import { ALPHA } from '#page/state';

/** @typedef {import('#page/page').Page} Page */

export const id = 'error';
export const title = 'The error falls like e to the minus α';

const POINTS = 25;
const CURVES = [
  { key: 'worst', name: 'worst case', colour: 'ink', dashes: '7 4' },
  { key: 'predicted', name: 'first order', colour: 'positive', dashes: '2 3' },
  { key: 'measured', name: 'on this image', colour: 'accent' },
  { key: 'rounding', name: 'one rounding', colour: 'muted', dashes: '10 3 2 3' },
];

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const plot = chart(body, { x: 'α, 1/pixel²', y: 'largest error', log: true });
  const numbers = numberList(body);
  return {
    update() {
      const { alpha } = page.state;
      const { quote } = page;
      const curves = page.once(`curves ${page.output}`, () => curvesOf(page));
      const now = page.live ? /** @type {Record<string, number>} */ (errorCurves(page.layer, page.choice)) : null;
      plot.draw(
        CURVES.map(({ key, ...look }) => ({ ...look, x: curves.alphas, y: curves[key], now: now ? now[key] : undefined })),
        alpha,
        now ? `At α = ${alpha} the error on the image is ${shown(now.measured)}, the worst case ${shown(now.worst)}` : 'Errors against α, as the package computed them',
      );
      claim.textContent = now
        ? `At α = ${alpha} attention and convolution differ by ${shown(now.measured)} on this image. ` +
          (now.measured < now.rounding ? `That is below one rounding in ${page.document.dtype}: the two are the same.` : 'Each step of one in α divides that by e = 2.718.')
        : 'This layer is too large to be recomputed in a browser: all numbers are quoted from the package.';
      numbers([
        ...(now
          ? [
              { name: 'error on this image', value: now.measured },
              { name: 'first order, e^−α Conv(∇²x)', value: now.predicted },
              { name: 'worst case of any such image', value: now.worst },
              { name: `one rounding in ${page.document.dtype}`, value: now.rounding },
            ]
          : []),
        { name: 'the layer, all outputs, on the whole image', value: quote && quote.measured, quoted: page.seal(quote) },
        { name: 'its worst case', value: quote && quote.worst, quoted: page.seal(quote) },
      ]);
    },
    python() {
      const { state, output, document } = page;
      return [
        page.preamble,
        `layer = ex.attention_from_conv(conv, alpha=${state.alpha})`,
        `print((layer(x) - conv(x))[0, ${output}].abs().max().item())`,
        `print(ex.accuracy.first_order_error(conv, x, alpha=${state.alpha})[0, ${output}].abs().max().item())`,
        `worst = ex.worst_case_error(conv, alpha=${state.alpha}, size=size)[${output}]`,
        'print((worst * x.abs().max()).item())',
        'for parameter in conv.parameters():',
        '    parameter.data.abs_()',
        `unit = torch.finfo(torch.${document.dtype}).eps / 2`,
        `print((unit * conv(x.abs())[0, ${output}].max()).item())`,
      ].join('\n');
    },
  };
}

/**
 * @param {Page} page
 * @returns {Record<string, number[]>}
 */
function curvesOf(page) {
  if (!page.live) {
    const { quotes } = page.document;
    const column = (/** @type {string} */ name) => quotes.map((/** @type {any} */ quote) => quote[name]);
    return { alphas: column('alpha'), measured: column('measured'), predicted: column('predicted'), worst: column('worst'), rounding: column('alpha').map(() => 0) };
  }
  const alphas = Array.from({ length: POINTS }, (_, i) => 0.25 + ((ALPHA.most - 0.25) * i) / (POINTS - 1));
  const points = alphas.map((alpha) => /** @type {Record<string, number>} */ (errorCurves(page.layer, { ...page.choice, alpha })));
  return { alphas, ...Object.fromEntries(CURVES.map(({ key }) => [key, points.map((point) => point[key])])) };
}
