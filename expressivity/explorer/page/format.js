/** Numbers and words as a reader sees them. */

const SUPERSCRIPTS = '⁰¹²³⁴⁵⁶⁷⁸⁹';

/**
 * Write a number in four digits.
 *
 * @param {number} value
 */
export function shown(value) {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5) {
    return signed(Number(value.toPrecision(4)).toString());
  }
  const [digits, power] = value.toExponential(2).split('e');
  const raised = [...String(Math.abs(Number(power)))].map((d) => SUPERSCRIPTS[Number(d)]);
  return signed(`${digits} × 10${Number(power) < 0 ? '⁻' : ''}${raised.join('')}`);
}

/**
 * Write a share in percent, without rounding it to nothing or all.
 *
 * @param {number} share
 */
export function percent(share) {
  if (share > 0.9995 && share < 1) return 'more than 99.9 %';
  return `${Number((100 * share).toPrecision(3))} %`;
}

/** @param {string} text */
function signed(text) {
  return text.replace('-', '−');
}

/**
 * Write a displacement in words.
 *
 * @param {[number, number]} center rows down, columns right
 */
export function direction([down, right]) {
  const parts = [];
  if (down !== 0) parts.push(`${length(down)} ${down < 0 ? 'up' : 'down'}`);
  if (right !== 0) parts.push(`${length(right)} ${right < 0 ? 'left' : 'right'}`);
  return parts.join(' and ') || 'the pixel itself';
}

/** @param {number} pixels */
function length(pixels) {
  const size = Math.abs(pixels);
  const names = ['', 'one', 'two', 'three'];
  return names[size] ?? String(Number(size.toFixed(2)));
}
