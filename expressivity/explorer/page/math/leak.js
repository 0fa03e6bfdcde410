/**
 * The leak λ(α) = 1 − θ₃(e^−α)^−d far from all borders, θ₃(q) = 1 + 2 Σ q^(n²).
 *
 * With s = 2 Σ q^(n²) it is s / (1 + s) for one axis, and (2s + s²) / (1 + s)² for two.
 *
 * @param {number} alpha 1/pixel²
 * @param {number} axes 1 or 2
 */
export function interiorLeak(alpha, axes) {
  const beside = sum(alpha);
  const one = beside / (1 + beside);
  return axes === 1 ? one : one + one - one * one;
}

/**
 * Return 2 Σ e^−αn² over n from one, until a term is nothing beside the others.
 *
 * @param {number} alpha
 */
function sum(alpha) {
  for (let n = 1, all = 0; ; n++) {
    const more = all + 2 * Math.exp(-alpha * n * n);
    if (more === all) return all;
    all = more;
  }
}

/**
 * Return the radius, in pixels, of the circle that holds a share of a head's attention,
 * were it spread over the plane: 1 − e^−αr² = share.
 *
 * @param {number} alpha 1/pixel²
 * @param {number} share between 0 and 1
 */
export function circle(alpha, share) {
  return Math.sqrt(-Math.log1p(-share) / alpha);
}
