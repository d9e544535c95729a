// Lesson 5: the channels of a network. Point at a channel's map, and see where in the photo it answers, what a unit
// sees, the patches that excite the channel most, and the image of the atlas; switch it off, and see what changes.

// --- On the screen --------------------------------------------------------------------------------------------------

const CHANNEL_STYLE = `.xp .xp-patch { padding: 2px; line-height: 1.2; font-size: 12px; text-align: center; }
.xp-few { gap: 6px; margin: 0; } .xp-few canvas { display: block; width: 96px; height: 96px; }
.xp-made { padding: 3px; text-align: center; font-size: 12px; line-height: 1.2; } .xp-said { min-height: 2.9em; }
.xp .xp-patch:disabled { opacity: 1; cursor: default; border-color: transparent; } .xp-off { min-height: 7em; }
.xp .xp-number { width: 5em; } .xp-left { width: 260px; }`;
const ORDERS = ["by number", "brightest here first", "brightest at the mark first"];
const BROAD = 404, PHOTO = 256, SMALL = 192; // pixels: contact sheet and photo on the screen, a patch's canvas

function channelExplorer({ root, content, model, soon, tell }) {
  add(root, "style", {}, CHANNEL_STYLE);
  const { side, photos } = content, python = kernelOf(model);
  const layers = content.layers.map((l) => ({ ...l, whites: floats(l.whites), patches: bytes(l.patches) }));
  const shown = photos.filter((photo) => photo.maps);
  const state = { photo: shown[0], layer: layers[3], order: ORDERS[0], chosen: { channel: 120 }, pointed: null, isOff: false };
  const mark = { x: side / 2, y: side / 2 }, shade = Object.assign(document.createElement("canvas"), { width: side, height: side });
  let shares, order, bitmaps, tiles, view, scores, waiting, turn = 0;

  const controls = add(root, "div", { className: "xp-row" });
  const photoChoice = choice(controls, "photo", shown.map((p) => p.name), state.photo.name, (name) =>
    renew({ photo: shown.find((p) => p.name === name) }));
  choice(controls, "layer", layers.map((l) => l.name), state.layer.name, (name) =>
    renew({ layer: layers.find((l) => l.name === name), chosen: null }));
  const orderChoice = choice(controls, "order", ORDERS, state.order, (name) => renew({ order: name }));
  const number = add(labelled(controls, "channel"), "input", { type: "number", min: 0, className: "xp-number", ...OWN_KEYS });
  number.addEventListener("input", () => {
    const channel = Math.round(number.value);
    if (shares && number.value !== "" && channel >= 0 && channel < state.layer.channels) choose(strongest(shares, state.layer, channel));
  });
  number.addEventListener("change", () => { number.value = unit().channel; }); // not one that there is none of
  toggle(controls, "switch the channel off", false, (isOff) => { state.isOff = isOff; ask(); redraw(); });
  const note = add(root, "div", { className: "xp-note xp-brief xp-said", role: "status" });
  const row = add(root, "div", { className: "xp-row" });
  const left = add(row, "div", { className: "xp-column xp-left" }), right = add(row, "div", { className: "xp-column" });
  const photoTitle = add(left, "span", { className: "xp-title" });
  const photo = photoView(left, {
    label: "photo, lit by the channel's map", width: side, height: side, shown: PHOTO, onPress: setMark,
    onPoint: (place, event) => shares && (event ? point : choose)(unitAt(state.chosen.channel, place)),
  });
  photo.canvas.addEventListener("pointerleave", () => point(null));
  const below = add(left, "div", { className: "xp-column" });
  const offNote = add(left, "div", { className: "xp-note xp-off", role: "status" }); // of one height, whatever it says
  const sheetTitle = add(right, "span", { className: "xp-title" }), holder = add(right, "div");
  add(root, "span", { className: "xp-title" }, "What excites the channel most, in all photos, and what was made to excite it");
  const few = add(root, "div", { className: "xp-row xp-few" });
  const buttons = patchesOf(layers[0], 0).map(() => {
    const element = button(few, "", () => visit(element.patch)), canvas = add(element, "canvas", { width: SMALL, height: SMALL });
    element.className = "xp-patch";
    return { element, context: canvas.getContext("2d"), text: add(element, "span") };
  });
  const made = add(few, "div", { className: "xp-made" });
  const madeContext = add(made, "canvas", { width: SMALL, height: SMALL, role: "img", "aria-label": "made to excite it" }).getContext("2d");
  const madeText = add(made, "span");

  const unit = () => state.pointed ?? state.chosen;
  const shareAt = ({ channel, row, column }) => shares[(channel * state.layer.rows + row) * state.layer.rows + column];

  /** Load and lay out anew, after a change of photo, layer or order. */
  async function renew(change) {
    Object.assign(state, change);
    shares = null; // those of another layer or photo are not to be drawn
    const mine = ++turn, { layer } = state, files = [state.photo.maps[layers.indexOf(layer)], ...photos.map((p) => p.file)];
    const [maps, ...loaded] = await Promise.all(files.map(decoded)), atlas = layer.atlas && (await decoded(layer.atlas));
    if (mine !== turn) return; // something else was chosen meanwhile
    [bitmaps, tiles] = [loaded, atlas];
    shares = sharesOf(maps, layer);
    const size = layer.rows * layer.rows, of = (channel) => shares.subarray(channel * size, (channel + 1) * size);
    const values = [() => 0, (channel) => of(channel).reduce((a, b) => a + b), (channel) => shareAt(unitAt(channel, mark))];
    order = ordered(layer.channels, values[ORDERS.indexOf(state.order)]);
    orderChoice.value = state.order;
    const channel = "order" in change || !state.chosen ? order[0] : state.chosen.channel;
    layOut(layer);
    choose(state.order === ORDERS[2] ? unitAt(channel, mark) : strongest(shares, layer, channel));
  }

  function layOut(layer) {
    const { rows, channels, across } = layer, label = `maps of the ${channels} channels of ${layer.name}`;
    holder.replaceChildren();
    view = sheet(holder, {
      label, count: channels, rows, columns: rows, across, cell: ((BROAD + 4) / across - 4) / rows,
      onPoint: ({ map, row, column }, event) => (event ? point : choose)({ channel: order[map], row, column }),
      onPress: ({ map, row, column }) => choose({ channel: order[map], row, column }),
    });
    view.canvas.addEventListener("pointerleave", () => point(null));
    const size = rows * rows, inOrder = new Float32Array(shares.length);
    order.forEach((channel, i) => inOrder.set(shares.subarray(channel * size, (channel + 1) * size), i * size));
    view.draw(inOrder, gray(0, 1));
    sheetTitle.textContent = `${channels} channels of ${layer.name} (${layer.module}), ${state.order}`;
    photoTitle.textContent = `${state.photo.name}: a map of ${layer.rows} × ${layer.rows} units` + (layer.step > 1 ? ", thinned out" : "");
    below.replaceChildren();
    scores = bars(below, state.photo.classes, percent);
  }

  /** Look at a unit for a while: until the pointer is elsewhere. */
  function point(unit) {
    state.pointed = unit;
    redraw();
  }

  function choose(unit) {
    Object.assign(state, { chosen: unit, pointed: null });
    Object.assign(view.place, { map: order.indexOf(unit.channel), row: unit.row, column: unit.column });
    number.max = state.layer.channels - 1;
    if (number.value === "" || Math.round(number.value) !== unit.channel) number.value = unit.channel; // else as it was typed
    tell({ layer: state.layer.module, channel: unit.channel });
    ask();
    redraw();
  }

  /** The unit of a channel that looks at a pixel of the photo. */
  const unitAt = (channel, { x, y }) => ({ channel, row: shownAt(state.layer, channel, y), column: shownAt(state.layer, channel, x) });

  /** The place pressed on is marked, and the channels that are brightest there come first. */
  function setMark({ x, y }) {
    Object.assign(mark, { x, y });
    renew({ order: ORDERS[2] });
  }

  /** Show the photo that a patch is from. */
  function visit(patch) {
    photoChoice.value = photos[patch.photo].name;
    renew({ photo: photos[patch.photo] });
  }

  const records = () => state.photo.off[layers.indexOf(state.layer)];

  /** What was not recorded is asked of Python, for a channel that stays chosen for a moment. */
  function ask() {
    clearTimeout(waiting);
    if (state.isOff && python.isThere && shares && !(state.chosen.channel in records())) waiting = setTimeout(askNow, 250);
  }

  async function askNow() {
    const { channel } = state.chosen, found = records(), layer = layers.indexOf(state.layer);
    try {
      Object.assign(found, (await python.ask({ photo: state.photo.name, layer, channel })).off);
    } catch (error) {
      offNote.textContent = error.message;
      return;
    }
    redraw();
  }

  const redraw = soon(() => {
    if (!shares) return;
    const { layer } = state, now = unit(), { channel } = now;
    const field = fieldOf(layer, channel, realOf(layer, now.row), realOf(layer, now.column));
    drawPhoto(channel, field);
    view.again((map) => state.isOff && order[map] === channel);
    view.frame({ map: order.indexOf(state.chosen.channel), row: 0, column: 0, height: layer.rows, width: layer.rows });
    if (now.channel !== state.chosen.channel)
      view.frame({ map: order.indexOf(channel), row: 0, column: 0, height: layer.rows, width: layer.rows, colour: OTHER_MARK });
    note.textContent = aboutUnit(layer, now, shareAt(now), field, photos.length);
    drawPatches(channel);
    drawScores(channel);
  });

  function drawPhoto(channel, field) {
    shade.getContext("2d").putImageData(darkness(shares, state.layer, side, channel), 0, 0);
    photo.paint((context) => {
      context.drawImage(bitmaps[photos.indexOf(state.photo)], 0, 0, side, side);
      context.imageSmoothingEnabled = false;
      context.drawImage(shade, 0, 0);
      context.imageSmoothingEnabled = true;
      if (state.order === ORDERS[2]) photo.frame({ x: mark.x - 4, y: mark.y - 4, width: 8, height: 8 }, OTHER_MARK);
      photo.frame(field);
    });
  }

  function drawPatches(channel) {
    const { layer } = state;
    patchesOf(layer, channel).forEach((patch, i) => {
      const { element, context, text } = buttons[i], name = photos[patch.photo].name;
      const { x, y, width, height } = fieldOf(layer, channel, patch.row, patch.column);
      context.clearRect(0, 0, SMALL, SMALL);
      context.imageSmoothingEnabled = width > 40;
      const scale = SMALL / Math.max(width, height);
      if (patch.share) context.drawImage(bitmaps[patch.photo], x, y, width, height, 0, 0, width * scale, height * scale);
      element.patch = patch;
      element.disabled = !photos[patch.photo].maps; // only seen, not to be visited
      text.textContent = `${name} ${whole(patch.share)}`;
    });
    madeContext.clearRect(0, 0, SMALL, SMALL);
    const { tile, across } = layer, at = [(channel % across) * tile, Math.floor(channel / across) * tile];
    if (tiles) madeContext.drawImage(tiles, ...at, tile, tile, 0, 0, SMALL, SMALL);
    made.style.visibility = tiles ? "" : "hidden";
    madeText.textContent = `atlas, ${channel}`;
  }

  function drawScores(channel) {
    const off = state.isOff && records()[channel], present = off ? off.slice(0, 5) : state.photo.scores;
    scores.update(present, 1);
    if (!state.isOff) offNote.textContent = "The five classes that the whole network finds most likely.";
    else if (off) offNote.textContent = aboutOff(state.layer, channel, state.photo, off);
    else if (python.isThere) offNote.textContent = `Not known yet without channel ${channel}: press on it, and Python computes it.`;
    else {
      offNote.textContent = `Not recorded for channel ${channel}. Recorded are the ${content.recorded} channels ` +
        `that come first in the order “${ORDERS[1]}”; others need a running notebook.`;
    }
  }

  renew({});
}

export default explorer({ channels: channelExplorer });
