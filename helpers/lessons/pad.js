// A small pad to draw on with a soft brush, 28 × 28. Used by lesson 3's explorers.

const UNDO = 50; // how many changes can be taken back

/** A pad to draw on; ``onChange`` is told of every change. */
function drawingPad(parent, classes, items, labels, onChange) {
  const image = new Float32Array(784);
  const brush = { mode: "draw", radius: 1.6, shade: 0.8 };
  const earlier = []; // images before the last changes, the latest at the end
  let last = null;
  const pad = sheet(parent, { label: "drawing", rows: 28, columns: 28, cell: 9, onPoint: drag, onPress: press });
  pad.canvas.style.touchAction = "none";
  pad.canvas.addEventListener("pointerup", () => (last = null));

  function remember() {
    earlier.push(image.slice());
    if (earlier.length > UNDO) earlier.shift();
  }

  function stroke(row, column) {
    for (let y = 0; y < 28; y++) {
      for (let x = 0; x < 28; x++) {
        const inside = Math.max(0, Math.min(1, brush.radius + 0.5 - Math.hypot(y - row, x - column))); // soft at its edge
        const v = image[28 * y + x];
        image[28 * y + x] = brush.mode === "erase" ? Math.min(v, 1 - inside) : Math.max(v, brush.shade * inside);
      }
    }
  }

  /** Fill what is as dark as the place, and connected to it. */
  function fill(row, column) {
    const todo = [[row, column]], limit = 0.8 * brush.shade; // not at a soft edge
    while (todo.length) {
      const [y, x] = todo.pop();
      if (y < 0 || y > 27 || x < 0 || x > 27 || image[28 * y + x] >= limit) continue;
      image[28 * y + x] = brush.shade;
      todo.push([y + 1, x], [y - 1, x], [y, x + 1], [y, x - 1]);
    }
  }

  function drag({ row, column }, event) {
    if (!event?.buttons || brush.mode === "fill") return;
    if (event.type === "pointerdown") remember();
    const from = event.type === "pointermove" && last ? last : { row, column }, steps = Math.max(1, Math.hypot(row - from.row, column - from.column));
    for (let i = 1; i <= steps; i++) {
      stroke(from.row + ((row - from.row) * i) / steps, from.column + ((column - from.column) * i) / steps);
    }
    last = { row, column };
    onChange();
  }

  function press({ row, column }, event) {
    if (brush.mode === "fill" || !event) remember(); // a pointer has drawn already, and been remembered
    if (brush.mode === "fill") fill(row, column);
    else if (!event) stroke(row, column);
    onChange();
  }

  const set = (change) => { remember(); image.set(change(image)); onChange(); };
  const shift = (dy, dx) => set((old) => old.map((_, i) => {
    const y = Math.floor(i / 28) - dy, x = (i % 28) - dx;
    return y >= 0 && y < 28 && x >= 0 && x < 28 ? old[28 * y + x] : 0;
  }));
  const tools = add(parent, "div", { className: "xp-row" });
  choice(tools, "brush", ["draw", "erase", "fill"], "draw", (mode) => (brush.mode = mode));
  slider(tools, "width", { min: 0.6, max: 4, step: 0.2, value: 1.6, form: (v) => v.toFixed(1) }, (v) => (brush.radius = v));
  slider(tools, "shade", { min: 0.2, max: 1, step: 0.1, value: 0.8, form: (v) => v.toFixed(1) }, (v) => (brush.shade = v));
  const changes = add(parent, "div", { className: "xp-row" });
  button(changes, "undo", () => earlier.length && (image.set(earlier.pop()), onChange()));
  button(changes, "clear", () => set((old) => old.map(() => 0)));
  button(changes, "invert", () => set((old) => old.map((v) => 1 - v)));
  button(changes, "mirror", () => set((old) => old.map((_, i) => old[i - (i % 28) + 27 - (i % 28)])));
  for (const [text, name, dy, dx] of [["←", "left", 0, -1], ["→", "right", 0, 1], ["↑", "up", -1, 0], ["↓", "down", 1, 0]]) {
    button(changes, text, () => shift(dy, dx)).setAttribute("aria-label", `shift ${name}`);
  }
  const loaded = add(parent, "div", { className: "xp-row" });
  const shown = Object.fromEntries(classes.map((name) => [name, -1]));
  const load = (name) => {
    const numbers = labels.flatMap((label, i) => (classes[label] === name ? [i] : []));
    const item = numbers[(shown[name] = (shown[name] + 1) % numbers.length)];
    set(() => Float32Array.from(items.subarray(784 * item, 784 * (item + 1)), (v) => v / 255));
  };
  const chosen = choice(loaded, "item of the test set", classes, classes.at(-1), load);
  button(loaded, "another", () => load(chosen.value));
  return { image, pad, load: () => load(chosen.value), set: (values) => set(() => values) };
}
