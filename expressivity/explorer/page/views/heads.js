/** Fewer heads: with free tables, as many as the taps span dimensions, and one. */

import { fewerHeads } from '#math/readings';
import { largest } from '#math/matrix';
import { kernelOf } from '#math/tables';
import { chart } from '#page/chart';
import { signs } from '#page/colours';
import { numbers as decoded, tablesOf } from '#page/decode';
import { html, numberList, slider } from '#page/elements';
import { shown } from '#page/format';
import { picture } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */

export const id = 'heads';
export const title = 'Fewer heads do, if each may look at several pixels';

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const counted = page.document.heads;
  if (!counted) {
    claim.textContent = 'This kernel is too large for its tables to be in a page, or all zeros: ask ex.head_count(conv).';
    return { update() {}, python: () => [page.preamble, 'print(ex.head_count(conv).rank)'].join('\n') };
  }
  const rows = counted.rows;
  const controls = body.appendChild(html('div', { class: 'controls' }));
  const count = slider(controls, 'heads', { min: rows[0].heads, max: rows[rows.length - 1].heads, step: 1 }, (heads) => page.change({ heads }));
  const figures = body.appendChild(html('div', { class: 'figures small', style: 'margin-top: 1.2rem' }));
  const [wanted, made] = [picture(figures, ''), picture(figures, '')];
  const plot = rows.length > 1 ? chart(body, { x: 'heads', y: 'error, relative', log: false }) : null;
  const numbers = numberList(body);
  const [height, width] = page.document.kernel;
  return {
    update() {
      const row = current(page);
      const kernel = page.once('kernel', () => decoded(counted.kernel));
      const heads = page.once(`tables ${row.heads}`, () => tablesOf(row));
      const read = fewerHeads(heads, kernel);
      const cut = (/** @type {Float64Array} */ data) => {
        const entry = page.output * (data.length / (height * width) / page.document.outputs);
        return { rows: height, columns: width, data: data.slice(entry * height * width, (entry + 1) * height * width) };
      };
      const [left, right] = [cut(kernel), cut(kernelOf(heads))];
      const most = Math.max(largest(left), largest(right));
      wanted.draw(left, signs(most), 'The kernel of the output');
      wanted.caption.innerHTML = `<strong>The kernel</strong> of output ${page.output + 1}, first channel.`;
      made.draw(right, signs(most), 'The kernel that the heads make');
      made.caption.innerHTML = `<strong>What ${row.heads} heads make</strong> of it: ${read.error < 1e-12 ? 'the same, up to rounding' : `off by ${shown(read.error)}`}.`;
      count.value = String(row.heads);
      count.setAttribute('aria-valuetext', `${row.heads} heads: error ${shown(read.error)}`);
      const x = rows.map((/** @type {any} */ each) => each.heads);
      plot?.draw(
        [
          { name: 'these heads', x, y: rows.map((/** @type {any} */ each) => each.error), colour: 'accent', steps: true, now: read.error },
          { name: 'no layer is below', x, y: rows.map((/** @type {any} */ each) => each.bound), colour: 'ink', dashes: '7 4', steps: true },
        ],
        row.heads,
        `With ${row.heads} heads the error is ${shown(read.error)}`,
      );
      claim.textContent =
        `The taps of this layer span ρ = ${counted.rank} ${counted.rank === 1 ? 'dimension' : 'dimensions'}. ` +
        `With free tables ${rows[rows.length - 1].heads} heads compute it exactly, instead of ${counted.taps}` +
        (counted.needed < rows[rows.length - 1].heads ? `; ${counted.needed} come as close as one likes.` : '.');
      numbers([
        { name: `error of ${row.heads} heads, relative`, value: read.error },
        { name: 'no layer with so many is below', value: row.bound, quoted: page.seal() },
        { name: 'ρ', value: counted.rank, quoted: page.seal() },
      ]);
    },
    python() {
      const row = current(page);
      return [
        page.preamble,
        'count = ex.head_count(conv)',
        `made = count.minimal(${row.heads}).tap_matrices()`,
        'wanted = conv.weight.detach().flatten(2).movedim(-1, 0)',
        'print(((made - wanted).norm() / wanted.norm()).item())',
        `print(dict(zip(count.curve().heads, count.curve().bounds))[${row.heads}])`,
        'print(count.rank)',
      ].join('\n');
    },
  };
}

/** @param {Page} page */
function current(page) {
  const { rows } = page.document.heads;
  return rows.find((/** @type {any} */ each) => each.heads === page.state.heads) ?? rows[rows.length - 1];
}
