/** What the page says about itself: that it agrees with the package, and how fast it is. */

import { evaluate, layerOf } from '#page/decode';
import { html, set } from '#page/elements';
import { shown } from '#page/format';

const TOLERANCE = 1e-12;
const FRAMES = 100;

/** @param {import('#page/page').Page} page */
export function footer(page) {
  const root = /** @type {HTMLElement} */ (document.getElementById('footer'));
  const verdict = html('p', { id: 'verdict', role: 'status' }, 'Comparing with the package…');
  const speed = html('p', { id: 'speed' });
  const views = html('p', {}, html('a', { href: '#' }, 'Show all views'), '. The address holds the state: send it to someone.');
  views.firstElementChild?.addEventListener('click', (event) => {
    event.preventDefault();
    page.change({ hide: [] });
  });
  root.append(
    verdict,
    html('p', {}, `Live numbers are computed in this page, in float64. Quoted numbers were computed by ${page.scene.made_by} and hold for the α they are shown at. The page has all it needs: it asks no server for anything.`),
    views,
    speed,
  );
  compare(page.scene, verdict);
  /** @type {number[]} */
  const times = [];
  return {
    /** @param {number} milliseconds */
    frame(milliseconds) {
      times.push(milliseconds);
      if (times.length > FRAMES) times.shift();
      const middle = [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)];
      speed.textContent = `This frame took ${milliseconds.toFixed(1)} ms (median ${middle.toFixed(1)} ms).`;
      set(speed, { 'data-last': milliseconds, 'data-median': middle });
    },
  };
}

/**
 * Recompute the reference values, some at a time, so that the page stays responsive.
 *
 * @param {any} scene
 * @param {HTMLElement} verdict
 */
async function compare(scene, verdict) {
  let [count, most, name] = [0, 0, ''];
  for (const document of scene.layers) {
    const layer = layerOf(document);
    for (const { reading, state, expected } of document.references) {
      await new Promise((resume) => setTimeout(resume));
      const found = evaluate(layer, state, reading);
      for (const [key, value] of Object.entries(expected)) {
        const gap = Math.abs(found[key] - value) / Math.abs(value || 1);
        count += 1;
        if (!(gap <= most)) [most, name] = [gap, `${document.title}, ${reading}, ${key}`];
      }
    }
  }
  const agrees = most <= TOLERANCE;
  verdict.className = agrees ? 'good' : 'bad';
  set(verdict, { 'data-count': count, 'data-largest': most });
  verdict.textContent = agrees
    ? `This page agrees with the package on ${count} numbers, largest difference ${shown(most)} relative.`
    : `This page does not agree with the package (${name}: ${shown(most)} relative). Do not trust its numbers.`;
}
