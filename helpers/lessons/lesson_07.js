// Lesson 7: what the network looks at. Maps of seven methods over a photo, to point at; and a game: which patches to
// keep, the reader against Grad-CAM, with every choice of up to five of 16 patches recorded.

const SIDE = 224, CELLS = 4, CELL = SIDE / CELLS, SHOWN = 326, OPACITY = 0.65;
const NUMBERS = ["no patch", "one patch", "two patches", "three patches", "four patches", "five patches"];

const canvasOf = (width, height) => Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");

/** The pixels of an image, four numbers each. @returns {Uint8ClampedArray} */
function pixelsOf(image, width, height) {
  const context = canvasOf(width, height);
  context.drawImage(image, 0, 0, width, height);
  return context.getImageData(0, 0, width, height).data;
}

/** A photo in pale grey, as a canvas. */
function paleGray(image) {
  const context = canvasOf(SIDE, SIDE);
  context.drawImage(image, 0, 0, SIDE, SIDE);
  const painted = context.getImageData(0, 0, SIDE, SIDE), { data } = painted;
  for (let i = 0; i < data.length; i += 4) data.fill(102 + 0.2 * (data[i] + data[i + 1] + data[i + 2]), i, i + 3);
  context.putImageData(painted, 0, 0);
  return context.canvas;
}

/** A recorded map: levels of 8 bits, 128 for zero and 252 for the limit, as numbers. */
async function valuesOf({ rows, columns, limit, file }) {
  const pixels = pixelsOf(await decoded(file), columns, rows);
  return Float32Array.from({ length: rows * columns }, (_, i) => ((pixels[4 * i] - 128) / 124) * limit);
}

/** Every choice of up to ``most`` of ``count`` patches, as bits: by size, then in itertools.combinations' order. */
function choices(count, most) {
  const found = [];
  const extend = (bits, first, left) => {
    if (!left) return void found.push(bits);
    for (let i = first; i <= count - left; i++) extend(bits | (1 << i), i + 1, left - 1);
  };
  for (let size = 0; size <= most; size++) extend(0, 0, size);
  return found;
}

const sizeOf = (bits) => [...Array(CELLS * CELLS).keys()].filter((i) => bits & (1 << i)).length;
const bitsOf = (patches) => patches.reduce((bits, i) => bits | (1 << i), 0);
const patchesOf = (bits) => [...Array(CELLS * CELLS).keys()].filter((i) => bits & (1 << i));

/** All recorded choices of so many patches, the best first: bits and score of each. @param {DataView} scores */
function ranking(all, scores, size) {
  const scored = all.map((bits, i) => ({ bits, score: scores.getInt16(2 * i, true) / 100 }));
  return scored.filter(({ bits }) => sizeOf(bits) === size).sort((a, b) => b.score - a.score);
}

// --- On the screen --------------------------------------------------------------------------------------------------

const LOOK_STYLE = `.xp-key { width: ${SHOWN}px; max-width: 100%; height: 14px; display: block; border: 1px solid #8886; }
.xp-ends { display: flex; justify-content: space-between; width: ${SHOWN}px; max-width: 100%; }
.xp-half { flex: 1 1 ${SHOWN}px; max-width: ${SHOWN + 40}px; } .xp-half .xp-note { min-height: 4.2em; }
.xp-half .xp-title { min-height: 2.8em; }`;

/** A bar of a map's colours, with its ends in numbers and a mark at the value that is pointed at. */
function colourKey(parent) {
  const canvas = add(parent, "canvas", { className: "xp-key", role: "img", "aria-label": "colour bar" });
  Object.assign(canvas, { width: 200, height: 1 });
  const ends = add(parent, "div", { className: "xp-ends" });
  const texts = ["", "", ""].map(() => add(ends, "span"));
  const context = canvas.getContext("2d"), painted = context.createImageData(200, 1);
  return (limit, low, dark, value) => {
    const paint = signed(limit, dark), at = (v) => Math.round(((v - low) / (limit - low)) * 199);
    for (let i = 0; i < 200; i++) painted.data.set([...paint(low + (i / 199) * (limit - low)), 255], 4 * i);
    context.putImageData(painted, 0, 0);
    context.fillStyle = dark ? "#fff" : "#000";
    if (value !== undefined) context.fillRect(Math.max(0, Math.min(197, at(value) - 1)), 0, 3, 1);
    [low, (low + limit) / 2, limit].forEach((v, i) => { texts[i].textContent = figures(v); });
  };
}

const figures = (v) => String(Math.abs(v) >= 0.1 ? v.toFixed(1) : +v.toPrecision(2)).replace("-", "−");

function attributionExplorer({ root, content, model, soon, tell }) {
  const kernel = kernelOf(model), all = choices(CELLS * CELLS, content.most);
  const earlier = { photo: content.photos[0].name, kept: [], ...model.get("state") }; // before the page was opened anew
  const settings = { photo: earlier.photo, class: "", method: "occlusion", patch: 56 };
  const photoOf = () => content.photos.find(({ name }) => name === settings.photo);
  const classOf = () => photoOf().classes.find(({ name }) => name === settings.class);
  const state = { place: null, cell: null, bits: 0, view: null, values: null, asked: null, shown: "", warning: "" };

  add(root, "style", {}, LOOK_STYLE);
  const controls = add(root, "div", { className: "xp-row" });
  choice(controls, "photo", content.photos.map(({ name }) => name), settings.photo, (name) => openPhoto(name));
  const kind = choice(controls, "class", [], "", (name) => { settings.class = name; openMap(); });
  const methods = ["occlusion", ...Object.keys(content.says)];
  choice(controls, "method", methods, "occlusion", (name) => { settings.method = name; openMap(); });
  const patch = choice(controls, "patch", content.patches.map(String), "56", (size) => { settings.patch = size; openMap(); });
  const other = add(labelled(controls, "another class"), "input", { type: "text", size: 12, ...OWN_KEYS });
  const look = button(controls, "look for it", () => addClass());
  other.addEventListener("keydown", (event) => event.key === "Enter" && addClass());
  const row = add(root, "div", { className: "xp-row" });
  const [left, right] = [0, 1].map(() => add(row, "div", { className: "xp-column xp-half" }));

  // --- Where the network looks ---
  const title = add(left, "span", { className: "xp-title" });
  const view = photoView(left, { label: "map over the photo", width: SIDE, height: SIDE, shown: SHOWN,
    onPoint: ({ x, y }) => { state.place = { x, y }; drawMap(); } });
  const key = colourKey(left);
  const note = add(left, "div", { className: "xp-note", role: "status" });

  const mapName = () => (settings.method === "occlusion" ? `occlusion ${settings.patch}` : settings.method);

  async function openMap() {
    patch.parentElement.style.display = settings.method === "occlusion" ? "" : "none";
    const map = classOf().maps[mapName()];
    const wanted = `${settings.photo}, ${settings.class}, ${mapName()}`;
    state.asked = wanted;
    const values = await (map.values ??= valuesOf(map));
    if (state.asked !== wanted) return; // something else was chosen meanwhile
    Object.assign(state, { values, map, painted: "", low: values.some((v) => v < 0) ? -map.limit : 0 });
    drawMap();
  }

  /** The map that is open, in colours, as a canvas; made once, not for each move of the pointer. */
  function coloured(dark) {
    const { map: { rows, columns, limit }, values } = state, paint = signed(limit, dark);
    const context = canvasOf(columns, rows), painted = context.createImageData(columns, rows);
    values.forEach((v, i) => painted.data.set([...paint(v), 255], 4 * i));
    context.putImageData(painted, 0, 0);
    return context.canvas;
  }

  const drawMap = soon(() => {
    const { map, values, place, pale } = state;
    if (!map || !pale) return;
    const { score, share } = classOf(), dark = isDark(root);
    if (state.painted !== String(dark)) Object.assign(state, { heat: coloured(dark), painted: String(dark) });
    view.paint((context) => {
      context.drawImage(pale, 0, 0, SIDE, SIDE);
      context.globalAlpha = OPACITY;
      context.imageSmoothingEnabled = settings.method === "Grad-CAM";
      context.drawImage(state.heat, 0, 0, SIDE, SIDE);
      context.globalAlpha = 1;
    });
    const chance = `${(100 * share).toFixed(1)}\u00a0%`;
    title.textContent = `${mapName()} for “${settings.class}”: score ${figures(score)}, probability ${chance}`;
    const cell = SIDE / map.rows, at = place && Math.floor(place.y / cell) * map.columns + Math.floor(place.x / cell);
    key(map.limit, state.low, dark, place ? values[at] : undefined);
    const corner = (v) => Math.floor(v / cell) * cell;
    if (place) view.frame({ x: corner(place.x), y: corner(place.y), width: cell, height: cell });
    note.textContent = place ? aboutPlace(place, values[at], map) : "Point at the map, or move on it with the arrow keys.";
  });

  function aboutPlace({ x, y }, v, { rows, columns, limit }) {
    const isCut = rows * columns > 5000; // as lesson_07.levels does with large maps
    const where = `Row ${y}, column ${x}`, beyond = isCut && Math.abs(v) > 0.999 * limit ? " or beyond" : "";
    if (settings.method !== "occlusion") return `${where}: ${content.says[settings.method]}, ${figures(v)}${beyond}.`;
    const change = v < 0 ? `rises by ${figures(-v)}` : `falls by ${figures(v)}`;
    return `${where}: with a grey patch over it, the score of “${settings.class}” ${change} (mean of all such patches).`;
  }

  async function addClass() {
    const name = other.value.trim(), owner = photoOf();
    if (!name) return;
    note.textContent = `Looking for “${name}” …`;
    look.disabled = true;
    try {
      const found = await kernel.ask({ photo: owner.name, class: name });
      if (!owner.classes.some((known) => known.name === found.name)) owner.classes.push(found);
      if (owner === photoOf()) openPhoto(owner.name, found.name);
    } catch (error) {
      note.textContent = error.message;
    }
    look.disabled = false;
  }

  // --- You against Grad-CAM ---
  add(right, "span", { className: "xp-title" }, "you against Grad-CAM");
  const board = photoView(right, { label: "16 patches of the photo; press to keep one sharp",
    width: SIDE, height: SIDE, shown: SHOWN, step: CELL,
    onPoint: (place) => { state.cell = cellOf(place); drawBoard(); }, onPress: (place) => press(cellOf(place)) });
  const cellOf = ({ x, y }) => Math.floor(y / CELL) * CELLS + Math.floor(x / CELL);
  const buttons = add(right, "div", { className: "xp-row" });
  button(buttons, "clear", () => keep(0));
  const shows = ["Grad-CAM's", "the best"].map((name) => button(buttons, `show ${name}`, () => {
    state.shown = state.shown === name ? "" : name;
    drawBoard();
  }));
  const names = ["you", "Grad-CAM", "the best choice", "the median choice"];
  const rows = bars(right, names, (v) => (v === null ? "–" : figures(v)));
  const verdict = add(right, "div", { className: "xp-note", role: "status" });

  function press(cell) {
    const bits = state.bits ^ (1 << cell);
    if (sizeOf(bits) <= content.most) return keep(bits);
    state.warning = `${content.most} patches are the most that can be kept. Press on one of yours to give it back.`;
    drawBoard();
  }

  async function keep(bits) {
    Object.assign(state, { bits, shown: "", warning: "" });
    tell({ photo: settings.photo, kept: patchesOf(bits) });
    state.result = bits ? recorded(bits) : null;
    drawBoard();
    if (bits && !state.result) await askFor(bits);
  }

  /** How a choice stands among all of as many patches, if they were recorded. */
  function recorded(bits) {
    const { scores, order } = photoOf();
    if (!scores.byteLength) return null;
    const ranks = ranking(all, scores, sizeOf(bits)), cam = bitsOf(order.slice(0, sizeOf(bits)));
    const scoreOf = (wanted) => ranks.find((one) => one.bits === wanted).score;
    const rankOf = (score) => 1 + ranks.findIndex((one) => one.score === score); // equal scores share a place
    const [mine, its] = [scoreOf(bits), scoreOf(cam)];
    return { ranks, cam, mine, its, rank: rankOf(mine), camRank: rankOf(its) };
  }

  async function askFor(bits) {
    const { name, order, classes } = photoOf(), cam = bitsOf(order.slice(0, sizeOf(bits)));
    try {
      const pair = [patchesOf(bits), patchesOf(cam)];
      const { scores } = await kernel.ask({ photo: name, of: classes[0].name, choices: pair });
      if (state.bits !== bits || settings.photo !== name) return;
      state.result = { ranks: null, cam, mine: scores[0], its: scores[1] };
    } catch (error) {
      state.warning = error.message;
    }
    drawBoard();
  }

  const drawBoard = soon(() => {
    if (!state.image) return;
    const { bits, cell, result, shown } = state, whole = photoOf().classes[0], ranks = result?.ranks;
    const marked = !result || !shown ? 0 : shown === "the best" ? ranks?.[0].bits ?? 0 : result.cam;
    const boxOf = (i, margin = 0) => ({ x: (i % CELLS) * CELL + margin, y: Math.floor(i / CELLS) * CELL + margin,
      width: CELL - 2 * margin, height: CELL - 2 * margin });
    board.paint((context) => {
      context.drawImage(state.blurred, 0, 0, SIDE, SIDE);
      for (let i = 0; i < CELLS * CELLS; i++) {
        const { x, y } = boxOf(i);
        context.globalAlpha = bits & (1 << i) ? 1 : bits ? 0.25 : 0.6; // a hint of what is blurred for the network
        context.drawImage(state.image, x, y, CELL, CELL, x, y, CELL, CELL);
        context.globalAlpha = 1;
        context.strokeStyle = "rgb(255 255 255 / 60%)";
        context.strokeRect(x, y, CELL, CELL);
      }
    });
    patchesOf(bits).forEach((i) => board.frame(boxOf(i)));
    patchesOf(marked).forEach((i) => board.frame(boxOf(i, 3), OTHER_MARK));
    if (cell !== null) board.frame(boxOf(cell, 6), "#fff");
    shows.forEach((element, i) => {
      element.setAttribute("aria-pressed", String(shown === ["Grad-CAM's", "the best"][i]));
      element.disabled = !result || (i === 1 && !ranks);
    });
    const middle = ranks ? ranks[ranks.length >> 1].score : null;
    rows.update([result?.mine ?? null, result?.its ?? null, ranks?.[0].score ?? null, middle], whole.score);
    verdict.textContent = state.warning || aboutChoice(whole);
  });

  function aboutChoice({ name, score }) {
    const { bits, cell, result } = state, number = NUMBERS[sizeOf(bits)];
    const at = cell === null ? "" : `Row ${Math.floor(cell / CELLS)}, column ${cell % CELLS} of the patches. `;
    const whole = `${at}The whole photo has a score of ${figures(score)} for “${name}”. `;
    if (!bits) return `${whole}Press on a patch to keep it sharp; all others are blurred for the network.`;
    if (!result) return `${whole}The kernel is asked …`;
    const scores = `${at}You keep ${number} of 16: ${figures(result.mine)}. Grad-CAM's ${number}: ${figures(result.its)}.`;
    if (!result.ranks) return scores;
    const [count, mine, its] = [result.ranks.length, result.rank, result.camRank].map((n) => n.toLocaleString("en"));
    return `${scores} Of all ${count} such choices yours is number ${mine}, Grad-CAM's number ${its}.`;
  }

  async function openPhoto(name, wanted, bits = 0) {
    settings.photo = name;
    const { file, blurred, classes } = photoOf();
    settings.class = wanted ?? classes[0].name;
    kind.replaceChildren();
    classes.forEach((one) => add(kind, "option", { value: one.name }, one.name));
    kind.value = settings.class;
    const [image, smooth] = await Promise.all([decoded(file), decoded(blurred)]);
    if (settings.photo !== name) return;
    if (state.view !== name) Object.assign(state, { image, blurred: smooth, pale: paleGray(image), place: null, view: name });
    if (!wanted) keep(bits);
    openMap();
  }
  openPhoto(settings.photo, undefined, bitsOf(earlier.kept));
}

export default explorer({ attribution: attributionExplorer });
