// Map a list that is taller than an element can be onto an element.

export const ROW = 28; // px, as in the style sheet
export const SEGMENT = 500000; // rows: browsers limit an element's height to some 17 million px
export const FAR = 5000; // px: a longer step means that the scroll bar was dragged
export const END = 20000; // px at each end of a mapped list

/** Map a position in one length to another: one to one near the ends, in proportion between. */
export function mapped(y, from, to) {
  if (from <= 2 * END || to <= 2 * END || y <= END) return Math.min(y, to);
  if (y >= from - END) return to - (from - y);
  return END + ((y - END) / (from - 2 * END)) * (to - 2 * END);
}
