// Lesson 2: pooling. Point at a result, and see the window that it came from; point at a number, and see which results
// look at it; ask for the gradient, and see where it goes.

/** @typedef {{row: number, column: number, height: number, width: number}} Box */
const cellAt = (i, columns) => ({ row: Math.floor(i / columns), column: i % columns, height: 1, width: 1 });

/** The places inside a box of a map that is so many columns wide, in row order. @param {Box} box */
const placesIn = (box, columns) => Array.from({ length: box.height * box.width }, (_, i) =>
  (box.row + Math.floor(i / box.width)) * columns + box.column + (i % box.width));

/**
 * F.max_pool2d or F.avg_pool2d of one map, or global. Each result has the box of its window, and takers: the places
 * that a gradient goes back to, in equal parts; for a maximum one, on a tie the first in row order, as PyTorch chooses.
 */
function pooling(input, { kind, window, stride }) {
  const whole = kind.startsWith("global"), isMax = kind.endsWith("maximum"), step = whole ? 1 : stride;
  const [height, width] = whole ? [input.rows, input.columns] : [window, window];
  const output = maps(1, outputSize(input.rows, height, step), outputSize(input.columns, width, step));
  const boxes = Array.from(output.values, (_, at) => cellAt(at, output.columns))
    .map(({ row, column }) => ({ row: row * step, column: column * step, height, width }));
  const takers = boxes.map((box, at) => {
    const seen = placesIn(box, input.columns);
    const best = seen.reduce((a, b) => (input.values[b] > input.values[a] ? b : a));
    output.values[at] = isMax ? input.values[best] : seen.reduce((sum, i) => sum + input.values[i], 0) / seen.length;
    return isMax ? [best] : seen;
  });
  return { input, output, boxes, takers, isMax, whole, height, width, step };
}

/** What a gradient of 1 at each of some results gives each number. @returns {Float32Array} */
function gradientBack({ input, takers }, results) {
  const back = new Float32Array(input.values.length);
  results.forEach((at) => takers[at].forEach((i) => { back[i] += 1 / takers[at].length; }));
  return back;
}

/** The results whose windows hold a place; an empty box if none does. @returns {Box} */
function lookers({ output, height, width, step }, { row, column }) {
  const range = (v, window, count) => {
    const first = Math.max(0, Math.ceil((v - window + 1) / step));
    return [first, Math.max(0, Math.min(count - 1, Math.floor(v / step)) - first + 1)];
  };
  const [top, high] = range(row, height, output.rows), [left, wide] = range(column, width, output.columns);
  return { row: top, column: left, height: wide && high, width: high && wide };
}

// --- Sentences: rows and columns count from 0, as in Python ----------------------------------------------------------

const isTiny = (v) => Math.abs(v) > 1e-6 && Math.abs(v) < 1e-3;
const short = (v) => String(+(isTiny(v) ? v.toPrecision(2) : v.toFixed(3))).replace("-", "−");
const plural = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;
const span = (name, first, count) => (count === 1 ? `${name} ${first}` : `${name}s ${first} to ${first + count - 1}`);
const spanOf = (box) => `${span("row", box.row, box.height)}, ${span("column", box.column, box.width)}`;
const spot = (i, columns) => spanOf(cellAt(i, columns));

function aboutResult({ input, output, boxes, takers, isMax }, at) {
  const seen = placesIn(boxes[at], input.columns).map((i) => input.values[i]), value = short(output.values[at]);
  const equal = seen.filter((v) => v === output.values[at]).length, sum = short(seen.reduce((a, b) => a + b));
  const place = spot(takers[at][0], input.columns) + (equal > 1 ? `, the first of ${equal} equal ones` : "");
  const found = isMax ? `the largest is ${value}, at ${place}` : `the mean is ${sum} / ${seen.length} = ${value}`;
  return `${spanOf(boxes[at])}: ${found}.`;
}

/** @param {Box} framed the results that look at a number */
function aboutInput({ input, output, takers, isMax, height, width }, at, framed) {
  const results = placesIn(framed, output.columns), start = `${spot(at, input.columns)} is ${short(input.values[at])}`;
  if (!results.length) return `${start}; it is in no window.`;
  const wins = results.filter((i) => takers[i][0] === at).length || "none";
  const part = isMax ? `it is the winner of ${wins}` : `1/${height * width} of it goes into each`;
  return `${start}; seen by ${plural(results.length, "result")}, ${spanOf(framed)}: ${part}.`;
}

function aboutGradient({ isMax, height, width }, back, sent) {
  if (!sent) return "Gradient: no result is framed, so none comes back.";
  const way = isMax ? "to the winner of its window" : `over its window, 1/${height * width} to each number`;
  const some = back.filter((v) => v > 0).length, most = short(largestSize(back));
  return `Gradient: ${plural(sent, "result")} sent back 1${sent > 1 ? " each" : ""}, ${way}. ` +
    `${some} of ${back.length} numbers got some, at most ${most}; ${back.length - some} got nothing.`;
}

function aboutSize({ input, output, height, step, whole }, lost) {
  const all = input.values.length, rows = (input.rows - height) / step + 1;
  if (whole) return `The window is the whole map: one number is left of ${all}.`;
  const rounded = rows > output.rows ? `, rounded down to ${output.rows}` : "";
  return `Rows: (${input.rows} − ${height}) / ${step} + 1 = ${short(rows)}${rounded}; columns alike. ` +
    (lost ? `${lost} of ${all} numbers are in no window: greyed.` : "Every number is in some window.");
}

// --- On the screen --------------------------------------------------------------------------------------------------

const BOARD_STYLE = `.xp-board { position: relative; } .xp-over small { font-size: 11px; margin: -5px 0 5px; }
.xp-over { position: absolute; inset: 0; display: grid; justify-content: start; pointer-events: none; line-height: 1; }
.xp-over > * { display: flex; flex-flow: column; place-content: center; align-items: center; border: 1px solid #8886; }
.xp .xp-over input { pointer-events: auto; width: 100%; flex: 1; padding: 0; border: 0; text-align: center; }
.xp-over input { appearance: textfield; } .xp-over input::-webkit-inner-spin-button { display: none; }`;

const ORANGE = [213, 94, 0], BLUE = [0, 114, 178], UNSEEN = [128, 128, 128]; // MARK, OTHER_MARK, what no window sees
const mix = (a, b, share) => a.map((v, i) => v + share * (b[i] - v));

/** A map to point at; where there is room numbers stand over it, with ``onEdit`` to be typed over. */
function board(parent, { label, map: { rows, columns, values }, cell, onPoint, onEdit }) {
  const holder = add(parent, "div", { className: "xp-board" }), text = onEdit ? `${label}; Enter edits` : label;
  const onPress = onEdit && (({ row, column }) => inputs[row * columns + column].focus());
  const self = sheet(holder, { label: text, rows, columns, cell, onPoint, onPress });
  const over = add(holder, "div", { className: "xp-over" });
  over.style.gridTemplate = `repeat(${rows}, ${cell}px) / repeat(${columns}, ${cell}px)`;
  const places = cell < 40 ? [] : Array.from(values, () => add(over, "div"));
  const inputs = onEdit ? places.map(editor) : [], texts = places.map((place) => add(place, onEdit ? "small" : "span"));

  function editor(place, i) {
    const value = +values[i].toFixed(3), name = spot(i, columns);
    const input = add(place, "input", { type: "number", step: "any", tabIndex: -1, "aria-label": name, value });
    input.addEventListener("input", () => onEdit(i, Number(input.value)));
    input.addEventListener("blur", () => { input.value ||= 0; }); // as which nothing counts
    input.addEventListener("pointermove", (event) => self.canvas.dispatchEvent(new PointerEvent("pointermove", event)));
    input.addEventListener("focus", () => { input.select(); onPoint(Object.assign(self.place, cellAt(i, columns))); });
    input.addEventListener("keydown", ({ key }) => key === "Enter" && self.canvas.focus());
    return input;
  }

  /** Draw with a colour and a text for each place. */
  function draw(colour, textAt) {
    self.draw(Array.from(values, (_, i) => i), colour);
    texts.forEach((element, i) => {
      element.textContent = textAt(i);
      places[i].style.color = inkOn(colour(i));
    });
  }
  /** Frame a box, from inside where the cells are large: else the board's edge would cut it. */
  function frame({ row, column, height, width }, colour, by = cell < 12 ? 0 : 3 / cell) {
    self.frame({ row: row + by, column: column + by, height: height - 2 * by, width: width - 2 * by, colour });
  }
  return { draw, frame };
}

function poolingExplorer({ root, content, model, soon, tell }) {
  add(root, "style", {}, BOARD_STYLE);
  const photos = content.photos.map((photo) => photo.name), edges = Object.keys(content.filters);
  const settings = { on: content.on, photo: photos[0], edges: edges[0], kind: "maximum", window: 2, stride: 2 };
  const numbers = Float32Array.from(model.get("state").numbers ?? content.numbers), side = Math.sqrt(numbers.length);
  let isGrid, input, pooled, unseen, boards, place;
  const controls = add(root, "div", { className: "xp-row" });
  const set = (name) => (value) => renew({ [name]: value });
  const choose = (name, names) => choice(controls, name, names, settings[name], set(name));
  choose("on", ["grid of numbers", "feature map"]);
  const onMap = [choose("photo", photos), choose("edges", edges)];
  choose("kind", ["maximum", "average", "global maximum", "global average"]);
  const sizes = ["window", "stride"].map((name) => slider(controls, name, { min: 1, max: 6, value: 2 }, set(name)));
  toggle(controls, "gradient back", false, set("back"));
  const from = choice(controls, "from", ["every result", "framed results"], "every result", () => redraw());
  const views = add(root, "div", { className: "xp-row" });
  const [note, size] = ["status", "note"].map((role) => add(root, "div", { className: "xp-note", role }));

  /** A photo's edges after ReLU. */
  function featureMap() {
    const photo = content.photos.find(({ name }) => name === settings.photo), kernel = content.filters[settings.edges];
    const pixels = maps(1, photo.rows, photo.columns, Float32Array.from(bytes(photo.pixels), (v) => v / 255));
    return relu(conv2d(pixels, Float32Array.from(kernel), new Float32Array(1), Math.sqrt(kernel.length)));
  }

  /** Compute and lay out anew, after a change of the settings. */
  function renew(change) {
    Object.assign(settings, change);
    isGrid = settings.on === "grid of numbers";
    onMap.forEach((control) => { control.parentElement.style.display = isGrid ? "none" : ""; });
    from.parentElement.style.display = settings.back ? "" : "none";
    sizes.forEach((control) => { control.disabled = settings.kind.startsWith("global"); });
    input = isGrid ? maps(1, side, side, numbers) : featureMap();
    pooled = pooling(input, settings);
    unseen = Array.from(input.values, (_, i) => !lookers(pooled, cellAt(i, input.columns)).width);
    views.replaceChildren();
    if (!pooled.boxes.length) return void ([note.textContent, size.textContent] = ["The window does not fit.", ""]);
    const large = isGrid ? 42 : Math.max(1, Math.floor(360 / Math.max(input.rows, input.columns))), { output } = pooled;
    const small = isGrid ? 42 : Math.min(60, Math.floor((large * input.rows) / output.rows)); // as high as the map
    boards = { input: titled(isGrid ? "numbers to type over" : "feature map", input, large, false) };
    boards.result = titled(settings.kind, output, small, true);
    if (change.on) place = { isResult: true, row: output.rows >> 1, column: output.columns >> 1 };
    redraw();
  }

  function titled(name, map, cell, isResult) {
    const label = `${name}, ${map.rows} × ${map.columns}`, column = titledColumn(views, label);
    const onPoint = ({ row, column }) => { place = { isResult, row, column }; redraw(); };
    return board(column, { label, map, cell, onPoint, onEdit: isGrid && !isResult ? edit : undefined });
  }

  function edit(i, value) {
    numbers[i] = value;
    pooled = pooling(input, settings);
    tell({ numbers: [...numbers] });
    redraw();
  }

  const redraw = soon(() => {
    const { output, boxes, takers, isMax } = pooled, { isResult } = place, map = isResult ? output : input;
    const row = Math.min(place.row, map.rows - 1), column = Math.min(place.column, map.columns - 1);
    const at = row * map.columns + column, here = cellAt(at, map.columns), window = isResult ? boxes[at] : here;
    const framed = isResult ? here : lookers(pooled, here), winner = isResult && isMax ? takers[at][0] : -1;
    const senders = from.value === "every result" ? boxes.map((_, i) => i) : placesIn(framed, output.columns);
    const back = settings.back && gradientBack(pooled, senders), most = back && largestSize(back);
    const inWindow = new Set(placesIn(window, input.columns)), dark = isDark(root), ink = signed(1, dark || !isGrid)(1);
    const paint = isGrid ? () => signed(1, dark)(0) : gray(0, largestSize(input.values));
    boards.input.draw((i) => {
      const paper = mix(paint(input.values[i]), UNSEEN, unseen[i] ? 0.6 : 0);
      if (back) return mix(paper, ink, back[i] && (0.85 * back[i]) / most);
      return i === winner ? BLUE : mix(paper, ORANGE, inWindow.has(i) ? 0.3 : 0);
    }, (i) => (back && back[i] ? short(back[i]) : ""));
    boards.input.frame(window, MARK);
    if (winner >= 0) boards.input.frame(cellAt(winner, input.columns), OTHER_MARK);
    boards.result.draw((i) => paint(output.values[i]), (i) => short(output.values[i]));
    if (framed.width) boards.result.frame(framed, MARK);
    note.textContent = (isResult ? aboutResult(pooled, at) : aboutInput(pooled, at, framed)) +
      (back ? ` ${aboutGradient(pooled, back, senders.length)}` : "");
    size.textContent = aboutSize(pooled, unseen.filter(Boolean).length);
  });
  renew({ on: content.on });
}

export default explorer({ pooling: poolingExplorer });
