/** The worst input: paint an image, and never beat the bound. */

import { errors } from '#math/attention';
import { channelsOf } from '#math/layer';
import { painted, worstImage } from '#math/readings';
import { greys, shares } from '#page/colours';
import { button, field, html, numberList, set } from '#page/elements';
import { percent } from '#page/format';
import { picture, selectable } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */
/** @typedef {import('#math/matrix').Matrix} Matrix */

export const id = 'worst';
export const title = 'No image beats the bound, and one attains it';

const LETTERS = 'n0p';

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  if (!page.live) {
    const numbers = numberList(body);
    return {
      update() {
        claim.textContent = 'This layer is too large for a browser: the bound is quoted from the package.';
        numbers(quoted(page));
      },
      python: () => [page.preamble, `print(ex.worst_case_error(conv, alpha=${page.state.alpha}, size=size).max().item())`].join('\n'),
    };
  }
  const figures = body.appendChild(html('div', { class: 'figures two' }));
  const canvas = picture(figures, '');
  const error = picture(figures, '');
  /** @type {[number, number]} */
  let cursor = [0, 0];
  let ink = 1;
  let pointed = false; // at a pixel that was typed
  const paint = (/** @type {[number, number]} */ at, /** @type {number} */ value) => {
    const plane = imageOf(page)[0];
    const word = [...letters(imageOf(page))];
    word[at[0] * plane.columns + at[1]] = LETTERS[value + 1];
    page.change({ paint: word.join('') });
  };
  const words = 'The image: paint with the pointer, or with arrow keys and space';
  selectable(
    canvas.frame,
    words,
    () => ({ rows: page.layer.image[0].rows, columns: page.layer.image[0].columns, at: cursor }),
    (at, how) => {
      const same = how === 'point' && at[0] === cursor[0] && at[1] === cursor[1];
      cursor = [at[0], at[1]];
      pointed = false;
      if (how === 'key') return page.changed();
      const plane = imageOf(page)[0];
      const now = plane.data[at[0] * plane.columns + at[1]];
      if (how === 'act') return paint(at, now > 0 ? -1 : now < 0 ? 0 : 1);
      if (!same || now !== ink) paint(at, ink);
    },
  );
  const meter = body.appendChild(html('div', { class: 'meter', role: 'meter', 'aria-valuemin': 0, 'aria-valuemax': 100, 'aria-label': 'share of the bound that the image attains' }, html('i')));
  const controls = body.appendChild(html('div', { class: 'controls' }));
  button(controls, 'The worst image', () => page.change({ paint: 'worst' }));
  button(controls, 'The layer’s own image', () => page.change({ paint: 'image' }));
  button(controls, 'Random signs', () => page.change({ paint: letters(channels(page)).map(() => LETTERS[Math.random() < 0.5 ? 0 : 2]).join('') }));
  button(controls, 'Nothing', () => page.change({ paint: letters(channels(page)).map(() => '0').join('') }));
  const brush = html('span', { class: 'field', role: 'group', 'aria-label': 'Brush' }, html('span', { class: 'label' }, 'brush'));
  const brushes = [['white', 1], ['grey', 0], ['black', -1]].map(([name, value]) => {
    const element = button(brush, String(name), () => {
      ink = Number(value);
      page.changed();
    });
    return { element, value };
  });
  controls.append(brush);
  const point = controls.appendChild(html('span', { class: 'field', role: 'group', 'aria-label': 'A pixel' }));
  const places = ['row', 'column'].map((name, a) => {
    const most = page.layer.axes[a].pixels;
    const typed = field(point, name, { min: 1, max: most, step: 1 }, (value) => {
      cursor[a] = Math.round(value) - 1;
      pointed = true;
      page.changed();
    });
    typed.parentElement?.toggleAttribute('hidden', most === 1);
    return typed;
  });
  button(point, 'Paint this pixel', () => {
    pointed = true;
    paint(cursor, ink);
  });
  const numbers = numberList(body);
  return {
    update() {
      const image = imageOf(page);
      const { attained, bound } = painted(page.layer, page.choice, whole(page, image));
      canvas.draw(image[0], greys(-1, 1), words);
      canvas.mark(pointed || document.activeElement === canvas.frame ? [{ at: cursor }] : []);
      places.forEach((typed, a) => (typed.value = String(cursor[a] + 1)));
      canvas.caption.innerHTML = `<strong>Paint here</strong>: white is +1, black −1${image.length > 1 ? '; the first channel is shown' : ''}.`;
      const gaps = errors(page.layer, page.choice, whole(page, image));
      gaps.data.forEach((value, i) => (gaps.data[i] = Math.abs(value)));
      error.draw(gaps, shares(bound), 'The error at every output');
      error.caption.innerHTML = `<strong>The error at every output.</strong> The largest is ${percent(attained / bound)} of the bound.`;
      const share = bound > 0 ? attained / bound : 0;
      /** @type {HTMLElement} */ (meter.firstElementChild).style.width = `${Math.min(1, share) * 100}%`;
      set(meter, { 'aria-valuenow': Math.round(share * 100) });
      for (const { element, value } of brushes) set(element, { 'aria-pressed': value === ink });
      claim.textContent =
        share > 1 - 1e-9
          ? `This image attains the bound at α = ${page.state.alpha}: it has the signs of the worst output’s row. Paint over it, and the error can only fall.`
          : `Your image reaches ${percent(share)} of the bound. Whatever you paint, it stays below.`;
      numbers([
        { name: 'largest error on this image', value: attained },
        { name: 'bound for every image within ±1', value: bound },
        ...quoted(page),
      ]);
    },
    python() {
      const { state, output } = page;
      const [image, paint] = [imageOf(page), paintOf(page)];
      const group = Math.floor((output * page.layer.groups) / page.layer.outputs);
      const start = group * image.length;
      const lines =
        paint === 'worst'
          ? ['z = worst.sign() * (worst != 0)']
          : paint === 'image'
            ? ['z = x.clamp(-1, 1)']
            : [
                `word = ${JSON.stringify(letters(image).join(''))}`,
                'signs = torch.tensor([{"n": -1.0, "0": 0.0, "p": 1.0}[letter] for letter in word])',
                `z[0, ${start}:${start + image.length}] = signs.double().reshape(-1, *size)`,
              ];
      const worst =
        paint === 'worst'
          ? [
              `rows = torch.func.jacrev(lambda z: (layer(z) - conv(z))[0, ${output}].flatten())(torch.zeros_like(x))`,
              'worst = rows[rows.flatten(1).abs().sum(1).argmax()]',
            ]
          : ['z = torch.zeros_like(x)'];
      return [
        page.preamble,
        `layer = ex.attention_from_conv(conv, alpha=${state.alpha})`,
        ...worst,
        ...lines,
        `print((layer(z) - conv(z))[0, ${output}].abs().max().item())`,
        `print(ex.worst_case_error(conv, alpha=${state.alpha}, size=size)[${output}].item())`,
      ].join('\n');
    },
  };
}

/** @param {Page} page */
function quoted(page) {
  const { quote } = page;
  if (!quote || quote.bound === null) {
    const alphas = page.document.quotes.map((/** @type {any} */ each) => each.alpha).join(', ');
    return [{ name: `certificate: made for α = ${alphas}`, value: null, quoted: page.seal() }];
  }
  return [
    { name: 'certified, exact part, all outputs', value: quote.exact, quoted: page.seal(quote) },
    { name: 'certified, rounding part', value: quote.rounding, quoted: page.seal(quote) },
  ];
}

/** @param {Page} page */
function channels(page) {
  return channelsOf(page.layer, page.output, page.layer.image);
}

/**
 * Return the paint of the state; the image, if that was painted on another layer.
 *
 * @param {Page} page
 */
function paintOf(page) {
  const { paint } = page.state;
  const pixels = channels(page).reduce((sum, { data }) => sum + data.length, 0);
  const fits = paint === 'worst' || (paint.length === pixels && /^[n0p]*$/.test(paint));
  return fits ? paint : 'image';
}

/**
 * Return what is painted: the channels that the output reads.
 *
 * @param {Page} page
 * @returns {Matrix[]}
 */
function imageOf(page) {
  const own = channels(page);
  const paint = paintOf(page);
  if (paint === 'worst') return channelsOf(page.layer, page.output, worstImage(page.layer, page.choice));
  const { rows, columns } = own[0];
  if (paint === 'image') {
    return own.map((plane) => ({ ...plane, data: plane.data.map((value) => Math.min(1, Math.max(-1, value))) }));
  }
  return own.map((plane, c) => ({
    ...plane,
    data: plane.data.map((_, i) => LETTERS.indexOf(paint[c * rows * columns + i]) - 1),
  }));
}

/**
 * Return all channels, those of other groups unchanged.
 *
 * @param {Page} page
 * @param {Matrix[]} painted
 */
function whole(page, painted) {
  const own = channels(page);
  return page.layer.image.map((plane) => painted[own.indexOf(plane)] ?? plane);
}

/** @param {Matrix[]} image */
function letters(image) {
  return image.flatMap(({ data }) => Array.from(data, (value) => LETTERS[Math.sign(value) + 1]));
}
