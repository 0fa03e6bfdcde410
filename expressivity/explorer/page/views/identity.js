/** The smoothing identity: two ways to the same outputs. */

import { attended, rowsOf } from '#math/attention';
import { channelsOf, headsOf } from '#math/layer';
import { combination, largest, sandwich } from '#math/matrix';
import { twoPaths } from '#math/readings';
import { smoothed } from '#math/smoothing';
import { greys, signs } from '#page/colours';
import { html, numberList } from '#page/elements';
import { shown } from '#page/format';
import { picture } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */

export const id = 'identity';
export const title = 'Soft heads are a blur, then the convolution';

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  if (!page.live) {
    claim.textContent = page.tooLarge;
    return { update() {}, python: () => page.preamble };
  }
  const flow = body.appendChild(html('div', { class: 'flow' }));
  const image = picture(flow, 'The image');
  const paths = flow.appendChild(html('div', { class: 'paths' }));
  const [rows, columns] = page.document.kernel;
  const many = page.layer.weight.length / page.document.outputs / page.layer.image.length > 25;
  const small = html('div', { class: 'small-maps', style: `grid-template-columns: repeat(${columns}, minmax(0, 1fr)); max-width: ${4.5 * columns}rem` });
  const heads = many ? [] : Array.from({ length: rows * columns }, () => {
    const each = picture(small, '');
    each.caption.remove();
    return each;
  });
  const arrow = (/** @type {string} */ text) => html('span', { class: 'arrow', 'aria-hidden': 'true' }, text);
  paths.append(
    html('div', { class: 'path' }, arrow('→'), html('figure', {}, small, html('figcaption', {}, html('strong', {}, 'Attention. '), 'Each head copies the image, blurred, times its weight. The sum is the output.')), arrow('Σ')),
  );
  const second = html('div', { class: 'path' }, arrow('→'));
  const blurred = picture(second, '');
  blurred.frame.style.maxWidth = '12rem';
  blurred.caption.innerHTML = '<strong>Convolution.</strong> Blur the image once, with its padding. Then convolve.';
  second.append(arrow('∗'));
  paths.append(second);
  const output = picture(flow, '');
  const numbers = numberList(body);
  return {
    update() {
      const { layer, choice } = page;
      const channels = channelsOf(layer, choice.output, layer.image);
      const plane = channels[0];
      const [low, high] = [Math.min(...plane.data), Math.max(...plane.data)];
      image.draw(plane, greys(low, high), 'The image');
      blurred.draw(smoothed(layer, choice.alpha, plane), greys(low, high), 'The image, smoothed by a Gaussian');
      const parts = many ? [] : rowsOf(layer, headsOf(layer, choice)).map(({ head, vertical, horizontal }) =>
        sandwich(vertical.attention, combination(channels, head.weights), horizontal.attention),
      );
      const most = Math.max(...parts.map(largest), 1e-300);
      parts.forEach((part, h) => heads[h].draw(part, signs(most), `What head ${h + 1} contributes`));
      const result = attended(layer, choice, layer.image);
      output.draw(result, signs(largest(result)), 'The output, by both ways');
      const read = twoPaths(layer, choice);
      output.caption.innerHTML = `<strong>The output</strong>, by either way: ${read.gap === 0 ? 'the same to the last bit' : `they differ by ${shown(read.gap)}`}.`;
      claim.textContent =
        `${page.document.kernel[0] * page.document.kernel[1]} heads that see the whole image, or one blur and one convolution: ` +
        `at α = ${page.state.alpha}, and at every other α, the outputs are the same up to rounding.`;
      numbers([
        { name: 'largest output of the heads', value: read.heads },
        { name: 'of blur and convolution', value: read.smoothing },
        { name: 'largest difference', value: read.gap },
      ]);
    },
    python() {
      const { state, output: channel } = page;
      return [
        page.preamble,
        `layer = ex.attention_from_conv(conv, alpha=${state.alpha})`,
        'outputs = []',
        'for layer.strategy in ("dense", "separable"):  # every pair; one blur, then the convolution',
        `    outputs.append(layer(x)[0, ${channel}].detach())`,
        '    print(outputs[-1].abs().max().item())',
        'print((outputs[0] - outputs[1]).abs().max().item())',
      ].join('\n');
    },
  };
}
