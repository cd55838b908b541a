// Numbers as people write and type them.

export const clamp = (v, low, high) => Math.max(Math.min(v, high), low);
/** The middle one of some numbers, or half way between the two in the middle. */
export const median = numbers => [...numbers].sort((a, b) => a - b).slice((numbers.length - 1) >> 1, (numbers.length >> 1) + 1)
  .reduce((sum, v, _, { length }) => sum + v / length, 0);
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1 }); // made once: a new one takes as long as a curve
/** 9.5 as "9.5", and 12600 as "12,600". */
export const plain = n => WHOLE.format(n);
const DIGITS = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });
/** 12600 as "12,600". */
export const whole = n => plain(Math.round(n));
/** A learning rate the way people write it, to its last digit: 0.0003 is "3e-4". */
export const rateText = lr => lr.toExponential().replace("e+", "e");

/** Three digits, or all of a whole number; a real minus sign, and names for what is no number. */
export function short(v) {
  const size = Math.abs(v);
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "NaN" : v < 0 ? "−∞" : "∞";
  const far = size > 0 && (size >= 1e5 || size < 1e-3);
  return (v < 0 ? "−" : "") + (far ? rateText(Number(size.toPrecision(2))) : size % 1 ? DIGITS.format(size) : whole(size));
}

/** A chance in words that a class can read: "15 %", "1 in 12,000". */
export function chance(p) {
  if (p === null || !(p >= 0)) return "–";
  if (p > 0.99) return p === 1 ? "100 %" : "> 99 %";
  if (p >= 0.001) return `${p >= 0.1 ? Math.round(100 * p) : Number((100 * p).toPrecision(2))} %`;
  return p < 1e-9 ? "below 1 in a billion" : `1 in ${whole(Number((1 / p).toPrecision(2)))}`;
}

/** "1e-4, then 1e-3 at 812"; of many changes the first and the last two. @param {[number, number][]} rates */
export function ratesText(rates) {
  const changes = rates.slice(1).map(([at, lr]) => `then ${rateText(lr)} at ${whole(at)}`);
  const kept = changes.length > 3 ? [`… ${changes.length - 2} changes …`, ...changes.slice(-2)] : changes;
  return [rateText(rates[0][1]), ...kept].join(", ");
}

/** "100", "1e4", "12k", or a class's "33, 500, 12,600": the whole numbers from 1 to 10 million, and what was not understood.
 * A comma or a point with three digits right behind it is a thousands separator, unless that gives a number too large. */
export function parseGuesses(text) {
  const guesses = [], left = [], valid = n => n >= 1 && n <= 1e7;
  const number = /^\d+(\.\d+)?(e\+?\d+)?k?$/i;
  const value = word => { // 0 for what is no whole number
    const v = number.test(word) ? parseFloat(word) * (/k$/i.test(word) ? 1000 : 1) : 0;
    return Math.abs(v - Math.round(v)) < 1e-6 ? Math.round(v) : 0;
  };
  for (const word of text.split(/[ \t\r\n;]+|,(?!\d{3}(?!\d))/).filter(Boolean)) {
    const together = value(word.replace(/[,'\u2019\u00a0\u202f]|\.(?=\d{3}(\D|$))/g, ""));
    const parts = valid(together) ? [together] : word.split(",").map(value);
    if (parts.every(valid)) guesses.push(...parts);
    else left.push(word);
  }
  return { guesses, left };
}

export const guessesText = guesses => (guesses.length > 1 ? `${guesses.length} guesses, median ${plain(median(guesses))}`
  : guesses.length ? whole(guesses[0]) : "none");

/** "you 100, it was 14: a factor of 7"; of many the nearest. @param {number[]} guesses @param {number} truth */
export function score(guesses, truth) {
  const factor = guess => Math.max(guess, truth) / Math.min(guess, truth);
  const nearest = guesses.reduce((a, b) => (factor(b) < factor(a) ? b : a), guesses[0]), f = factor(nearest);
  const off = f === 1 ? "exactly right" : f < 1.05 ? `off by ${whole(Math.abs(nearest - truth))}`
    : `a factor of ${f < 3 ? Number(f.toFixed(1)) : whole(f)}`;
  const who = guesses.length > 1 ? `${guessesText(guesses)}; nearest ${whole(nearest)}` : `Guess: you ${whole(nearest)}`;
  return guesses.length ? `${who}, it was ${whole(truth)}: ${off}.` : "";
}
