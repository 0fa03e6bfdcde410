/** A picture of a matrix: a pixel an entry, with marks on top. */

import { html, set, svg } from '#page/elements';

/**
 * @typedef {import('#math/matrix').Matrix} Matrix
 * @typedef {import('#page/colours').Scale} Scale
 * @typedef {{ fill?: string, ring?: string, at: [number, number], label?: string, shape?: string }} Mark
 */

/**
 * @param {Element} parent
 * @param {string} caption
 */
export function picture(parent, caption) {
  const canvas = html('canvas', { width: 1, height: 1 });
  const marks = svg('svg', { 'aria-hidden': 'true', preserveAspectRatio: 'none' });
  const frame = html('div', { class: 'map', role: 'img' }, canvas, marks);
  const text = html('figcaption', {}, caption);
  const figure = html('figure', {}, frame, text);
  parent.append(figure);
  let wide = 1;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  return {
    figure,
    frame,
    caption: text,
    /**
     * @param {Matrix} matrix
     * @param {Scale} scale
     * @param {string} words what is to be seen, for those who do not see it
     */
    draw({ rows, columns, data }, scale, words) {
      if (canvas.width !== columns || canvas.height !== rows) {
        canvas.width = columns;
        canvas.height = rows;
        frame.style.aspectRatio = `${columns} / ${rows}`;
        set(marks, { viewBox: `0 0 ${columns} ${rows}` });
        wide = Math.max(rows, columns);
      }
      const image = pen.createImageData(columns, rows);
      const bytes = image.data.fill(255);
      for (let i = 0; i < data.length; i++) {
        [bytes[4 * i], bytes[4 * i + 1], bytes[4 * i + 2]] = scale(data[i]);
      }
      pen.putImageData(image, 0, 0);
      set(frame, { 'aria-label': words });
    },
    /** @param {Mark[]} list */
    mark(list) {
      marks.replaceChildren(...list.flatMap((each) => markOf(each, wide)));
    },
  };
}

/**
 * Let a reader choose a pixel: by a click, by dragging, or by the arrow keys.
 *
 * @param {HTMLElement} frame
 * @param {string} words
 * @param {() => { rows: number, columns: number, at: [number, number] }} where
 * @param {(place: [number, number], how: "point" | "key" | "act") => void} choose
 */
export function selectable(frame, words, where, choose) {
  set(frame, { tabindex: 0, role: 'application', 'aria-roledescription': 'pixel picker', 'aria-label': words });
  frame.classList.add('active');
  const pick = (/** @type {PointerEvent} */ event) => {
    const box = frame.getBoundingClientRect();
    const { rows, columns } = where();
    choose(
      [
        clamp(Math.floor(((event.clientY - box.top) / box.height) * rows), rows),
        clamp(Math.floor(((event.clientX - box.left) / box.width) * columns), columns),
      ],
      'point',
    );
  };
  frame.addEventListener('pointerdown', (event) => {
    frame.setPointerCapture(event.pointerId);
    pick(event);
  });
  frame.addEventListener('pointermove', (event) => {
    if (event.buttons === 1) pick(event);
  });
  frame.addEventListener('keydown', (event) => {
    const step = STEPS[event.key];
    const { rows, columns, at } = where();
    if (step) choose([clamp(at[0] + step[0], rows), clamp(at[1] + step[1], columns)], 'key');
    else if (event.key === ' ' || event.key === 'Enter') choose(at, 'act');
    else return;
    event.preventDefault();
  });
}

/** @type {Record<string, [number, number]>} */
export const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * @param {number} value
 * @param {number} count
 */
function clamp(value, count) {
  return Math.min(count - 1, Math.max(0, value));
}

/**
 * @param {Mark} mark
 * @param {number} wide pixels of the longer side
 */
function markOf({ at: [row, column], shape, fill }, wide) {
  const line = Math.min(0.12, Math.max(0.05, wide / 150));
  const inner = 'var(--white)';
  const outer = 'var(--black)';
  if (shape === 'disc') {
    return [
      svg('circle', { cx: column + 0.5, cy: row + 0.5, r: 0.34, fill: fill ?? 'var(--positive)', stroke: inner, 'stroke-width': line }),
    ];
  }
  return [outer, inner].map((stroke, i) =>
    svg('rect', { x: column, y: row, width: 1, height: 1, fill: 'none', stroke, 'stroke-width': i === 0 ? 2.5 * line : line }),
  );
}
