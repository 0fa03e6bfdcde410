/** Build the views, and keep them, the address and the figures in step. */

import { forget } from '#page/colours';
import { button, choice, field, html, set, slider } from '#page/elements';
import { saveFigures } from '#page/export';
import { footer } from '#page/footer';
import { Page } from '#page/page';
import { ALPHA, fromAddress, START, toAddress } from '#page/state';
import * as borders from '#views/borders';
import * as error from '#views/error';
import * as head from '#views/head';
import * as heads from '#views/heads';
import * as identity from '#views/identity';
import * as kernel from '#views/kernel';
import * as limits from '#views/limits';
import * as training from '#views/training';
import * as worst from '#views/worst';

const VIEWS = [head, kernel, error, identity, borders, worst, limits, heads, training];
const BETWEEN = 250; // milliseconds, of two states in the address
const without = () => [...page.state.hide, ...(scene.witnesses.length ? [] : ['limits'])];

/**
 * @typedef {object} Shown
 * @property {HTMLElement} section
 * @property {{ update(): void, python(): string }} view
 * @property {HTMLElement} code
 * @property {boolean} visible
 * @property {boolean} stale
 * @property {boolean} drawn
 */

const scene = JSON.parse(document.getElementById('scene')?.textContent ?? '{}');
const main = /** @type {HTMLElement} */ (document.getElementById('views'));
const bar = /** @type {HTMLElement} */ (document.getElementById('bar'));
const start = { ...START, alpha: scene.alpha };
const page = new Page(scene, fromAddress(location.hash, start), changed);
/** @type {Shown[]} */
let shown = [];
let built = '';
let waiting = 0;
let later = 0;
let filling = 0;
let saved = -Infinity;

const seen = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const each = shown.find(({ section }) => section === target);
      if (each) each.visible = isIntersecting;
    }
    render();
    clearTimeout(filling);
    filling = setTimeout(fill);
  },
  { rootMargin: '0px' },
);

const controls = buildBar();
const report = footer(page);
changed();
addEventListener('pagehide', save);
addEventListener('hashchange', () => {
  page.state = fromAddress(location.hash, start);
  changed();
});
for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)']) {
  matchMedia(query).addEventListener('change', () => {
    forget();
    changed();
  });
}

/** Something has changed: draw what is on the screen, in the next frame. */
function changed() {
  for (const each of shown) {
    each.stale = true;
    each.section.dataset.stale = '';
  }
  if (!waiting) {
    waiting = requestAnimationFrame(() => {
      waiting = 0;
      render();
    });
  }
}

function render() {
  const wanted = [page.document.name, page.state.hide.join()].join('|');
  if (wanted !== built) {
    built = wanted;
    rebuild();
  }
  const start = performance.now();
  controls();
  let drawn = 0;
  for (const each of shown) {
    if (!each.visible || !each.stale) continue;
    draw(each);
    drawn += 1;
  }
  if (drawn) {
    void main.offsetHeight; // the layout is part of the frame
    report.frame(performance.now() - start);
  }
  remember();
}

/** @param {Shown} each */
function draw(each) {
  each.view.update();
  each.code.textContent = each.view.python();
  each.stale = false;
  each.drawn = true;
  delete each.section.dataset.stale;
}

/**
 * Draw the views below the screen as well, one at a time: an empty one that grows when it
 * comes onto the screen moves what is below it away from under the pointer.
 */
function fill() {
  const next = shown.find(({ drawn }) => !drawn);
  if (!next) return;
  draw(next);
  filling = setTimeout(fill);
}

/**
 * Put the state into the address, which a frame in a notebook does not have: a few times a
 * second, as browsers take longer for it than for a whole frame, and refuse hundreds.
 */
function remember() {
  const wait = isRemembered() ? 0 : saved + BETWEEN - performance.now();
  main.toggleAttribute('data-unsaved', wait > 0);
  if (wait <= 0) save();
  else later ||= setTimeout(save, wait);
}

function save() {
  clearTimeout(later);
  later = 0;
  main.removeAttribute('data-unsaved');
  if (isRemembered()) return;
  const address = toAddress(page.state, start);
  saved = performance.now();
  history.replaceState(null, '', address ? `#${address}` : location.pathname + location.search);
}

function isRemembered() {
  const address = toAddress(page.state, start);
  return location.protocol === 'about:' || location.hash.replace(/^#/, '') === address;
}

function rebuild() {
  for (const { section } of shown) seen.unobserve(section);
  shown = VIEWS.filter(({ id }) => !without().includes(id)).map((module) => {
    const index = VIEWS.indexOf(module) + 1;
    const claim = html('p', { class: 'claim' });
    const body = html('div');
    const section = html(
      'section',
      { id: `view-${module.id}`, 'aria-labelledby': `title-${module.id}` },
      html('div', { class: 'head' }, html('h2', { id: `title-${module.id}` }, html('span', { class: 'index' }, String(index)), module.title), claim),
      body,
    );
    const view = module.build(body, claim, page);
    const code = html('pre', { tabindex: 0, 'aria-label': `Python for view ${index}` });
    const tools = html('div', { class: 'tools' });
    button(tools, 'Save figures', () => saveFigures(body, module.id));
    const copy = button(tools, 'Copy as Python', () => {
      navigator.clipboard.writeText(code.textContent ?? '').then(
        () => tell(copy, 'Copied'),
        () => tell(copy, 'Select the code below'),
      );
    });
    button(tools, 'Hide', () => page.change({ hide: [...page.state.hide, module.id] }));
    tools.append(html('details', {}, html('summary', {}, 'The same numbers in Python'), code));
    section.append(tools);
    return { section, view, code, visible: false, stale: true, drawn: false };
  });
  main.replaceChildren(...shown.map(({ section }) => section));
  for (const { section } of shown) seen.observe(section);
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
function tell(element, text) {
  const before = 'Copy as Python';
  element.textContent = text;
  setTimeout(() => {
    element.textContent = before;
  }, 1500);
}

/** Build the bar; return what shows the state in it. */
function buildBar() {
  const inner = bar.appendChild(html('div'));
  /** @type {[string, string][]} */
  const names = scene.layers.map((/** @type {any} */ each) => [each.name, each.title]);
  const layer = choice(inner, 'layer', names, (name) => page.change({ layer: name }));
  const output = field(inner, 'output', { min: 1, max: 1, step: 1 }, (value) => page.change({ output: value - 1 }));
  const strength = inner.appendChild(html('div', { class: 'alpha' }));
  const range = { min: ALPHA.least, max: ALPHA.most, step: ALPHA.step };
  const alpha = slider(strength, 'α', range, (value) => page.change({ alpha: Number(value.toFixed(3)) }));
  alpha.setAttribute('aria-label', 'α, the locality strength');
  const typed = field(strength, '=', { ...range, step: 'any' }, (value) => page.change({ alpha: value }));
  typed.setAttribute('aria-label', 'α as a number');
  const note = inner.appendChild(html('span', { class: 'note' }));
  return () => {
    layer.value = page.document.name;
    const { outputs, whole } = page.document;
    set(output, { max: outputs });
    output.value = String(page.output + 1);
    output.parentElement?.toggleAttribute('hidden', outputs === 1);
    alpha.value = String(page.state.alpha);
    alpha.setAttribute('aria-valuetext', `α = ${page.state.alpha}`);
    typed.value = String(page.state.alpha);
    const size = page.document.image.shape.slice(-page.document.dimensions);
    const cut = [
      ...(outputs < whole.outputs ? [`${outputs} of ${whole.outputs} outputs`] : []),
      ...(size.join() === whole.size.join() ? [] : [`a ${size.join('×')} window of ${whole.size.join('×')} pixels`]),
      ...(page.live ? [] : ['too large to be live: numbers are quoted']),
    ];
    note.textContent = cut.length ? `Shown: ${cut.join(', ')}` : '';
  };
}
