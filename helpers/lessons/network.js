// FashionNet in the page: drawn into, computed at once, each number explained. Used by lesson 3's explorers.

const HIDDEN = 64, CLASSES = 10;

/** The network's parameters, in the order of its state_dict, from one float32 array. */
function parameters(values) {
  let at = 0;
  const take = (n) => values.subarray(at, (at += n));
  return {
    first: take(16 * 9), firstBias: take(16), second: take(32 * 16 * 9), secondBias: take(32),
    hidden: take(HIDDEN * 800), hiddenBias: take(HIDDEN), last: take(CLASSES * HIDDEN), lastBias: take(CLASSES),
  };
}

/**
 * One image through the network; channels that are off give zeros after their ReLU.
 * @param {Float32Array} image 28 × 28 in [0, 1]
 * @param {Set<string>} off such as "first 3"
 */
function forward(net, image, { mean, std }, off = new Set()) {
  const silence = (layer, input) => {
    for (let c = 0; c < input.channels; c++) if (off.has(`${layer} ${c}`)) channel(input, c).fill(0);
    return input;
  };
  const input = maps(1, 28, 28, image.map((v) => (v - mean) / std));
  const beforeFirst = conv2d(input, net.first, net.firstBias, 3), first = silence("first", relu(beforeFirst));
  const firstPooled = pool(first, 2);
  const beforeSecond = conv2d(firstPooled, net.second, net.secondBias, 3), second = silence("second", relu(beforeSecond));
  const secondPooled = pool(second, 2);
  const beforeHidden = linear(secondPooled.values, net.hidden, net.hiddenBias);
  const hidden = beforeHidden.map((v) => Math.max(0, v));
  const scores = linear(hidden, net.last, net.lastBias);
  return { input, beforeFirst, first, firstPooled, beforeSecond, second, secondPooled, beforeHidden, hidden, scores,
    probabilities: softmax(scores) };
}

/** How large each layer's maps are drawn, and how a cell of it looks back at the image: rows = stride · row … + extent. */
const LAYERS = {
  first: { text: "16 maps of the first convolution, after ReLU", rows: 26, count: 16, across: 4, cell: 2, stride: 1, extent: 3 },
  firstPooled: { text: "pooled", rows: 13, count: 16, across: 4, cell: 3, stride: 2, extent: 4 },
  second: { text: "32 maps of the second convolution, after ReLU", rows: 11, count: 32, across: 8, cell: 4, stride: 2, extent: 8 },
  secondPooled: { text: "pooled", rows: 5, count: 32, across: 8, cell: 6, stride: 4, extent: 10 },
};

/** Everything about the network's inside; gives a function that puts other weights in. */
function networkView({ root, content, model, soon, tell }) {
  const items = bytes(content.items), dark = () => isDark(root);
  let net = parameters(floats(content.weights)), result, pointed = null, tapped = null, counting = 0;
  let whole, counted = ""; // the same drawing with all channels on; what the test items said, if they did
  const off = new Set();

  const top = add(root, "div", { className: "xp-row" }), left = titledColumn(top, "draw here", "xp-column xp-pad");
  const drawing = drawingPad(left, content.classes, items, content.labels, () => compute());
  const right = titledColumn(top, "what the network takes it for", "xp-column xp-side");
  const probabilities = bars(right, content.classes);
  probabilities.rows.forEach(([name], c) => {
    Object.assign(name, { tabIndex: 0 }).setAttribute("role", "button");
    for (const kind of ["pointerenter", "focus", "click"]) name.addEventListener(kind, () => point({ layer: "scores", map: c }));
  });
  const note = add(right, "div", { className: "xp-note", role: "status" });
  const why = add(right, "div", { className: "xp-column xp-why" });

  const brief = add(root, "div", { className: "xp-brief" }); // the rest may be scrolled away by now
  const middle = add(root, "div", { className: "xp-row" }), sheets = {};
  for (const [layer, { text, rows, count, across, cell }] of Object.entries(LAYERS)) {
    const column = titledColumn(middle, text);
    const onPress = layer in { first: 0, second: 0 } ? ({ map }, event) => {
      const isFirstTap = event?.pointerType === "touch" && tapped !== `${layer} ${map}`; // which points, as a mouse does
      tapped = `${layer} ${map}`;
      if (!isFirstTap) switchChannel(layer, map);
    } : undefined;
    const onPoint = (place) => point({ layer, ...place });
    sheets[layer] = sheet(column, { label: text, count, rows, columns: rows, across, cell, onPoint, onPress });
  }
  const last = titledColumn(middle, "64 hidden nodes");
  sheets.hidden = sheet(last, { label: "64 hidden nodes", rows: 8, columns: 8, cell: 16,
    onPoint: ({ row, column }) => point({ layer: "hidden", map: 8 * row + column }) });

  const bottom = add(root, "div", { className: "xp-column" });
  const offNote = add(bottom, "div", { className: "xp-note", role: "status" }, "Click a map of a convolution to switch its channel off.");
  button(bottom, "all channels on", () => { off.clear(); compute(); count(); }).style.alignSelf = "flex-start";
  const accuracies = add(bottom, "div", { className: "xp-column" });

  function compute() {
    if (pointed?.layer === "scores") pointed = null; // the winner may be another one now
    result = forward(net, drawing.image, content, off);
    whole = off.size ? forward(net, drawing.image, content) : result;
    tell({ drawing: [...drawing.image], probabilities: [...result.probabilities] });
    redraw();
  }

  function point(place) {
    pointed = place;
    redraw();
  }

  const redraw = soon(() => {
    drawing.pad.draw(drawing.image, gray(0, 1));
    for (const [layer, { count }] of Object.entries(LAYERS)) {
      const kind = layer.replace("Pooled", ""), values = result[layer].values;
      sheets[layer].draw(values, gray(0, largestSize(values)), (map) => count > 1 && off.has(`${kind} ${map}`));
    }
    sheets.hidden.draw(result.hidden, gray(0, largestSize(result.hidden)));
    probabilities.update(result.probabilities, 1, argmax(result.scores));
    explain(pointed ?? { layer: "scores", map: argmax(result.scores) });
  });

  function explain(place) {
    const { layer, map, row, column } = place, winner = argmax(result.scores);
    why.replaceChildren();
    if (layer in LAYERS) {
      const { stride, extent } = LAYERS[layer];
      drawing.pad.frame({ row: stride * row, column: stride * column, height: extent, width: extent });
      sheets[layer].frame({ map, row, column });
    }
    const isOff = off.has(`${layer.replace("Pooled", "")} ${map}`) ? " This channel is off: zeros go on from here." : "";
    note.textContent = EXPLAIN[layer](result, net, place, { why, sheets, dark: dark(), classes: content.classes });
    note.textContent += isOff;
    const isEmpty = drawing.image.every((v) => v === 0) ? "The pad is empty, and the network must still name one of ten. " : "";
    if (off.size) offNote.textContent = aboutOff();
    const without = off.size ? ` ${offNote.textContent}` : "";
    brief.textContent = `${isEmpty}${content.classes[winner]} ${(100 * result.probabilities[winner]).toFixed(1)} %. ${layer === "scores" ? "" : note.textContent}${without}`;
  }

  function aboutOff() {
    const names = [...off].map((key) => key.replace(" ", " layer, channel ")), winner = argmax(whole.scores);
    const [before, now] = [whole, result].map(({ scores }) => scores[winner].toFixed(1));
    return `Off: ${names.join("; ")}. ${content.classes[winner]}'s score for this drawing: ${before} to ${now}. ${counted}`;
  }

  function switchChannel(layer, map) {
    const key = `${layer} ${map}`;
    off.has(key) ? off.delete(key) : off.add(key);
    compute();
    count();
  }

  /** Accuracy by class on the test items, with all channels and without those that are off; a few items at a time. */
  function count() {
    const run = ++counting;
    counted = "Counting …";
    if (!off.size) offNote.textContent = "All channels are on.";
    const right = [new Set(), off].map(() => new Float32Array(CLASSES)), all = new Float32Array(CLASSES);
    let item = 0;
    const some = () => {
      if (run !== counting) return;
      for (const end = Math.min(item + 10, content.labels.length); item < end; item++) {
        const image = Float32Array.from(items.subarray(784 * item, 784 * (item + 1)), (v) => v / 255), label = content.labels[item];
        all[label] += 1;
        [new Set(), off].forEach((without, i) => {
          right[i][label] += argmax(forward(net, image, content, without).scores) === label;
        });
      }
      item < content.labels.length ? setTimeout(some) : show();
    };
    const show = () => {
      const share = right.map((counts) => counts.map((n, c) => n / all[c]));
      const lost = share[0].map((s, c) => s - share[1][c]), worst = argmax(lost);
      counted = lost[worst] > 0
        ? `${content.classes[worst]} loses most: ${(100 * share[0][worst]).toFixed(0)} % to ${(100 * share[1][worst]).toFixed(0)} % of ${all[worst]} test items.`
        : "No class loses by it.";
      redraw();
      accuracies.replaceChildren();
      if (!off.size) return;
      const list = bars(accuracies, content.classes);
      list.update(share[1], 1, worst);
      list.rows.forEach(([, , number], c) => {
        number.textContent = `${(100 * share[1][c]).toFixed(0)} %, was ${(100 * share[0][c]).toFixed(0)} %`;
      });
    };
    off.size ? some() : show();
  }

  const { drawing: earlier } = model.get("state"); // from before the page was opened anew
  earlier ? drawing.set(earlier) : drawing.load();
  return (values) => {
    net = parameters(values);
    compute();
    if (off.size) count();
  };
}

// --- How one number came about --------------------------------------------------------------------------------------

/** The largest parts of a sum as bars, by name. */
function largestParts(parent, parts, name, most = 6) {
  const order = [...parts.keys()].sort((a, b) => Math.abs(parts[b]) - Math.abs(parts[a])).slice(0, most);
  const list = bars(parent, order.map(name), (v) => v.toFixed(2));
  list.update(order.map((i) => parts[i]), largestSize(parts));
  list.rows.forEach(([, bar], k) => {
    bar.style.width = `${(100 * Math.abs(parts[order[k]])) / (largestSize(parts) || 1)}%`;
    bar.style.background = parts[order[k]] < 0 ? MARK : OTHER_MARK;
  });
}

const windowOf = (input, c, row, column, n) =>
  [...Array(n * n).keys()].map((k) => channel(input, c)[(row + Math.floor(k / n)) * input.columns + column + (k % n)]);
const dot = (a, b) => a.reduce((sum, v, i) => sum + v * b[i], 0);
const afterReLU = (v) => `${v.toFixed(3)}, after ReLU ${Math.max(0, v).toFixed(3)}`;

function explainPool(result, from, { map, row, column }, sheets) {
  const seen = windowOf(result[from], map, 2 * row, 2 * column, 2);
  sheets[from].frame({ map, row: 2 * row, column: 2 * column, height: 2, width: 2 });
  return `Channel ${map}: the largest of ${seen.map((v) => v.toFixed(2)).join(", ")} is ${Math.max(...seen).toFixed(3)}.`;
}

const EXPLAIN = {
  first(result, net, { map, row, column }, { why, dark }) {
    const seen = windowOf(result.input, 0, row, column, 3), kernel = [...net.first.subarray(9 * map, 9 * map + 9)];
    const line = add(why, "div", { className: "xp-row" }), limit = largestSize(kernel);
    const products = seen.map((v, i) => v * kernel[i]);
    table(line, "normalised pixels", 3, 3)(seen, signed(2, dark));
    table(line, "× kernel", 3, 3)(kernel, signed(limit, dark));
    table(line, "= products", 3, 3)(products, signed(largestSize(products), dark));
    return `Channel ${map}: the sum of the products, plus ${net.firstBias[map].toFixed(3)}, is ${afterReLU(dot(seen, kernel) + net.firstBias[map])}.`;
  },
  firstPooled: (result, net, place, { sheets }) => explainPool(result, "first", place, sheets),
  second(result, net, { map, row, column }, { why, sheets }) {
    const parts = [...Array(16).keys()].map((c) =>
      dot(windowOf(result.firstPooled, c, row, column, 3), net.second.subarray(9 * (16 * map + c), 9 * (16 * map + c) + 9)));
    for (let c = 0; c < 16; c++) sheets.firstPooled.frame({ map: c, row, column, height: 3, width: 3 });
    largestParts(why, parts, (c) => `channel ${c} of the first layer`);
    return `Channel ${map}: nine products from each of 16 maps, plus ${net.secondBias[map].toFixed(3)}, are ${afterReLU(parts.reduce((a, b) => a + b) + net.secondBias[map])}.`;
  },
  secondPooled: (result, net, place, { sheets }) => explainPool(result, "second", place, sheets),
  hidden(result, net, { map }, { why, sheets }) {
    const weights = net.hidden.subarray(800 * map, 800 * (map + 1));
    const parts = [...Array(32).keys()].map((c) => dot(channel(result.secondPooled, c), weights.subarray(25 * c, 25 * c + 25)));
    sheets.hidden.frame({ row: Math.floor(map / 8), column: map % 8 });
    largestParts(why, parts, (c) => `channel ${c} of the second layer`);
    return `Hidden node ${map}: 800 products, plus ${net.hiddenBias[map].toFixed(3)}, are ${afterReLU(result.beforeHidden[map])}.`;
  },
  scores(result, net, { map }, { why, classes }) {
    const parts = [...result.hidden].map((v, i) => v * net.last[HIDDEN * map + i]);
    largestParts(why, parts, (i) => `hidden node ${i}`, 8);
    return `${classes[map]}: the score is ${result.scores[map].toFixed(3)}; these hidden nodes pushed it most (blue up, orange down).`;
  },
};
