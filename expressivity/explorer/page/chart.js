/** Curves over one axis, with their names at their ends. */

import { set, svg } from '#page/elements';
import { shown } from '#page/format';

/**
 * @typedef {object} Curve
 * @property {string} name
 * @property {number[]} x
 * @property {number[]} y
 * @property {string} colour a custom property
 * @property {string} [dashes]
 * @property {boolean} [steps] level until the next point
 * @property {number} [now] its value at the marker
 */

const [WIDEST, NARROWEST, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 280, 310, 52, 118, 26, 40];

/**
 * @param {Element} parent
 * @param {{ x: string, y: string, log: boolean }} axes
 */
export function chart(parent, axes) {
  const root = svg('svg', { class: 'plot', viewBox: `0 0 ${WIDEST} ${HEIGHT}`, role: 'img' });
  parent.append(root);
  let drawn = '';
  const still = svg('g');
  const moving = svg('g');
  root.append(still, moving);
  return {
    root,
    /**
     * @param {Curve[]} curves
     * @param {number} at where the marker stands
     * @param {string} words
     */
    draw(curves, at, words) {
      // A pixel of the drawing is one of the screen, so that words stay readable.
      const width = Math.round(Math.min(WIDEST, Math.max(NARROWEST, root.clientWidth || WIDEST)));
      const scale = scales(curves, axes.log, width);
      const name = JSON.stringify([width, curves.map(({ name, x, y }) => [name, x, y])]);
      if (name !== drawn) {
        drawn = name;
        set(root, { viewBox: `0 0 ${width} ${HEIGHT}` });
        still.replaceChildren(...frame(scale, axes), ...lines(curves, scale, axes.log));
      }
      const x = scale.x(at);
      moving.replaceChildren(
        svg('line', { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, stroke: 'var(--ink)', 'stroke-width': 1 }),
        ...curves
          .filter(({ now }) => now !== undefined && (!axes.log || now > 0))
          .map(({ now, colour }) =>
            svg('circle', { cx: x, cy: scale.y(now ?? 0), r: 4.5, fill: `var(--${colour})`, stroke: 'var(--paper)', 'stroke-width': 1.5 }),
          ),
      );
      set(root, { 'aria-label': words });
    },
  };
}

/**
 * @param {Curve[]} curves
 * @param {boolean} log
 * @param {number} whole width of the drawing
 */
function scales(curves, log, whole) {
  const xs = curves.flatMap(({ x }) => x);
  const ys = curves.flatMap(({ y }) => y).filter((value) => !log || value > 0);
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  const turn = log ? Math.log10 : (/** @type {number} */ value) => value;
  let [low, high] = [Math.min(...ys), Math.max(...ys)].map(turn);
  if (log) [low, high] = [Math.floor(low), Math.ceil(high)];
  else [low, high] = [0, high * 1.05 || 1];
  if (low === high) high += 1;
  const width = right - left || 1;
  return {
    end: whole - RIGHT,
    left,
    right,
    low,
    high,
    x: (/** @type {number} */ value) => LEFT + ((value - left) / width) * (whole - LEFT - RIGHT),
    y: (/** @type {number} */ value) => {
      const part = (turn(value) - low) / (high - low);
      return HEIGHT - BOTTOM - Math.min(1, Math.max(0, part)) * (HEIGHT - TOP - BOTTOM);
    },
  };
}

/**
 * @param {ReturnType<typeof scales>} scale
 * @param {{ x: string, y: string, log: boolean }} axes
 */
function frame(scale, axes) {
  const parts = [];
  const count = Math.max(1, Math.ceil((scale.high - scale.low) / 5));
  const ticks = axes.log
    ? range(scale.low, scale.high, count).map((power) => ({ value: 10 ** power, text: power === 0 ? '1' : `10${raised(power)}` }))
    : range(0, 4, 1).map((i) => (scale.high * i) / 4).map((value) => ({ value, text: shown(Number(value.toPrecision(2))) }));
  for (const { value, text } of ticks) {
    const y = scale.y(value);
    parts.push(
      svg('line', { class: 'axis', x1: LEFT, x2: scale.end, y1: y, y2: y }),
      svg('text', { x: LEFT - 8, y: y + 4, 'text-anchor': 'end' }, text),
    );
  }
  const width = scale.right - scale.left;
  const step = [1, 2, 4, 5, 10, 20, 50, 100, 200, 500].find((each) => width / each <= (scale.end - LEFT) / 50) ?? 1000;
  for (const value of range(Math.ceil(scale.left / step) * step, scale.right, step)) {
    parts.push(svg('text', { x: scale.x(value), y: HEIGHT - BOTTOM + 18, 'text-anchor': 'middle' }, String(value)));
  }
  parts.push(
    svg('text', { x: (LEFT + scale.end) / 2, y: HEIGHT - 4, 'text-anchor': 'middle' }, axes.x),
    svg('text', { x: 4, y: 12 }, axes.y),
  );
  return parts;
}

/**
 * @param {Curve[]} curves
 * @param {ReturnType<typeof scales>} scale
 * @param {boolean} log
 */
function lines(curves, scale, log) {
  const names = curves.map((curve) => {
    const kept = curve.y.map((y, i) => /** @type {[number, number]} */ ([curve.x[i], y])).filter(([, y]) => !log || y > 0);
    const last = kept[kept.length - 1] ?? [scale.right, 1];
    return { curve, kept, y: scale.y(last[1]) };
  });
  // Names keep their distance from each other.
  const order = [...names].sort((a, b) => a.y - b.y);
  order.forEach((each, i) => {
    if (i > 0) each.y = Math.max(each.y, order[i - 1].y + 15);
  });
  const over = (order[order.length - 1]?.y ?? 0) - (HEIGHT - BOTTOM);
  if (over > 0) {
    order.reverse().forEach((each, i) => {
      each.y = Math.min(each.y, i === 0 ? HEIGHT - BOTTOM : order[i - 1].y - 15);
    });
  }
  return names.flatMap(({ curve, kept, y }) => {
    const points = kept.flatMap(([x, value], i) => {
      const point = `${scale.x(x).toFixed(1)},${scale.y(value).toFixed(1)}`;
      const before = i > 0 && curve.steps ? [`${scale.x(x).toFixed(1)},${scale.y(kept[i - 1][1]).toFixed(1)}`] : [];
      return [...before, point];
    });
    return [
      svg('polyline', { class: 'curve', points: points.join(' '), stroke: `var(--${curve.colour})`, 'stroke-dasharray': curve.dashes ?? 'none' }),
      svg('text', { class: 'name', x: scale.end + 8, y: y + 4, style: `fill: var(--${curve.colour})` }, curve.name),
    ];
  });
}

/**
 * @param {number} from
 * @param {number} to
 * @param {number} step
 */
function range(from, to, step) {
  return Array.from({ length: Math.max(0, Math.floor((to - from) / step + 1e-9) + 1) }, (_, i) => from + i * step);
}

/** @param {number} power */
function raised(power) {
  const digits = [...String(Math.abs(power))].map((d) => '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(d)]).join('');
  return (power < 0 ? '⁻' : '') + digits;
}
