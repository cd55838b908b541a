// Numbers as people write and type them.

export const clamp = (v, low, high) => Math.max(Math.min(v, high), low);

/** 12600 as "12,600". @param {number} n */
export const whole = n => Math.round(n).toLocaleString("en-US");

/** A learning rate the way people write it: 0.0003 is "3e-4". @param {number} lr */
export function rateText(lr) {
  const [mantissa, exponent] = lr.toExponential(6).split("e");
  return `${Number(mantissa)}e${Number(exponent)}`;
}

/** Three digits, a real minus sign, and names for what is no number. @param {number} v */
export function short(v) {
  if (Number.isNaN(v)) return "NaN";
  const size = Math.abs(v);
  const text = size === Infinity ? "∞" : size && (size >= 1e5 || size < 1e-3) ? rateText(Number(size.toPrecision(2)))
    : size >= 1000 ? whole(size) : String(Number(size.toPrecision(3)));
  return v < 0 ? `−${text}` : text;
}

/** A chance in words that a class can read: "15 %", "1 in 12,000". @param {number} p */
export function chance(p) {
  if (!(p >= 0)) return "–";
  if (p > 0.99) return p === 1 ? "100 %" : "> 99 %";
  if (p >= 0.001) return `${p >= 0.1 ? Math.round(100 * p) : Number((100 * p).toPrecision(2))} %`;
  return p < 1e-9 ? "below 1 in a billion" : `1 in ${whole(Number((1 / p).toPrecision(2)))}`;
}

/** "100", "1e4", "12k", or a class's "33, 500, 12,600": the whole numbers from 1 to 10 million, and what was not understood.
 * A comma with three digits right behind it is a thousands separator, unless that gives a number too large.
 * @param {string} text @returns {{guesses: number[], left: string[]}} */
export function parseGuesses(text) {
  const most = 1e7, number = /^\d+(\.\d+)?(e\+?\d+)?k?$/i, guesses = /** @type {number[]} */ ([]), left = [];
  const value = word => (number.test(word) ? Math.round(parseFloat(word) * (/k$/i.test(word) ? 1000 : 1)) : NaN);
  const valid = n => n >= 1 && n <= most;
  for (const word of text.split(/[ \t\r\n;]+|,(?!\d{3}(?!\d))/).filter(Boolean)) {
    const together = value(word.replace(/[,'\u2019\u00a0\u202f]/g, ""));
    const parts = valid(together) ? [together] : word.split(",").map(value);
    if (parts.every(valid)) guesses.push(...parts);
    else left.push(word);
  }
  return { guesses, left };
}

/** "you 100, it was 14: a factor of 7". @param {number} guess @param {number} truth */
export function compare(guess, truth) {
  const factor = Math.max(guess, truth) / Math.min(guess, truth);
  const off = factor === 1 ? "exactly right" : `a factor of ${factor < 3 ? Number(factor.toFixed(1)) : whole(factor)}`;
  return `you ${whole(guess)}, it was ${whole(truth)}: ${off}`;
}

/** The middle one of some numbers. @param {number[]} numbers */
export const median = numbers => [...numbers].sort((a, b) => a - b)[numbers.length >> 1];

/** "1e-4, then 1e-3 at 812"; of many changes the first and the last two. @param {[number, number][]} rates */
export function ratesText(rates) {
  const changes = rates.slice(1).map(([at, lr]) => `then ${rateText(lr)} at ${whole(at)}`);
  const kept = changes.length > 3 ? [`… ${changes.length - 2} changes …`, ...changes.slice(-2)] : changes;
  return [rateText(rates[0][1]), ...kept].join(", ");
}
