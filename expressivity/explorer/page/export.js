/** Figures of a view as files: maps as PNG, drawings as SVG. */

/**
 * @param {HTMLElement} body
 * @param {string} name
 */
export function saveFigures(body, name) {
  let number = 0;
  for (const canvas of body.querySelectorAll('canvas')) {
    number += 1;
    save(enlarged(canvas).toDataURL('image/png'), `${name}-${number}.png`);
  }
  for (const drawing of body.querySelectorAll('svg.plot, svg.plane')) {
    number += 1;
    save(`data:image/svg+xml;charset=utf-8,${encodeURIComponent(alone(drawing))}`, `${name}-${number}.svg`);
  }
}

/** @param {HTMLCanvasElement} canvas */
function enlarged(canvas) {
  const times = Math.ceil(480 / canvas.width);
  const large = document.createElement('canvas');
  [large.width, large.height] = [canvas.width * times, canvas.height * times];
  const pen = /** @type {CanvasRenderingContext2D} */ (large.getContext('2d'));
  pen.imageSmoothingEnabled = false;
  pen.drawImage(canvas, 0, 0, large.width, large.height);
  return large;
}

/**
 * Return a drawing that needs no style sheet.
 *
 * @param {Element} drawing
 */
function alone(drawing) {
  const copy = /** @type {Element} */ (drawing.cloneNode(true));
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  const originals = drawing.querySelectorAll('*');
  copy.querySelectorAll('*').forEach((element, i) => {
    const style = getComputedStyle(originals[i]);
    const kept = ['fill', 'stroke', 'stroke-width', 'stroke-dasharray', 'font', 'text-anchor', 'dominant-baseline'];
    element.setAttribute('style', kept.map((name) => `${name}:${style.getPropertyValue(name)}`).join(';'));
  });
  return new XMLSerializer().serializeToString(copy);
}

/**
 * @param {string} address
 * @param {string} name
 */
function save(address, name) {
  const link = document.createElement('a');
  [link.href, link.download] = [address, name];
  link.click();
}
