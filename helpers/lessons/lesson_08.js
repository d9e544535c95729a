// Lesson 8: deep dream. A wall of recorded dreams to point at; a wipe between photo and dream, with the window that one
// unit of the layer sees; and a flight to play and to scrub. What was not recorded is asked of Python.

const DREAM_STYLE = `.xp-wall { flex: 1 1 300px; max-width: 420px; } .xp-large { flex: 2 1 320px; max-width: 540px; }
.xp-large .xp-note { min-height: 5.6em; } .xp-large .xp-sheet, .xp-wall .xp-sheet { width: 100% !important; }
.xp-heads { display: grid; font-size: 12px; text-align: center; } .xp-heads small { font-size: 12px; }`;

const PACE = 90; // milliseconds for each frame of a flight

/** @typedef {{image: ImageBitmap, x: number, y: number, width: number, height: number}} Tile a part of an image */

/** All of an image. @returns {Tile} */
const whole = (image) => ({ image, x: 0, y: 0, width: image.width, height: image.height });

/** The tiles of a sheet, row by row. @returns {Tile[]} */
const tilesOf = (image, count, across, width, height) => Array.from({ length: count }, (_, i) =>
  ({ image, x: (i % across) * width, y: Math.floor(i / across) * height, width, height }));

/** Where a setting stands on the wall: layers downwards; octaves, and within them strengths, to the right. */
const wallAt = (content, { layer, octaves, strength }) => {
  const names = content.layers.map(({ name }) => name), { length } = content.strengths;
  const column = content.octaves.indexOf(octaves) * length + content.strengths.indexOf(strength);
  return { row: names.indexOf(layer), column, index: names.indexOf(layer) * content.octaves.length * length + column };
};

/** What stands at a place of the wall. */
const settingsAt = (content, row, column) => ({
  layer: content.layers[row].name,
  octaves: content.octaves[Math.floor(column / content.strengths.length)],
  strength: content.strengths[column % content.strengths.length],
});

const octavesOf = (count) => `${count} octave${count === 1 ? "" : "s"}`;

/** Two or three sentences about a dream. @param {number} ratio of the objective to the photo's */
function aboutDream(content, { layer, octaves, strength }, ratio) {
  const { sees } = content.layers.find(({ name }) => name === layer);
  const far = Math.round(sees * content.scale ** (octaves - 1));
  const much = far > content.width ? "more than the whole photo" : `${far} pixels of the photo (dashed)`;
  const smallest = octaves > 1 ? `; on the smallest of the ${octavesOf(octaves)} that is ${much}` : "";
  return `${layer}, ${octavesOf(octaves)}, strength ${strength}. One unit sees ${sees} × ${sees} pixels, framed${smallest}. ` +
    `The objective is ${ratio.toFixed(ratio < 9.95 ? 1 : 0)} times the photo's.`;
}

/** Plays frames: calls ``show`` with the number of each, over and over, until it is stopped. */
function player(count, show, onChange) {
  let running = null, at = 0, last = 0;
  const tick = (time) => {
    if (time - last >= PACE) {
      at = (at + 1) % count;
      last = time;
      show(at);
    }
    running = requestAnimationFrame(tick);
  };
  const self = {
    get isRunning() { return running !== null; },
    to(frame) { at = frame; show(at); },
    start() { if (running === null) running = requestAnimationFrame(tick); onChange(); },
    stop() { cancelAnimationFrame(running); running = null; onChange(); },
  };
  return self;
}

function dreamExplorer({ root, content, model, soon, tell }) {
  add(root, "style", {}, DREAM_STYLE);
  const kernel = kernelOf(model), { width, height, across } = content, down = content.layers.length;
  const settings = { photo: content.photos[0], layer: content.layer, octaves: 4, strength: content.strengths[1] };
  let kept = { ...settings }; // what was chosen, while the pointer only passes over others
  const known = new Map(), flights = new Map(); // asked of Python: promises of dreams and of flights
  let recorded, photo, dream, flight, flownInto = content.layer, place = { x: width / 2, y: height / 2 }, message = "";

  // Controls
  const controls = add(root, "div", { className: "xp-row" });
  const set = (name, form) => (value) => renew({ [name]: form ? form(value) : value });
  const selects = {
    photo: choice(controls, "photo", content.photos, settings.photo, set("photo")),
    layer: choice(controls, "layer", content.layers.map(({ name }) => name), settings.layer, set("layer")),
    octaves: choice(controls, "octaves", content.octaves.map(String), String(settings.octaves), set("octaves", Number)),
    strength: choice(controls, "strength", content.strengths.map(String), String(settings.strength), set("strength", Number)),
  };

  if (!kernel.isThere) // nobody to dream of the others
    for (const option of selects.photo.options) option.disabled = option.value !== content.recorded;

  // The wall of all recorded dreams, and the large view
  const views = add(root, "div", { className: "xp-row" });
  const wallColumn = titledColumn(views, `all dreams of ${content.recorded}: layers, octaves, strengths`, "xp-column xp-wall");
  const heads = add(wallColumn, "div", { className: "xp-heads" });
  heads.style.gridTemplateColumns = `repeat(${across}, 1fr)`;
  content.octaves.forEach((count) => {
    add(heads, "span", {}, octavesOf(count)).style.gridColumn = `span ${content.strengths.length}`;
  });
  content.octaves.forEach(() => content.strengths.forEach((strength) => add(heads, "small", {}, String(strength))));
  const cell = { width: width / 4, height: height / 4 };
  const wall = photoView(wallColumn, {
    label: `${content.ratios.length} dreams, a layer in each row, octaves and strength to the right; a click or Enter keeps one`,
    width: across * cell.width, height: down * cell.height, shown: 420,
    onPoint: ({ x, y }) => choose(Math.floor(y / cell.height), Math.floor(x / cell.width), false),
    onPress: ({ x, y }) => choose(Math.floor(y / cell.height), Math.floor(x / cell.width), true),
    onArrow(dx, dy) { // from dream to dream, not from pixel to pixel
      const { row, column } = wallAt(content, settings);
      choose(indexIn(row + dy, down), indexIn(column + dx, across), true);
    },
  });
  const choose = (row, column, isKept) =>
    renew({ ...settingsAt(content, row, column), photo: content.recorded }, isKept);
  wall.canvas.addEventListener("pointerleave", () => renew(kept)); // on the way to the large image, say
  const largeColumn = add(views, "div", { className: "xp-column xp-large" });
  const title = add(largeColumn, "span", { className: "xp-title" });
  const large = photoView(largeColumn, {
    label: "photo left of the line, dream right of it; the line follows the pointer",
    width, height, shown: 528,
    onPoint({ x, y }) { place = { x, y }; isFlying() && fly.stop(); mode = "dream"; redraw(); },
  });
  const note = add(largeColumn, "div", { className: "xp-note", role: "status" });

  // The flight
  let mode = "dream", frame = 0;
  const bar = add(largeColumn, "div", { className: "xp-row" });
  const play = button(bar, "play the flight", () => (isFlying() ? fly.stop() : takeOff()));
  const scrub = slider(bar, "frame", { min: 1, max: content.frames, value: 1 }, (value) => {
    if (isFlying()) fly.stop();
    mode = "flight";
    fly.to(value - 1);
  });
  const fly = player(content.frames, (i) => {
    frame = i;
    scrub.value = i + 1;
    scrub.say(String(i + 1));
    redraw();
  }, () => { play.textContent = fly.isRunning ? "pause" : "play the flight"; });
  const isFlying = () => fly.isRunning;

  async function takeOff() {
    const { photo: of, layer } = kept, isRecorded = of === content.recorded && layer === content.layer;
    if (!isRecorded) {
      say("The kernel dreams the flight, frame by frame …");
      play.disabled = true;
      try {
        flight = await once(flights, `${of}, ${layer}`, () => flown(of, layer));
        flownInto = layer;
        say("");
      } catch (error) { say(error.message); }
      play.disabled = false;
    } else [flight, flownInto] = [recorded.flight, content.layer];
    mode = "flight";
    fly.start();
    redraw();
  }

  async function flown(of, layer) {
    const { frames } = await kernel.ask({ flight: true, photo: of, layer }, 300);
    return Promise.all(frames.map(async (file) => whole(await decoded(file))));
  }

  /** What was promised under a key, or is from now on; what failed may be tried again. */
  function once(promises, key, make) {
    if (!promises.has(key)) promises.set(key, make());
    promises.get(key).catch(() => promises.delete(key));
    return promises.get(key);
  }

  function say(text) { message = text; redraw(); }

  /** The dream for the settings: recorded, asked for before, or asked for now. */
  async function found() {
    const key = JSON.stringify(settings);
    if (settings.photo === content.recorded) {
      const { index } = wallAt(content, settings);
      return { photo: recorded.photo, tile: recorded.dreams[index], ratio: content.ratios[index] };
    }
    say("The kernel dreams …");
    return once(known, key, () => dreamt({ ...settings }));
  }

  async function dreamt(wanted) {
    const reply = await kernel.ask(wanted);
    const [photo, tile] = (await Promise.all([reply.photo, reply.dream].map(decoded))).map(whole);
    return { photo, tile, ratio: reply.ratio };
  }

  async function renew(change, isKept = true) {
    Object.assign(settings, change);
    if (isKept) {
      kept = { ...settings };
      const { row, column } = wallAt(content, kept); // where the keyboard finds it
      Object.assign(wall.place, { x: (column + 0.5) * cell.width, y: (row + 0.5) * cell.height });
    }
    if (!recorded) return; // nothing to show yet
    const wanted = JSON.stringify(settings);
    for (const [name, select] of Object.entries(selects)) select.value = String(settings[name]);
    if (isFlying()) fly.stop();
    mode = "dream";
    try {
      const now = await found();
      if (JSON.stringify(settings) !== wanted) return; // something else was chosen meanwhile
      ({ photo } = now);
      dream = { ...now, of: { ...settings } };
      say("");
      tell({ ...settings, ratio: now.ratio });
    } catch (error) {
      settings.photo = content.recorded; // what there is without Python
      await renew({});
      say(error.message);
    }
  }

  const paint = (context, tile, x = 0, y = 0, w = width, h = height) =>
    context.drawImage(tile.image, tile.x, tile.y, tile.width, tile.height, x, y, w, h);

  function drawLarge(context) {
    paint(context, dream.tile);
    context.save();
    context.beginPath();
    context.rect(0, 0, place.x, height);
    context.clip();
    paint(context, photo);
    context.restore();
    context.fillStyle = MARK;
    context.fillRect(place.x - 0.75, 0, 1.5, height);
    const { layer, octaves } = dream.of, { sees } = content.layers.find(({ name }) => name === layer);
    const framed = (side, dash) => {
      context.setLineDash(dash);
      large.frame({ x: place.x - side / 2, y: place.y - side / 2, width: side, height: side }, "#fff");
    };
    framed(sees, []);
    if (octaves > 1) framed(sees * content.scale ** (octaves - 1), [4, 4]);
    context.setLineDash([]);
  }

  function drawWall(context) {
    recorded.dreams.forEach((tile, i) =>
      paint(context, tile, (i % across) * cell.width, Math.floor(i / across) * cell.height, cell.width, cell.height));
    Object.assign(context, { font: "bold 13px sans-serif", lineWidth: 3, strokeStyle: "#000", fillStyle: "#fff" });
    content.layers.forEach(({ name }, row) => {
      const where = [name, 4, row * cell.height + 14, cell.width - 8]; // no wider than its dream
      context.strokeText(...where);
      context.fillText(...where);
    });
    for (const [each, colour] of [[kept, MARK], [settings, "#fff"]]) {
      const { row, column } = wallAt(content, each);
      if (each.photo === content.recorded && (each === kept || JSON.stringify(kept) !== JSON.stringify(settings))) {
        wall.frame({ x: column * cell.width + 1, y: row * cell.height + 1, width: cell.width - 2, height: cell.height - 2 }, colour);
      }
    }
  }

  const redraw = soon(() => {
    if (!dream) return;
    wall.paint(drawWall);
    title.textContent = mode === "flight" ? `the flight, dreamt by ${flownInto}` : `${dream.of.photo}: photo | dream`;
    if (mode === "flight") large.paint((context) => paint(context, flight[frame]));
    else large.paint(drawLarge);
    const enlarged = `Frame ${frame + 1} of ${content.frames}: the photo would be enlarged ${(content.zoom ** frame).toFixed(1)} times by now.`;
    const text = mode === "flight" ? enlarged : aboutDream(content, dream.of, dream.ratio);
    note.textContent = message ? `${message} ${text}` : text;
  });

  Promise.all([content.photo, content.sheet, content.flight].map(decoded)).then(([own, sheet, frames]) => {
    recorded = {
      photo: whole(own),
      dreams: tilesOf(sheet, content.ratios.length, across, width, height),
      flight: tilesOf(frames, content.frames, content.flightAcross, width, height),
    };
    ({ flight } = recorded);
    renew({});
  });
  return () => fly.stop();
}

export default explorer({ dream: dreamExplorer });
