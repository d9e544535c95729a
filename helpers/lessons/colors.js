// The colours of maps and marks, from the page's theme.

const MARK = "#d55e00", OTHER_MARK = "#0072b2";

/** Whether the page is dark, told by its text. */
function isDark(element) {
  const [r, g, b] = getComputedStyle(element).color.match(/[\d.]+/g).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

/** Grey from ``low`` (black) to ``high`` (white). */
const gray = (low, high) => (v) => {
  const level = Math.max(0, Math.min(255, (255 * (v - low)) / (high - low || 1)));
  return [level, level, level];
};

/** Orange below zero, purple above, the paper's colour at zero. */
function signed(limit, dark) {
  const paper = dark ? 24 : 255, below = [230, 97, 1], above = dark ? [178, 148, 240] : [94, 60, 153];
  return (v) => {
    const share = Math.max(-1, Math.min(1, v / (limit || 1))), ink = share < 0 ? below : above, size = Math.abs(share);
    return [paper + size * (ink[0] - paper), paper + size * (ink[1] - paper), paper + size * (ink[2] - paper)];
  };
}

/** Black or white, whichever is read better on a colour. */
function inkOn(colour) {
  const [r, g, b] = colour.map((c) => (c / 255) ** 2.2); // about as much light as it gives
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
}

const largestSize = (values) => values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
