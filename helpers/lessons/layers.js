// The layers of networks, computed in the page as PyTorch computes them.

/** @typedef {{channels: number, rows: number, columns: number, values: Float32Array}} Maps */

/** Bytes from Python as float32 numbers. @param {DataView} view @returns {Float32Array} */
const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

/** Bytes from Python as 8-bit numbers. @param {DataView} view @returns {Uint8Array} */
const bytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** Maps from numbers, by default zeros. @returns {Maps} */
const maps = (channels, rows, columns, values = new Float32Array(channels * rows * columns)) =>
  ({ channels, rows, columns, values });

/** One channel of maps, without a copy. @returns {Float32Array} */
const channel = (input, c) => input.values.subarray(c * input.rows * input.columns, (c + 1) * input.rows * input.columns);

/** Rows (or columns) that a window makes of a size; 0 where it does not fit. */
const outputSize = (size, window, stride = 1, padding = 0, dilation = 1) =>
  Math.max(0, Math.floor((size + 2 * padding - dilation * (window - 1) - 1) / stride) + 1);

/**
 * torch.nn.functional.conv2d of one image, with zeros around it.
 * @param {Maps} input
 * @param {Float32Array} weight (out, in, window, window)
 * @param {Float32Array} bias one for each output channel
 */
function conv2d(input, weight, bias, window, { stride = 1, padding = 0, dilation = 1 } = {}) {
  const size = (n) => outputSize(n, window, stride, padding, dilation);
  const output = maps(bias.length, size(input.rows), size(input.columns));
  for (let o = 0; o < output.channels; o++) {
    const sums = channel(output, o).fill(bias[o]);
    for (let c = 0; c < input.channels; c++) {
      const values = channel(input, c);
      for (let i = 0; i < window; i++) {
        for (let j = 0; j < window; j++) {
          const w = weight[((o * input.channels + c) * window + i) * window + j];
          for (let y = 0; w !== 0 && y < output.rows; y++) {
            const row = y * stride - padding + i * dilation;
            if (row < 0 || row >= input.rows) continue;
            for (let x = 0; x < output.columns; x++) {
              const column = x * stride - padding + j * dilation;
              if (column >= 0 && column < input.columns) {
                sums[y * output.columns + x] += w * values[row * input.columns + column];
              }
            }
          }
        }
      }
    }
  }
  return output;
}

/** Values below zero become zero. @param {Maps} input @returns {Maps} */
const relu = (input) => ({ ...input, values: input.values.map((v) => (v > 0 ? v : 0)) });

/** The largest value of each window, side by side; what does not fit is left out. @returns {Maps} */
function pool(input, window) {
  const output = maps(input.channels, outputSize(input.rows, window, window), outputSize(input.columns, window, window));
  for (let c = 0; c < input.channels; c++) {
    const values = channel(input, c), pooled = channel(output, c);
    for (let y = 0; y < output.rows; y++) {
      for (let x = 0; x < output.columns; x++) {
        let largest = -Infinity;
        for (let i = 0; i < window; i++) {
          for (let j = 0; j < window; j++) {
            largest = Math.max(largest, values[(y * window + i) * input.columns + x * window + j]);
          }
        }
        pooled[y * output.columns + x] = largest;
      }
    }
  }
  return output;
}

/** torch.nn.functional.linear of one vector; weight is (out, in). @returns {Float32Array} */
function linear(input, weight, bias) {
  return bias.map((b, o) => {
    let sum = b;
    for (let i = 0; i < input.length; i++) sum += weight[o * input.length + i] * input[i];
    return sum;
  });
}

/** @returns {Float32Array} */
function softmax(scores) {
  const largest = Math.max(...scores);
  const powers = scores.map((s) => Math.exp(s - largest));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / sum);
}

const argmax = (values) => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);
