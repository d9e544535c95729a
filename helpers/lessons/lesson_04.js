// Lesson 4: a map of a surface. Drop four marbles at a point of it, and see which way each optimiser takes its own.

const LEFT = -4.05, TOP = 2.25, COLUMNS = 86, ROWS = 45; // the map, in cells of 0.1 around (−4, 2.2), (−3.9, 2.2), …
const LEVELS = [0.02, 0.1, 0.2, 0.29, 0.33, 0.5, 1, 2, 4, 8, 16, 32]; // losses of the contour lines
const TOO_FAR = 1e6; // a loss or coordinate beyond it counts as diverged
const PACE = 25; // steps a second

/** The surfaces of lesson_04.SURFACES, with gradients worked out by hand. */
const SURFACES = {
  parabola: { loss: (x, y) => x * x + y * y, gradient: (x, y) => [2 * x, 2 * y] },
  valley: { loss: (x, y) => 0.1 * x * x + 5 * y * y, gradient: (x, y) => [0.2 * x, 10 * y] },
  "two minima": {
    loss: (x, y) => 0.08 * (x - 2) ** 2 + 3 * (y - 0.15 * x) ** 2 - 0.36 * Math.exp(-4 * (x + 0.9) ** 2),
    gradient: (x, y) => {
      const across = 6 * (y - 0.15 * x), hollow = 2.88 * (x + 0.9) * Math.exp(-4 * (x + 0.9) ** 2);
      return [0.16 * (x - 2) - 0.15 * across + hollow, across];
    },
  },
  saddle: { loss: (x, y) => (x * x) / 4 + (y * y - 2) ** 2 / 8, gradient: (x, y) => [x / 2, (y * (y * y - 2)) / 2] },
};

// --- The optimisers: from the gradient at step t to the change of the point, as in torch.optim ----------------------

function sgd(rate, momentum = 0, nesterov = false) {
  const velocity = [0, 0];
  return (gradient) => gradient.map((g, i) => {
    velocity[i] = momentum * velocity[i] + g;
    return -rate * (nesterov ? g + momentum * velocity[i] : velocity[i]);
  });
}

function adam(rate, beta1, beta2 = 0.999, epsilon = 1e-8) {
  const mean = [0, 0], square = [0, 0];
  return (gradient, t) => gradient.map((g, i) => {
    mean[i] = beta1 * mean[i] + (1 - beta1) * g;
    square[i] = beta2 * square[i] + (1 - beta2) * g * g;
    return (-rate * mean[i]) / (1 - beta1 ** t) / (Math.sqrt(square[i] / (1 - beta2 ** t)) + epsilon);
  });
}

/** Each with a look of its own: colours on a light and on a dark page, dashes, and the corners of its marker. */
const OPTIMIZERS = {
  plain: { make: (r) => sgd(r), colours: ["#000", "#fff"], dash: [2, 3], corners: 24, turn: 0 },
  momentum: { make: sgd, colours: ["#c84f00", "#ff8f45"], dash: [], corners: 4, turn: Math.PI / 4 },
  Nesterov: { make: (r, m) => sgd(r, m, true), colours: ["#0068a8", "#5cbcf2"], dash: [7, 3], corners: 3, turn: 0 },
  Adam: { make: adam, colours: ["#007a58", "#35d6a0"], dash: [9, 3, 2, 3], corners: 4, turn: 0 },
};

/** The path of a point, start included, and its losses. It ends early where it has gone too far. */
function descent(surface, start, change, steps) {
  const path = [start], losses = [surface.loss(...start)];
  let diverged = false;
  while (path.length <= steps && !diverged) {
    const point = path.at(-1), moved = change(surface.gradient(...point), path.length).map((d, i) => point[i] + d);
    path.push(moved);
    losses.push(surface.loss(...moved));
    diverged = ![...moved, losses.at(-1)].every((v) => Math.abs(v) <= TOO_FAR); // so that NaN is too far as well
  }
  return { path, losses, diverged };
}

// --- In words -------------------------------------------------------------------------------------------------------

const hundredths = (v) => (Math.round(v * 100) / 100 + 0).toFixed(2).replace("-", "−"); // + 0, for no −0.00
const placeText = ([x, y]) => `x = ${hundredths(x)}, y = ${hundredths(y)}`;
const lossText = (v) => (v < 1e-4 ? "below 0.0001" : String(Number(v.toPrecision(2))));
const isOnMap = ([x, y]) => Math.abs(y) <= TOP && x >= LEFT && x <= LEFT + COLUMNS / 10;

/** What has become of a marble at a step. @returns {string} */
function said({ path, losses, diverged }, step, isLast) {
  const at = Math.min(step, path.length - 1), here = path[at], taken = path.slice(0, at + 1);
  const away = taken.findLastIndex(isOnMap) + 1; // since when it has been off the map
  if (diverged && at === path.length - 1) return `diverged, off the map since step ${away}`;
  const after = `loss ${lossText(losses[at])} after ${at} step${at === 1 ? "" : "s"}`;
  if (away <= at) return `${after}, off the map since step ${away}`;
  const rest = taken.findLastIndex(([x, y]) => Math.hypot(x - here[0], y - here[1]) > 0.1) + 1;
  const motion = at - rest < 5 ? "still moving" : `within 0.1 of there since step ${rest}`;
  return `${after}, at ${placeText(here)}${isLast ? `, ${motion}` : ""}`;
}

// --- Pictures -------------------------------------------------------------------------------------------------------

/** A sheet's context to draw with in the page's pixels, cleared. */
function cleared({ canvas }, width) {
  const context = canvas.getContext("2d"), scale = canvas.width / width;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, canvas.height);
  return Object.assign(context, { font: "12px system-ui, sans-serif" });
}

/** The surface from above: low ground darker by the logarithm of the loss, a line wherever it passes a level. */
function relief({ loss }, width, dark) {
  const canvas = document.createElement("canvas"), cell = width / COLUMNS;
  const { height } = Object.assign(canvas, { width, height: ROWS * cell }), bands = new Uint8Array(width * height);
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  bands.forEach((_, at) => {
    const column = at % width, row = Math.floor(at / width);
    const value = loss(LEFT + (column + 0.5) / cell / 10, TOP - (row + 0.5) / cell / 10);
    const band = (bands[at] = LEVELS.filter((level) => value > level).length);
    const isLine = (column && band !== bands[at - 1]) || (row && band !== bands[at - width]);
    const share = Math.log1p(Math.max(0, value) / 0.02) / Math.log1p(1500);
    const level = dark ? 10 + 75 * share + (isLine ? 45 : 0) : 178 + 74 * share - (isLine ? 60 : 0);
    pixels.data.set([level, level, level + 4, 255], 4 * at);
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function marker(context, [x, y], radius, { corners, turn }, colour) {
  context.fillStyle = colour;
  context.beginPath();
  for (let angle = turn - Math.PI / 2, i = 0; i < corners; i++, angle += (2 * Math.PI) / corners) {
    context.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  context.fill();
}

/** A line through points, in one of the looks of OPTIMIZERS, with a marble at one of them and dots at all. */
function trace(context, points, at, look, dark, dots = 0) {
  const colour = look.colours[+dark], edge = dark ? "#000" : "#fff";
  const stroke = (strokeStyle, lineWidth, dash) => {
    Object.assign(context, { strokeStyle, lineWidth, lineJoin: "round" }).setLineDash(dash);
    context.beginPath();
    points.forEach((point) => context.lineTo(...point));
    context.stroke();
    context.setLineDash([]);
  };
  stroke(`${edge}9`, 4, []);
  stroke(colour, 2, look.dash);
  if (dots) points.forEach((point) => marker(context, point, dots, look, colour));
  marker(context, points[at], 9, look, edge);
  marker(context, points[at], 6.5, look, colour);
}

// --- The explorer ---------------------------------------------------------------------------------------------------

function descentExplorer({ root, content, soon, tell }) {
  const { surface, surfaces } = content, names = Object.keys(OPTIMIZERS), shown = new Set(names);
  const settings = { surface, start: surfaces[surface].start, rate: 0.15, momentum: 0.9, steps: 100 };
  const width = Math.min(640, (root.clientWidth || 642) - 2), cell = width / COLUMNS; // 642 before it has a place
  let runs, step = settings.steps, timer = 0, aim = null, ground = { key: "" };
  const say = (element, text) => element.textContent !== text && (element.textContent = text); // read out once only
  const eachShown = (draw) => names.forEach((name, i) => shown.has(name) && draw(runs[i], OPTIMIZERS[name]));

  const controls = add(root, "div", { className: "xp-row" });
  choice(controls, "surface", Object.keys(SURFACES), surface,
    (name) => renew({ surface: name, start: surfaces[name].start }));
  const rateOf = (power) => Number((10 ** power).toPrecision(2)), rates = { min: -3, max: 1, step: 0.01 };
  const rate = slider(controls, "rate", { ...rates, value: Math.log10(0.15), form: (power) => String(rateOf(power)) },
    (power) => renew({ rate: rateOf(power) }));
  slider(controls, "momentum", { min: 0, max: 0.99, step: 0.01, value: 0.9 }, (momentum) => renew({ momentum }));
  slider(controls, "steps", { min: 1, max: 200, value: step }, (steps) => renew({ steps }));
  const about = add(root, "div", { className: "xp-note" });
  const onPoint = ({ row, column }) => {
    aim = [column / 10 - 4, 2.2 - row / 10].map((v) => Number(v.toFixed(1)));
    redraw();
  };
  const label = "map of the surface; a press or Enter drops four marbles", onPress = () => drop(aim ?? settings.start);
  const map = sheet(root, { label, rows: ROWS, columns: COLUMNS, cell, onPoint, onPress });
  const note = add(root, "div", { className: "xp-note", role: "status" }, "Press on the map to drop four marbles there.");
  const player = add(root, "div", { className: "xp-row" });
  const playing = button(player, "play", () => (timer ? stop() : play(step < settings.steps ? step : 0)));
  const cursor = slider(player, "step", { min: 0, max: step, value: step }, (n) => { stop(); show(n); });
  cursor.nextElementSibling.setAttribute("aria-live", "off"); // the marbles in motion would be too much to read out
  const report = add(root, "div", { className: "xp-column", role: "status" });
  const legend = names.map((name) => {
    const row = add(report, "div", { className: "xp-control" });
    const key = toggle(row, "", true, (on) => { on ? shown.add(name) : shown.delete(name); redraw(); });
    key.setAttribute("aria-label", `show ${name}`);
    return { text: add(row, "span"), swatch: add(key, "canvas", { width: 48, height: 18 }).getContext("2d") };
  });
  const chart = sheet(root, { label: "loss against step, on a logarithmic scale", rows: 190, columns: width, cell: 1 });
  [map, chart].forEach(({ canvas }) => { canvas.style.cssText += "image-rendering: auto; margin: 6px 0"; });

  /** Run anew, after a change of the settings, and stay at the same step, or at the last. */
  function renew(change) {
    const wasLast = step === settings.steps || timer > 0; // who moves a slider wants to see where it ends
    if (timer) stop();
    const { momentum, steps, start } = Object.assign(settings, change);
    const run = ({ make }) => descent(SURFACES[settings.surface], start, make(settings.rate, momentum), steps);
    runs = names.map((name) => run(OPTIMIZERS[name]));
    about.textContent = surfaces[settings.surface].text;
    rate.setAttribute("aria-valuetext", settings.rate);
    cursor.max = steps;
    tell({ ...settings, paths: Object.fromEntries(names.map((name, i) => [name, runs[i].path])) });
    show(wasLast ? steps : Math.min(step, steps));
  }

  function show(n) {
    step = cursor.valueAsNumber = n;
    cursor.say(String(n));
    redraw();
  }

  function play(from) {
    timer = setInterval(() => (step < settings.steps ? show(step + 1) : stop()), 1000 / PACE);
    show(from);
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    redraw();
  }

  function drop(start) {
    stop();
    renew({ start });
    matchMedia("(prefers-reduced-motion: reduce)").matches ? show(settings.steps) : play(0);
  }

  const redraw = soon(() => {
    const dark = isDark(root);
    playing.textContent = timer ? "pause" : "play";
    report.setAttribute("aria-busy", timer > 0); // read out when the marbles have come to a halt
    if (aim) say(note, `Press to drop at ${placeText(aim)}: loss ${lossText(SURFACES[settings.surface].loss(...aim))}`);
    drawMap(dark);
    drawChart(dark);
    legend.forEach(({ swatch, text }, i) => {
      swatch.clearRect(0, 0, 48, 18);
      trace(swatch, [[1, 9], [24, 9], [47, 9]], 1, OPTIMIZERS[names[i]], dark);
      say(text, `${names[i]}: ${said(runs[i], step, step === settings.steps)}`);
      text.style.opacity = shown.has(names[i]) ? 1 : 0.6;
    });
  });

  function drawMap(dark) {
    const context = cleared(map, width), key = `${settings.surface} ${dark}`, ink = dark ? "#fff" : "#000";
    const at = ([x, y]) => [(x - LEFT) * 10 * cell, (TOP - y) * 10 * cell];
    if (ground.key !== key) ground = { key, canvas: relief(SURFACES[settings.surface], width, dark) };
    context.drawImage(ground.canvas, 0, 0);
    const [x, y] = at(settings.start), { signs } = surfaces[settings.surface];
    Object.assign(context, { fillStyle: ink, strokeStyle: ink, textAlign: "center" }).strokeRect(x - 6, y - 6, 12, 12);
    signs.forEach(([text, ...place]) => context.fillText(text, at(place)[0], at(place)[1] + 26));
    eachShown(({ path }, look) => {
      trace(context, path.slice(0, step + 1).map(at), Math.min(step, path.length - 1), look, dark, 2.5);
    });
    Object.assign(context, { strokeStyle: ink, lineWidth: 1 });
    if (aim) [[9, 0], [0, 9]].forEach(([w, h]) => context.strokeRect(at(aim)[0] - w, at(aim)[1] - h, 2 * w, 2 * h));
  }

  function drawChart(dark) {
    const context = cleared(chart, width), ink = getComputedStyle(root).color, left = 74, bottom = 168;
    const power = (loss) => Math.log10(Math.max(1e-6, Math.min(TOO_FAR, loss)));
    const powers = runs.flatMap(({ losses }) => losses.map(power));
    const low = Math.floor(Math.min(-1, ...powers)), high = Math.ceil(Math.max(0, ...powers));
    const across = (n) => left + (n / settings.steps) * (width - left - 14);
    const down = (p) => 9 + ((high - p) / (high - low)) * (bottom - 9), apart = high - low > 6 ? 2 : 1;
    Object.assign(context, { fillStyle: ink, strokeStyle: ink, lineWidth: 1, textAlign: "right" });
    context.strokeRect(across(step), 4, 0, bottom - 4);
    for (let p = low; p <= high; p += apart) context.fillText(`${Number(`1e${p}`)} –`, left, down(p) + 4);
    context.fillText("0", left + 4, 184);
    context.fillText(`loss against step, up to ${settings.steps}`, width - 10, 184);
    eachShown(({ losses }, look) => {
      trace(context, losses.map((v, n) => [across(n), down(power(v))]), Math.min(step, losses.length - 1), look, dark);
    });
  }

  renew({});
  return stop;
}

export default explorer({ descent: descentExplorer });
