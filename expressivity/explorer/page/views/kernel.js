/** All heads: their centers can be moved, and the kernel that results is shown. */

import { attentionMap, rowsOf } from '#math/attention';
import { headsOf } from '#math/layer';
import { largest, zeros } from '#math/matrix';
import { allHeads } from '#math/readings';
import { signs } from '#page/colours';
import { button, field, headButtons, numberList, set, svg } from '#page/elements';
import { shown } from '#page/format';
import { picture, STEPS } from '#page/pixels';

/** @typedef {import('#page/page').Page} Page */

export const id = 'kernel';
export const title = 'One head a tap makes the kernel';

/**
 * @param {HTMLElement} body
 * @param {HTMLElement} claim
 * @param {Page} page
 */
export function build(body, claim, page) {
  const figures = body.appendChild(document.createElement('div'));
  figures.className = 'figures';
  const reach = reachOf(page.layer);
  const wanted = picture(figures, '');
  const plane = planeOf(figures, page, reach);
  const made = picture(figures, '');
  const controls = body.appendChild(document.createElement('div'));
  controls.className = 'controls';
  const showHead = headButtons(controls, page);
  const change = (/** @type {0 | 1} */ a, /** @type {number} */ value) => {
    const center = /** @type {[number, number]} */ ([...centerOf(page)]);
    center[a] = value;
    move(page, page.head, center);
  };
  const limits = { min: -9, max: 9, step: 'any' };
  const down = field(controls, 'rows down', limits, (value) => change(0, value));
  const right = field(controls, 'columns right', limits, (value) => change(1, value));
  button(controls, 'All heads back to their taps', () => page.change({ moved: {} }));
  const numbers = numberList(body);
  const channel = page.layer.image.length > 1 ? ' (first channel)' : '';
  return {
    update() {
      const { layer, output } = page;
      const choice = { ...page.choice, moved: page.state.moved };
      const heads = headsOf(layer, choice);
      const [target, result] = kernels(layer, heads, page.query, reach);
      const most = Math.max(largest(target), largest(result)) || 1;
      wanted.draw(target, signs(most), 'The kernel that is wanted');
      wanted.caption.innerHTML = `<strong>The kernel</strong> of output ${output + 1}${channel}. Orange is positive, blue negative.`;
      made.draw(result, signs(most), 'The kernel that the heads make');
      made.caption.innerHTML = '<strong>The kernel that the heads make</strong>: each tap spread over what its head attends to.';
      plane.draw(heads, most);
      const center = centerOf(page);
      down.value = String(center[0]);
      right.value = String(center[1]);
      showHead();
      const read = page.live ? allHeads(layer, choice, page.query) : null;
      const count = Object.keys(page.state.moved).length;
      claim.textContent =
        `${heads.length} heads, one a tap, each times its weight. ` +
        (count ? `${count === 1 ? 'One is' : `${count} are`} off its tap: the kernel is another one.` : 'Drag a head off its tap, and the kernel breaks.');
      const { quote } = page;
      numbers([
        { name: 'worst error over all images within ±1', value: read && read.worst },
        ...(count || !quote ? [] : [{ name: 'certified, all outputs, with rounding', value: quote.bound, quoted: page.seal(quote) }]),
      ]);
    },
    python() {
      const { state, output, document } = page;
      const moves = Object.entries(state.moved).map(
        ([head, center]) => `    layer.centers[${head}] = torch.tensor([${center.slice(-document.dimensions).join(', ')}])`,
      );
      return [
        page.preamble,
        `layer = ex.attention_from_conv(conv, alpha=${state.alpha})`,
        ...(moves.length ? ['with torch.no_grad():', ...moves] : []),
        `print(ex.worst_case_error(layer, conv, size=size)[${output}].item())`,
      ].join('\n');
    },
  };
}

/**
 * @param {Page} page
 * @returns {[number, number]}
 */
function centerOf(page) {
  return headsOf(page.layer, { ...page.choice, moved: page.state.moved })[page.head].center;
}

/**
 * @param {Page} page
 * @param {number} head
 * @param {[number, number]} center
 */
function move(page, head, center) {
  const { tap } = headsOf(page.layer, page.choice)[head];
  const moved = { ...page.state.moved };
  const place = /** @type {[number, number]} */ (center.map((value) => Number(value.toFixed(3))));
  // One axis has no second one to move along.
  if (page.document.dimensions === 1) place[0] = 0;
  if (place[0] === tap[0] && place[1] === tap[1]) delete moved[head];
  else moved[head] = place;
  page.change({ moved, head });
}

/**
 * Return how many pixels around the query are drawn, along both axes.
 *
 * @param {import('#math/layer').Layer} layer
 * @returns {[number, number]}
 */
function reachOf(layer) {
  const [y, x] = layer.axes.map(({ taps, pixels }) => {
    const far = Math.max(...taps.map(Math.abs));
    return pixels === 1 ? 0 : far + 2;
  });
  return [y, x];
}

/**
 * Return the wanted kernel and the one that the heads make, around a query.
 *
 * @param {import('#math/layer').Layer} layer
 * @param {import('#math/layer').Head[]} heads
 * @param {[number, number]} query
 * @param {[number, number]} reach
 */
function kernels(layer, heads, query, [up, aside]) {
  const [rows, columns] = [2 * up + 1, 2 * aside + 1];
  const [wanted, made] = [zeros(rows, columns), zeros(rows, columns)];
  const [y, x] = layer.axes.map((axis, a) => axis.queries[query[a]] - Math.max(0, axis.source.indexOf(0)));
  const kept = rowsOf(layer, heads);
  heads.forEach(({ tap, weights }, h) => {
    const at = (tap[0] + up) * columns + tap[1] + aside;
    wanted.data[at] += weights[0];
    const map = attentionMap(kept[h], query);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        const [row, column] = [y + i - up, x + j - aside];
        if (row < 0 || column < 0 || row >= map.rows || column >= map.columns) continue;
        made.data[i * columns + j] += weights[0] * map.data[row * map.columns + column];
      }
    }
  });
  return [wanted, made];
}

/**
 * The plane of displacements with the heads on it, which can be dragged or arrowed.
 *
 * @param {HTMLElement} parent
 * @param {Page} page
 * @param {[number, number]} reach
 */
function planeOf(parent, page, [up, aside]) {
  const [left, top, width, height] = [-aside - 0.5, -up - 0.5, 2 * aside + 1, 2 * up + 1];
  const root = svg('svg', {
    class: 'plane map active',
    viewBox: `${left} ${top} ${width} ${height}`,
    tabindex: 0,
    role: 'application',
    'aria-roledescription': 'plane of heads',
    'aria-label': 'Heads around the query: drag one, click a place, or press the arrow keys; Shift moves by a quarter',
    style: `aspect-ratio: ${width} / ${height}`,
  });
  const grid = svg('g', {});
  for (let i = -up; i <= up; i++) {
    for (let j = -aside; j <= aside; j++) {
      grid.append(svg('rect', { x: j - 0.5, y: i - 0.5, width: 1, height: 1, fill: i === 0 && j === 0 ? 'var(--accent-soft)' : 'none', stroke: 'var(--line)', 'stroke-width': 0.03 }));
    }
  }
  const discs = svg('g', {});
  root.append(grid, discs);
  const figure = document.createElement('figure');
  const caption = document.createElement('figcaption');
  caption.innerHTML = '<strong>The heads</strong>, each where it looks, seen from the query. Drag one, or choose it and click, type or press arrows.';
  figure.append(root, caption);
  parent.append(figure);

  /** @type {number | null} */
  let held = null;
  const place = (/** @type {PointerEvent} */ event) => {
    const box = root.getBoundingClientRect();
    const snap = (/** @type {number} */ value) => {
      const near = Math.round(value);
      return Math.abs(value - near) < 0.12 ? near : value;
    };
    return /** @type {[number, number]} */ ([
      snap(top + ((event.clientY - box.top) / box.height) * height),
      snap(left + ((event.clientX - box.left) / box.width) * width),
    ]);
  };
  root.addEventListener('pointerdown', (event) => {
    root.setPointerCapture(event.pointerId);
    const [y, x] = place(event);
    const heads = headsOf(page.layer, { ...page.choice, moved: page.state.moved });
    const ways = heads.map(({ center }) => Math.hypot(center[0] - y, center[1] - x));
    const near = ways.indexOf(Math.min(...ways));
    if (ways[near] < 0.4) {
      held = near;
      page.change({ head: near });
    } else {
      held = page.head;
      move(page, page.head, [y, x]);
    }
  });
  root.addEventListener('pointermove', (event) => {
    if (held !== null && event.buttons === 1) move(page, held, place(event));
  });
  root.addEventListener('pointerup', () => {
    held = null;
  });
  root.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    const size = event.shiftKey ? 0.25 : 1;
    const [y, x] = centerOf(page);
    move(page, page.head, [y + size * step[0], x + size * step[1]]);
  });
  return {
    /**
     * @param {import('#math/layer').Head[]} heads
     * @param {number} most
     */
    draw(heads, most) {
      discs.replaceChildren(
        ...heads.flatMap(({ center, tap, weights }, h) => {
          const value = weights[0];
          const size = 0.17 + 0.25 * Math.sqrt(Math.abs(value) / most);
          const fill = value === 0 ? 'var(--zero)' : `var(--${value < 0 ? 'negative' : 'positive'})`;
          const away = center !== tap;
          return [
            ...(away ? [svg('line', { x1: tap[1], y1: tap[0], x2: center[1], y2: center[0], stroke: 'var(--muted)', 'stroke-width': 0.05, 'stroke-dasharray': '.12 .1' })] : []),
            svg('circle', { cx: center[1], cy: center[0], r: size, fill, stroke: h === page.head ? 'var(--ink)' : 'var(--muted)', 'stroke-width': h === page.head ? 0.09 : 0.03 }),
            svg('text', { x: center[1], y: center[0], fill: value === 0 ? 'var(--ink)' : 'var(--paper)' }, String(h + 1)),
          ];
        }),
      );
      const center = heads[page.head].center;
      set(root, { 'aria-description': `Head ${page.head + 1} is ${shown(center[0])} rows down and ${shown(center[1])} columns right` });
    },
  };
}
