// Lesson 1: a kernel over a photo. Point at the response, and see which pixels it was summed from.

function kernelExplorer({ root, content, model, soon, tell }) {
  const names = content.photos.map((photo) => photo.name), presets = Object.keys(content.kernels);
  const earlier = { kernel: content.kernels[content.kernel], size: 3, ...model.get("state") }; // before the page was opened anew
  const settings = { photo: names[0], size: earlier.size, stride: 1, padding: 0, dilation: 1, relu: false, second: "none" };
  let kernel = Float32Array.from(earlier.kernel), input, response, above, sheets, detail, place = { row: 70, column: 60 };

  let painted = null; // whether what is on the sheets is for a dark page; null where it is out of date

  const controls = add(root, "div", { className: "xp-row" });
  choice(controls, "photo", names, settings.photo, (name) => renew({ photo: name }));
  const isKernel = (name) => String(Float32Array.from(content.kernels[name])) === String(kernel);
  const preset = choice(controls, "kernel", [...presets, "yours"], presets.find(isKernel) ?? "yours", (name) => {
    if (name === "yours") return;
    kernel = Float32Array.from(content.kernels[name]);
    renew({ size: 3 });
    numbers.set(3, [...kernel]);
  });
  const size = choice(controls, "size", ["3", "5", "7"], String(settings.size), (n) => {
    resize(Number(n));
    renew({ size: Number(n) });
    numbers.set(settings.size, [...kernel]);
  });
  slider(controls, "stride", { min: 1, max: 4, value: 1 }, (n) => renew({ stride: n }));
  slider(controls, "padding", { min: 0, max: 3, value: 0 }, (n) => renew({ padding: n }));
  slider(controls, "dilation", { min: 1, max: 4, value: 1 }, (n) => renew({ dilation: n }));
  toggle(controls, "ReLU", false, (on) => renew({ relu: on }));
  choice(controls, "second kernel on top", ["none", ...presets], "none", (name) => renew({ second: name }));

  const views = add(root, "div", { className: "xp-row" });
  const legend = add(root, "div");
  const note = add(root, "div", { className: "xp-note", role: "status" });
  const below = add(root, "div", { className: "xp-row" });
  const editor = titledColumn(below, "kernel: type a number, or drag it up and down");
  const numbers = numberGrid(editor, "kernel", (i, value) => {
    kernel[i] = value;
    preset.value = "yours";
    renew({});
  });
  numbers.set(settings.size, [...kernel]);
  const products = add(below, "div", { className: "xp-row" });

  /** The kernel in the middle of a larger one, or the middle of it. */
  function resize(n) {
    const old = settings.size, shift = (n - old) / 2, resized = new Float32Array(n * n);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        const y = i - shift, x = j - shift;
        if (y >= 0 && y < old && x >= 0 && x < old) resized[i * n + j] = kernel[y * old + x];
      }
    }
    kernel = resized;
    preset.value = "yours";
  }

  /** Compute and lay out anew, after a change of the settings. */
  function renew(change) {
    const rebuilt = Object.keys(change).length > 0 || !sheets;
    Object.assign(settings, change);
    size.value = String(settings.size);
    const photo = content.photos.find((each) => each.name === settings.photo);
    input = maps(1, photo.rows, photo.columns, Float32Array.from(bytes(photo.pixels), (v) => v / 255));
    response = conv2d(input, kernel, new Float32Array(1), settings.size, settings);
    if (settings.relu) response = relu(response);
    above = null;
    if (settings.second !== "none" && Math.min(response.rows, response.columns) >= 3) {
      above = conv2d(response, Float32Array.from(content.kernels[settings.second]), new Float32Array(1), 3);
      if (settings.relu) above = relu(above);
    }
    if (rebuilt) layOut();
    tell({ kernel: [...kernel], size: settings.size });
    painted = null;
    redraw();
  }

  function layOut() {
    views.replaceChildren();
    products.replaceChildren();
    sheets = {};
    if (!response.values.length) return;
    const shown = { photo: input, response, ...(above && { above }) };
    for (const [name, { rows, columns }] of Object.entries(shown)) {
      const text = `${name === "above" ? "second response" : name}, ${rows} × ${columns}`;
      const cell = Math.min(1.8, (above ? 215 : 330) / input.columns); // side by side in a page of usual width
      sheets[name] = sheet(titledColumn(views, text), { label: text, rows, columns, cell, onPoint: (at) => point(name, at) });
    }
    const n = settings.size;
    detail = ["pixels under it", "× kernel", "= products"].map((text) => table(products, text, n, n));
    const within = place.above && above ? above : response;
    place = { row: Math.min(place.row, within.rows - 1), column: Math.min(place.column, within.columns - 1), above: within === above };
  }

  /** Where the pointer is, as a place in the response (or in the second one). */
  function point(name, at) {
    const { stride, padding, dilation, size: n } = settings, reach = (dilation * (n - 1)) / 2;
    const toResponse = (v, limit) => Math.max(0, Math.min(limit - 1, Math.round((v + padding - reach) / stride)));
    place = name === "photo"
      ? { row: toResponse(at.row, response.rows), column: toResponse(at.column, response.columns) }
      : { row: at.row, column: at.column, above: name === "above" };
    redraw();
  }

  const redraw = soon(() => {
    if (!response.values.length) {
      note.textContent = "The kernel does not fit into the photo any more.";
      return;
    }
    // Where nothing is below zero a response looks like a photo, and is drawn like one; but not because of a ReLU.
    const isBlur = !settings.relu || kernel.every((v) => v >= 0);
    const dark = isDark(root), isPositive = (m) => isBlur && m.values.every((v) => v >= 0);
    const paint = (m) => (isPositive(m) ? gray(0, largestSize(m.values)) : signed(largestSize(m.values), dark));
    if (painted === dark) Object.values(sheets).forEach((each) => each.again());
    else {
      sheets.photo.draw(input.values, gray(0, 1));
      sheets.response.draw(response.values, paint(response));
      sheets.above?.draw(above.values, paint(above));
      painted = dark;
      const most = largestSize(response.values).toFixed(2);
      legend.textContent = isPositive(response) ? `response: black is 0, white ${most}`
        : `response: ${settings.relu ? "" : `orange is −${most}, `}${dark ? "black" : "white"} 0, purple ${most}`;
    }
    const { stride, padding, dilation, size: n } = settings, extent = dilation * (n - 1) + 1;
    const high = place.above ? 3 : 1; // rows of the response that are looked at
    sheets.photo.frame({
      row: place.row * stride - padding, column: place.column * stride - padding,
      height: extent + (high - 1) * stride, width: extent + (high - 1) * stride,
    });
    sheets.response.frame({ ...place, height: high, width: high });
    if (place.above) sheets.above.frame(place);
    explain(n, stride, padding, dilation);
  });

  function explain(n, stride, padding, dilation) {
    const patch = [...kernel].map((_, k) => {
      const row = place.row * stride - padding + Math.floor(k / n) * dilation;
      const column = place.column * stride - padding + (k % n) * dilation;
      const inside = row >= 0 && row < input.rows && column >= 0 && column < input.columns;
      return inside ? input.values[row * input.columns + column] : 0;
    });
    const parts = patch.map((v, k) => v * kernel[k]), sum = parts.reduce((a, b) => a + b, 0);
    const dark = isDark(root);
    detail[0](patch, gray(0, 1));
    detail[1]([...kernel], signed(largestSize(kernel), dark));
    detail[2](parts, signed(largestSize(parts), dark));
    const after = settings.relu ? `, after ReLU ${Math.max(0, sum).toFixed(3)}` : "";
    const reach = dilation * (n - 1) + 1 + 2 * stride;
    note.textContent = `row ${place.row}, column ${place.column}: the sum of the products is ${sum.toFixed(3)}${after}` +
      (place.above ? `; the second response sums 3 × 3 of these, so ${reach} × ${reach} pixels of the photo: ` +
        `${above.values[place.row * above.columns + place.column].toFixed(3)}` : "");
  }

  renew({});
}

export default explorer({ kernel: kernelExplorer });
