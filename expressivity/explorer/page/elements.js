/** Elements: of HTML and of SVG, and the small ones that views share. */

import { shown } from '#page/format';

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number | boolean>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Name]}
 */
export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  set(element, attributes);
  element.append(...children);
  return element;
}

/**
 * @param {string} name
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string)} children
 * @returns {SVGElement}
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  set(element, attributes);
  element.append(...children);
  return element;
}

/**
 * Set attributes; false removes one.
 *
 * @param {Element} element
 * @param {Record<string, string | number | boolean>} attributes
 */
export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
}

/**
 * A slider with its label; returns the input.
 *
 * @param {Element} parent
 * @param {string} text
 * @param {{ min: number, max: number, step: number }} range
 * @param {(value: number) => void} change
 */
export function slider(parent, text, range, change) {
  const input = html('input', { type: 'range', ...range, 'aria-label': text });
  input.addEventListener('input', () => change(Number(input.value)));
  parent.append(html('span', { class: 'field wide' }, html('span', { class: 'label', 'aria-hidden': 'true' }, text), input));
  return input;
}

/**
 * A field for a number; returns the input.
 *
 * @param {Element} parent
 * @param {string} text
 * @param {{ min: number, max: number, step: number | string }} range
 * @param {(value: number) => void} change
 */
export function field(parent, text, range, change) {
  const input = html('input', { type: 'number', ...range, 'aria-label': text });
  input.addEventListener('change', () => {
    const value = Number(input.value);
    if (input.value !== '' && Number.isFinite(value)) {
      change(Math.min(range.max, Math.max(range.min, value)));
    }
  });
  parent.append(html('span', { class: 'field' }, html('span', { class: 'label', 'aria-hidden': 'true' }, text), input));
  return input;
}

/**
 * A choice among names; returns the select.
 *
 * @param {Element} parent
 * @param {string} text
 * @param {[string, string][]} options value and name
 * @param {(value: string) => void} change
 */
export function choice(parent, text, options, change) {
  const select = html('select', { 'aria-label': text }, ...options.map(([value, name]) => html('option', { value }, name)));
  select.addEventListener('change', () => change(select.value));
  parent.append(html('span', { class: 'field pick' }, html('span', { class: 'label', 'aria-hidden': 'true' }, text), select));
  return select;
}

/**
 * @param {Element} parent
 * @param {string} text
 * @param {() => void} act
 */
export function button(parent, text, act) {
  const element = html('button', { type: 'button' }, text);
  element.addEventListener('click', act);
  parent.append(element);
  return element;
}

/**
 * A group of heads as buttons, laid out as the taps are.
 *
 * @param {Element} parent
 * @param {import('#page/page').Page} page
 * @returns {() => void} shows which head is chosen
 */
export function headButtons(parent, page) {
  const [rows, columns] = page.document.kernel;
  const group = html('span', { class: 'taps', role: 'group', 'aria-label': 'Head', style: `grid-template-columns: repeat(${columns}, auto)` });
  const buttons = Array.from({ length: rows * columns }, (_, h) => {
    const element = button(group, String(h + 1), () => page.change({ head: h }));
    element.setAttribute('aria-label', `Head ${h + 1}`);
    return element;
  });
  parent.append(html('span', { class: 'field' }, html('span', { class: 'label', 'aria-hidden': 'true' }, 'head'), group));
  return () => buttons.forEach((element, h) => set(element, { 'aria-pressed': h === page.head }));
}

/**
 * Numbers with names: each live, computed in this page, or quoted from the package.
 *
 * @typedef {object} Reading
 * @property {string} name
 * @property {number | null} value null if nothing is known at this state
 * @property {string} [unit]
 * @property {string} [quoted] its seal, for a number that the package computed
 *
 * @param {Element} parent
 * @returns {(readings: Reading[]) => void}
 */
export function numberList(parent) {
  const list = html('dl', { class: 'numbers' });
  parent.append(list);
  return (readings) => {
    while (list.children.length > readings.length) list.lastChild?.remove();
    readings.forEach(({ name, value, unit, quoted }, i) => {
      const row = /** @type {HTMLElement} */ (list.children[i] ?? list.appendChild(html('div', {}, html('dt'), html('dd'))));
      const [term, number] = row.children;
      term.textContent = name;
      const kind = quoted === undefined ? 'live' : 'quoted';
      set(row, { class: value === null ? 'stale' : kind, title: quoted ?? 'computed in this page' });
      set(number, { 'data-value': value ?? '', 'data-kind': kind });
      const text = value === null ? '—' : shown(value);
      number.replaceChildren(unit ? `${text} ${unit}` : text, html('span', { class: 'kind' }, kind));
    });
  };
}
