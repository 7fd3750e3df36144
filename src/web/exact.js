// Numbers as they were written: ids and totals are 64-bit integers, and a JavaScript number is a
// double, which beyond 2^53 shows another one. So numbers arrive as text, and are counted as BigInt.

const NUMBER_OR_STRING = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Parses JSON; every number in it becomes the text that it was written as. */
export function parse(json) {
  return JSON.parse(json.replace(NUMBER_OR_STRING, (token) => (token[0] === '"' ? token : `"${token}"`)));
}

const grouped = new Intl.NumberFormat("en");

/** An integer, as text or number, with its thousands set apart. */
export function group(integer) {
  return grouped.format(BigInt(integer));
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A figure that is glanced at, such as 12.3K: not exact, and never used for ids or totals. */
export function brief(number) {
  return compact.format(number);
}

/** What part of `whole` a total is, from 0 to 1; for bars alone. */
export function share(part, whole) {
  const [top, bottom] = [BigInt(part), BigInt(whole)];
  return bottom > 0n ? Number((top * 10000n) / bottom) / 10000 : 0;
}

/** True for the text of an id: 1 to 2^63-1, written plainly. */
export function isId(text) {
  return /^[1-9]\d{0,18}$/.test(text) && BigInt(text) <= 9223372036854775807n;
}
