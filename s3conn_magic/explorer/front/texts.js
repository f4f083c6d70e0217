// Format sizes and dates.

export function sizeText(size) {
  let value = size, unit = 0;
  const units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
  while (value >= 999.5 && unit < 6) [value, unit] = [value / 1000, unit + 1];
  return `${unit ? Number(value.toPrecision(3)) : value} ${units[unit]}`;
}

export const dateText = (time) => new Date(time).toISOString().slice(0, 16).replace("T", " ");
