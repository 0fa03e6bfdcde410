/** One head: what it attends to from a pixel, and what it returns everywhere. */

import { attentionMap, rowsOf } from '#math/attention';
import { nearest, rounded } from '#math/axis';
import { headsOf } from '#math/layer';
import { largest, sandwich } from '#math/matrix';
import { oneHead } from '#math/readings';
import { greys, shares } from '#page/colours';
import { headButtons, numberList } from '#page/elements';
import { direction, percent } from '#page/format';
import { picture, selectable } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */

export const id = 'head';
export const title = 'One head copies one neighbour';

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const figures = body.appendChild(document.createElement('div'));
  figures.className = 'figures';
  const image = picture(figures, '');
  const seen = picture(figures, '');
  const copy = picture(figures, '');
  selectable(
    image.frame,
    'The query pixel: click, or press the arrow keys',
    () => {
      const [rows, columns] = page.layer.axes.map((axis) => axis.pixels);
      const at = pixelsOf(page.layer, page.query);
      return { rows, columns, at };
    },
    (place, how) => page.change({ query: queryNear(page.layer, place, how === 'point' ? null : page.query) }),
  );
  const controls = body.appendChild(document.createElement('div'));
  controls.className = 'controls';
  const showHead = headButtons(controls, page);
  const numbers = numberList(body);
  return {
    update() {
      const { layer, choice, head, query } = page;
      const one = headsOf(layer, choice)[head];
      const [rows] = rowsOf(layer, [one]);
      const plane = layer.image[0];
      const [low, high] = [Math.min(...plane.data), Math.max(...plane.data)];
      const at = pixelsOf(layer, query);
      const target = targetOf(layer, query, one.center);
      const where = direction(one.center);
      const read = oneHead(layer, choice, head, query);
      image.draw(plane, greys(low, high), 'The query pixel: click, or press the arrow keys');
      image.mark([{ at }, ...(target ? [{ at: target, shape: 'disc' }] : [])]);
      image.caption.innerHTML = `<strong>The image.</strong> From pixel □ this head wants the pixel ● ${where}.`;
      const map = attentionMap(rows, query);
      seen.draw(map, shares(largest(map)), `Attention of the head: ${percent(read.on)} on its pixel`);
      seen.mark([{ at }]);
      seen.caption.innerHTML = `<strong>What it attends to.</strong> ${percent(read.on)} of its attention is on that pixel.`;
      const moved = sandwich(rows.vertical.attention, plane, rows.horizontal.attention);
      copy.draw(moved, greys(low, high), 'What the head returns: the image, shifted and blurred');
      copy.caption.innerHTML = `<strong>What it returns</strong> from every pixel: the image shifted by ${where}${read.leak > 0.02 ? ', and blurred' : ', sharp'}.`;
      claim.textContent =
        `At α = ${page.state.alpha} this head puts ${percent(read.on)} of its attention on one pixel. ` +
        `${read.leak > 0.02 ? 'Raise α, and it looks at nothing else.' : 'Lower α, and it blurs.'}`;
      showHead();
      numbers([
        { name: 'attention on its pixel', value: read.on },
        { name: 'leak: attention elsewhere', value: read.leak },
        { name: 'leak far from borders, λ(α)', value: read.interior },
      ]);
    },
    python() {
      const { layer, head, query, state } = page;
      const place = query[0] * layer.axes[1].queries.length + query[1];
      return [
        page.preamble,
        `layer = ex.attention_from_conv(conv, alpha=${state.alpha})`,
        `seen = layer.attention_probabilities(size=size)[${head}, ${place}]  # over all tokens`,
        'print(seen.max().item())',
        'print(1 - seen.max().item())',
        `print(ex.accuracy.leak(${state.alpha}, axes=len(size)))`,
      ].join('\n');
    },
  };
}

/**
 * Return the pixel of the image at a query; where that is padding, the nearest.
 *
 * @param {import('#math/layer').Layer} layer
 * @param {[number, number]} query
 * @returns {[number, number]}
 */
export function pixelsOf(layer, query) {
  const [y, x] = layer.axes.map((axis, a) => {
    const place = axis.queries[query[a]] - axis.source.indexOf(0);
    return Math.min(axis.pixels - 1, Math.max(0, place));
  });
  return [y, x];
}

/**
 * Return the query whose pixel is nearest to a place.
 *
 * @param {import('#math/layer').Layer} layer
 * @param {[number, number]} place a pixel, for arrow keys one step from the last
 * @param {[number, number] | null} last the query before a step; null for a click
 * @returns {[number, number]}
 */
export function queryNear(layer, place, last) {
  const from = last === null ? null : pixelsOf(layer, last);
  const [i, j] = layer.axes.map((axis, a) => {
    if (last !== null && from !== null) {
      const step = Math.sign(place[a] - from[a]);
      return Math.min(axis.queries.length - 1, Math.max(0, last[a] + step));
    }
    const ways = axis.queries.map((query) => Math.abs(query - axis.source.indexOf(0) - place[a]));
    return ways.indexOf(Math.min(...ways));
  });
  return [i, j];
}

/**
 * Return the pixel on which a head ends; null for a token of zeros.
 *
 * @param {import('#math/layer').Layer} layer
 * @param {[number, number]} query
 * @param {[number, number]} center
 * @returns {[number, number] | null}
 */
export function targetOf(layer, query, center) {
  const [y, x] = layer.axes.map(
    (axis, a) => axis.source[nearest(axis, axis.queries[query[a]] + rounded(center[a]))],
  );
  return y < 0 || x < 0 ? null : [y, x];
}
