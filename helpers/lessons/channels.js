// Lesson 5: what the explorer of channels computes and says. Maps come as shares, from 0 to 1 of the largest value that
// a channel reaches on any of the photos; of large maps only every so many-th row and column is here.

/** @typedef {{name: string, module: string, channels: number, rows: number, first: number, step: number, across: number,
 *   fields: number[][], end: number, whites: Float32Array, patches: Uint8Array, atlas: ?DataView, tile: number}} Layer */
/** A unit among those shown, and its channel. @typedef {{channel: number, row: number, column: number}} Unit */

const PER_PATCH = 4; // photo, row, column, value: a byte each
const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
const whole = (share) => `${Math.round(100 * share)} %`;

/** The part of the photo that a unit of the layer sees, given by its row and column in the layer's whole map. */
function fieldOf(/** @type {Layer} */ layer, channel, row, column) {
  const [start, step, size] = layer.fields[channel < layer.channels / 2 ? 0 : 1];
  const [top, left] = [row, column].map((at) => Math.max(0, start + step * at));
  const [bottom, right] = [row, column].map((at) => Math.min(layer.end, start + step * at + size));
  return { x: left, y: top, width: right - left, height: bottom - top };
}

/** Row or column in the layer's whole map, of one that is shown. */
const realOf = (/** @type {Layer} */ layer, shown) => layer.first + layer.step * shown;

/** Which row or column of those shown looks at a pixel with its middle. */
function shownAt(/** @type {Layer} */ layer, channel, pixel) {
  const [start, step, size] = layer.fields[channel < layer.channels / 2 ? 0 : 1];
  const at = ((pixel - start - (size - 1) / 2) / step - layer.first) / layer.step;
  return Math.max(0, Math.min(layer.rows - 1, Math.round(at)));
}

/** The patches that excite a channel most. */
const patchesOf = (/** @type {Layer} */ layer, channel) => {
  const length = layer.patches.length / layer.channels, start = channel * length;
  return Array.from({ length: length / PER_PATCH }, (_, i) => {
    const [photo, row, column, value] = layer.patches.slice(start + i * PER_PATCH, start + (i + 1) * PER_PATCH);
    return { photo, row, column, share: value / 255 };
  });
};

/** Shares from 0 to 1, map after map, from a sheet of maps side by side. */
function sharesOf(/** @type {ImageBitmap} */ image, { channels, rows, across }) {
  const canvas = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height), shares = new Float32Array(channels * rows * rows);
  for (let at = 0; at < shares.length; at++) {
    const channel = Math.floor(at / (rows * rows)), row = Math.floor(at / rows) % rows, column = at % rows;
    const y = Math.floor(channel / across) * rows + row, x = (channel % across) * rows + column;
    shares[at] = data[4 * (y * image.width + x)] / 255;
  }
  return shares;
}

/** The channels in an order: by number, or those first of which ``value`` is larger. */
function ordered(count, value) {
  const values = Float32Array.from({ length: count }, (_, channel) => value(channel));
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a] || a - b);
}

/** The strongest unit of a channel. @returns {Unit} */
function strongest(shares, { rows }, channel) {
  const at = argmax(shares.subarray(channel * rows * rows, (channel + 1) * rows * rows));
  return { channel, row: Math.floor(at / rows), column: at % rows };
}

/** A photo's darkness, as pixels to lay over it: each unit's value is drawn around the middle of what it sees. */
function darkness(shares, /** @type {Layer} */ layer, side, channel) {
  const image = new ImageData(side, side), own = channel * layer.rows * layer.rows;
  const at = Array.from({ length: side }, (_, pixel) => shownAt(layer, channel, pixel));
  for (let y = 0, to = 3; y < side; y++) {
    for (let x = 0; x < side; x++, to += 4) image.data[to] = 217 * (1 - shares[own + at[y] * layer.rows + at[x]]);
  }
  return image;
}

// --- Sentences: rows and columns count from 0, as in Python ----------------------------------------------------------

function aboutUnit(/** @type {Layer} */ layer, { channel, row, column }, share, field, count) {
  const white = layer.whites[channel], span = (from, size) => `${from} to ${from + size - 1}`;
  const value = share ? `about ${whole(share)} of ${+white.toPrecision(3)}, the largest that it reaches on ${count} photos` : "(about) 0";
  return `Channel ${channel} of ${layer.name}, row ${realOf(layer, row)}, column ${realOf(layer, column)}: ${value}. ` +
    `This unit sees ${field.height} × ${field.width} pixels, rows ${span(field.y, field.height)}, columns ${span(field.x, field.width)}.`;
}

function aboutOff(layer, channel, photo, off) {
  if (!off) return "";
  const [name, p] = [off[5], off[6]], moved = name === photo.classes[0] ? "still first" : `now ${name}, ${percent(p)}, is first`;
  return `Without channel ${channel} of ${layer.name}: ${photo.classes[0]} ${percent(photo.scores[0])} → ${percent(off[0])}; ${moved}.`;
}
