// A list taller than an element may be, mapped onto it.

export const ROW = 28; // px, as in the style sheet
export const SEGMENT = 500000; // rows: browsers limit an element's height to some 17 million px
export const FAR = 5000; // px: a longer step is a drag of the scroll bar
export const END = 20000; // px at each end of a mapped list

/** Where a point of one length lies on another: both ends as they are, the middle in proportion. */
export function mapped(y, from, to) {
  if (from <= 2 * END || to <= 2 * END || y <= END) return Math.min(y, to);
  if (y >= from - END) return to - (from - y);
  return END + ((y - END) / (from - 2 * END)) * (to - 2 * END);
}
