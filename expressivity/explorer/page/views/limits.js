/** What other layers cannot do: a witness, an attack above its bound, a control below. */

import { halfDifference } from '#math/readings';
import { largest } from '#math/matrix';
import { chart } from '#page/chart';
import { greys } from '#page/colours';
import { layerOf, planes } from '#page/decode';
import { choice, html, numberList, slider } from '#page/elements';
import { shown } from '#page/format';
import { picture } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */

export const id = 'limits';
export const title = 'Other attention cannot do it, whatever its weights';

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const { witnesses } = page.scene;
  const controls = body.appendChild(html('div', { class: 'controls' }));
  const family = choice(controls, 'family', witnesses.map((/** @type {any} */ each) => [each.name, each.title]), (name) => page.change({ family: name }));
  const step = slider(controls, 'step of the attack', { min: 0, max: 1, step: 1 }, (value) => page.change({ step: value }));
  const figures = body.appendChild(html('div', { class: 'figures', style: 'margin-top: 1.2rem' }));
  const [first, second] = [picture(figures, ''), picture(figures, '')];
  const plot = chart(body, { x: 'steps of Adam', y: 'largest error on the two images', log: false });
  const words = body.appendChild(html('p', { class: 'note' }));
  const numbers = numberList(body);
  return {
    update() {
      const witness = current(page);
      const layers = page.once(`witness ${witness.name}`, () => witness.images.map(
        (/** @type {any} */ image) => ({ ...layerOf(witness.layer), image: planes(image) }),
      ));
      family.value = witness.name;
      const last = witness.attack.length - 1;
      step.max = String(last);
      const at = Math.min(page.state.step, last);
      step.value = String(at);
      step.setAttribute('aria-valuetext', `step ${at}: error ${shown(witness.attack[at])}`);
      const [left, right] = layers.map((/** @type {any} */ layer) => layer.image[0]);
      const most = Math.max(largest(left), largest(right));
      const other = left.data.map((/** @type {number} */ value, /** @type {number} */ i) => value !== right.data[i]);
      const marks = [...other].flatMap((differs, i) => (differs ? [{ at: /** @type {[number, number]} */ ([Math.floor(i / left.columns), i % left.columns]), shape: 'disc' }] : []));
      first.draw(left, greys(-most, most), 'The first image of the witness');
      second.draw(right, greys(-most, most), 'The second image of the witness');
      [first, second].forEach((each, n) => each.mark([{ at: witness.queries[n] }, ...marks]));
      first.caption.innerHTML = '<strong>Two images</strong>, first channel. ● marks where they differ, □ the output that counts.';
      second.caption.textContent = witness.symmetry;
      const steps = witness.attack.map((/** @type {number} */ _, /** @type {number} */ i) => i);
      plot.draw(
        [
          { name: 'attack', x: steps, y: witness.attack, colour: 'accent', now: witness.attack[at] },
          { name: 'bound', x: [0, last], y: [witness.bound, witness.bound], colour: 'ink', dashes: '7 4' },
          ...(witness.control.length ? [{ name: 'control', x: steps.slice(0, witness.control.length), y: witness.control, colour: 'positive', dashes: '2 3', now: witness.control[Math.min(at, witness.control.length - 1)] }] : []),
        ],
        at,
        `After ${at} steps the attack errs by ${shown(witness.attack[at])}, above the bound of ${shown(witness.bound)}`,
      );
      claim.textContent =
        `${witness.claim} It treats these two images alike, the convolution does not, so it errs by at least ${shown(witness.bound)} on one of them. ` +
        'Training gets down to that line and no further. With the missing condition restored, it goes below.';
      words.replaceChildren(
        'Proof: statement ',
        html('code', {}, witness.statement),
        ' (',
        html('code', {}, `python -m proofs ${witness.statement}`),
        `). Source: ${witness.source}`,
      );
      const read = halfDifference(layers, witness.queries);
      numbers([
        { name: 'half the difference of the outputs', value: read.half },
        { name: 'bound of the witness', value: witness.bound, quoted: page.seal() },
        { name: `attack after ${at} steps`, value: witness.attack[at], quoted: page.seal() },
      ]);
    },
    python() {
      const witness = current(page);
      const at = Math.min(page.state.step, witness.attack.length - 1);
      return [
        'import expressivity as ex',
        '',
        `family = ex.atlas.FAMILIES[${JSON.stringify(witness.name)}]`,
        'sample = family.fails()',
        'witness = family.refute(sample.conv, sample.size)',
        'first, second = witness.targets  # what the convolution computes at □',
        'print((first - second).abs().max().item() / 2)',
        'print(witness.bound)',
        `print(witness.trace(${witness.attack.length - 1})[${at}])`,
      ].join('\n');
    },
  };
}

/** @param {Page} page */
function current(page) {
  const { witnesses } = page.scene;
  return witnesses.find((/** @type {any} */ each) => each.name === page.state.family) ?? witnesses[0];
}
