// Lesson 6: three thousand items at their places, by pixels or by features, on principal axes or by t-SNE. Point at one,
// and see its nearest neighbours in both spaces.

const SPACES = ["pixels", "features"], MAPS = ["PCA", "t-SNE"], ACROSS = 55, SIDE = 28; // as in Python's sheet
const SECONDS = 1.2, REACH = 14; // how long items travel from map to map; how near the pointer must be, in pixels
const CLASS_COLOURS = [
  [31, 119, 180], [235, 120, 10], [44, 150, 44], [214, 39, 40], [148, 103, 189],
  [150, 95, 75], [215, 100, 185], [120, 120, 120], [165, 165, 25], [20, 170, 190],
];
const HELD = "#ffc400", COLOURINGS = ["by class", "red: disagreement", "red: network wrong", "none"];
const MAP_STYLE = `.xp-holder { position: relative; } .xp-front { position: absolute; left: 1px; top: 1px; pointer-events: none; } .xp-holder canvas { image-rendering: auto; }
.xp-plane { width: 100%; box-sizing: border-box; touch-action: none; cursor: grab; }
.xp-main { flex: 3 1 420px; min-width: 0; } .xp-about { flex: 1 1 270px; min-width: 0; }
.xp-items { display: flex; flex-wrap: wrap; gap: 4px; } .xp .xp-items button { border: 0; padding: 0; width: 50px; font-size: 11px; line-height: 1.15; }
.xp-items canvas { display: block; width: 44px; height: 44px; margin: 0 auto 1px; } .xp-items span { display: block; min-height: 2.3em; }
.xp-rule { border-left: 4px solid; padding-left: 8px; } .xp-key { gap: 4px 6px; } .xp-key button { font-size: 12px; padding: 1px 6px; }
.xp-key i { display: inline-block; width: 9px; height: 9px; margin-right: 5px; }`;

const wholeNumbers = (view) => new Uint16Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
const counted = (n) => n.toLocaleString("en");
const mix = (a, b, share) => a.map((v, n) => v + share * (b[n] - v));
const ease = (t) => t * t * (3 - 2 * t);

/** The numbers of Python's content, ready to use. */
function mapData(content) {
  const near = {}, sums = {}, places = {};
  for (const space of SPACES) {
    near[space] = wholeNumbers(content.near[space]);
    sums[space] = wholeNumbers(content.sums[space]);
    for (const map of MAPS) {
      places[`${space}, ${map}`] = Float32Array.from(wholeNumbers(content.places[`${space}, ${map}`]), (v) => v / 65535);
    }
  }
  const count = sums.pixels.length, across = near.pixels.length / count;
  const disagreement = Float64Array.from(sums.pixels, (sum, i) => (sum + sums.features[i]) / (2 * across));
  const order = [...disagreement.keys()].sort((a, b) => disagreement[b] - disagreement[a] || a - b);
  const rank = new Uint16Array(count);
  order.forEach((item, place) => { rank[item] = place + 1; });
  const labels = bytes(content.labels), guesses = bytes(content.guesses), sure = bytes(content.sure);
  const neighbours = (space, i) => near[space].subarray(i * across, (i + 1) * across);
  const rankIn = (space, i) => sums[space][i] / across; // of the neighbours in that space, by the other one
  return { count, across, labels, guesses, sure, places, disagreement, order, rank, neighbours, rankIn, classes: content.classes };
}

/** What is said of an item. */
function aboutItem({ count, across, labels, guesses, sure, rank, neighbours, rankIn, classes }, i) {
  const same = (space) => neighbours(space, i).filter((j) => labels[j] === labels[i]).length;
  const says = guesses[i] === labels[i] ? `the network agrees (${sure[i]} %)` : `the network says ${classes[guesses[i]]} (${sure[i]} %)`;
  const far = (space) => counted(Math.round(rankIn(space, i)));
  return `Item ${counted(i)}, labelled ${classes[labels[i]]}; ${says}. Of its ${across} nearest, ${same("pixels")} in pixels and ` +
    `${same("features")} in features have its label. It is disagreement number ${counted(rank[i])} of ${counted(count)}: its nearest ` +
    `in pixels stand on average at place ${far("pixels")} of features' list of ${counted(count - 1)} neighbours, ` +
    `and its nearest in features at place ${far("features")} of the pixels' list.`;
}

/** All items' shapes on one canvas, each in its colour, at full size and at half. @param {ImageBitmap} sheet */
function shapes(sheet) {
  const canvas = (share) => Object.assign(document.createElement("canvas"), { width: sheet.width * share, height: sheet.height * share });
  const full = canvas(1), half = canvas(0.5), context = full.getContext("2d", { willReadFrequently: true });
  context.drawImage(sheet, 0, 0);
  const pixels = context.getImageData(0, 0, full.width, full.height), { data } = pixels;
  const level = Uint8Array.from({ length: data.length / 4 }, (_, at) => data[4 * at]);
  let painted = "";
  /** @param {(item: number) => [number, number, number, number]} colour red, green, blue, opacity */
  function paint(key, count, colour) {
    if (key === painted) return;
    painted = key;
    for (let item = 0; item < count; item++) {
      const [r, g, b, opacity] = colour(item), left = (item % ACROSS) * SIDE, top = Math.floor(item / ACROSS) * SIDE;
      for (let row = top; row < top + SIDE; row++) {
        for (let at = row * full.width + left, end = at + SIDE; at < end; at++) {
          const light = 0.45 + level[at] / 425; // dark clothes are clothes, too: only the background is left out
          data[4 * at] = light * r;
          data[4 * at + 1] = light * g;
          data[4 * at + 2] = light * b;
          data[4 * at + 3] = opacity * Math.max(0, Math.min(255, 8 * (level[at] - 24)));
        }
      }
    }
    context.putImageData(pixels, 0, 0);
    const small = half.getContext("2d");
    small.clearRect(0, 0, half.width, half.height);
    Object.assign(small, { imageSmoothingQuality: "high" }).drawImage(full, 0, 0, half.width, half.height);
  }
  return { full, half, paint };
}

const drawItem = (context, image, i, x, y, size, side = SIDE) => context.drawImage(
  image, (i % ACROSS) * side, Math.floor(i / ACROSS) * side, side, side, x - size / 2, y - size / 2, size, size);

function mapExplorer({ root, content, model, soon, tell }) {
  const data = mapData(content), { count, labels, guesses, classes, places, order, rank, neighbours } = data;
  add(root, "style", {}, MAP_STYLE);
  const settings = { space: "pixels", map: "t-SNE", colouring: COLOURINGS[0] }, only = new Set();
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const now = Float32Array.from(places["pixels, t-SNE"]); // where each item is, also on the way
  const { item = content.item } = model.get("state"); // held before the page was opened anew
  let from = now, began = 0, moving = false, shown = item ?? 0, fixed = item ?? -1, sheet = null, atlas = null;
  let steps = -1, described = -1; // how far through the disagreements; the item that the text is about

  const controls = add(root, "div", { className: "xp-row" });
  either(controls, "by", SPACES, "space");
  either(controls, "map", MAPS, "map");
  const jumps = add(root, "div", { className: "xp-row" });
  button(jumps, "next disagreement", () => jump(1));
  button(jumps, "previous", () => jump(-1));
  choice(jumps, "colours", COLOURINGS, settings.colouring, (value) => { settings.colouring = value; redraw(); });
  const jumped = add(jumps, "span"); // the whole story stands further below, where there is little room
  const both = add(root, "div", { className: "xp-row" }), main = add(both, "div", { className: "xp-main" });
  const label = `map of ${counted(count)} items; arrow keys move it, plus and minus zoom, with Shift arrow keys choose the ` +
    "next item, Enter holds on to it, Escape lets it go";
  const redraw = soon(draw);
  const view = plane(main, { label, redraw, onPoint, onPress, onKey, onLeave: () => fixed >= 0 && show(fixed) });
  const tools = add(main, "div", { className: "xp-row" });
  button(tools, "+", () => view.enlarge(1.6, ...middle())).setAttribute("aria-label", "zoom in");
  button(tools, "−", () => view.enlarge(1 / 1.6, ...middle())).setAttribute("aria-label", "zoom out");
  button(tools, "whole map", () => view.whole());
  const key = add(main, "div", { className: "xp-row xp-key", role: "group", "aria-label": "show only these classes" });
  classes.forEach((name, c) => {
    const one = toggle(key, "", false, (on) => { only[on ? "add" : "delete"](c); redraw(); });
    add(one, "i").style.background = `rgb(${CLASS_COLOURS[c].join(" ")})`;
    one.append(name);
  });
  const about = add(both, "div", { className: "xp-about" });
  const large = thumbnail(about, 140), lists = SPACES.map((space, s) => list(space, [MARK, OTHER_MARK][s]));
  const note = add(about, "div", { className: "xp-note", role: "status" });

  /** Two buttons, one of them down. */
  function either(parent, text, names, setting) {
    const group = add(parent, "div", { className: "xp-control", role: "group", "aria-label": text });
    add(group, "span", {}, text);
    const buttons = names.map((name) => toggle(group, name, settings[setting] === name, () => {
      buttons.forEach((one, i) => one.setAttribute("aria-pressed", String(names[i] === name)));
      settings[setting] = name;
      travel();
    }));
  }

  function thumbnail(parent, size) {
    const canvas = add(parent, "canvas", { width: 4 * SIDE, height: 4 * SIDE, role: "img" });
    canvas.style.width = `${size}px`;
    canvas.style.background = "#000";
    return (i) => {
      drawItem(canvas.getContext("2d"), sheet, i, 2 * SIDE, 2 * SIDE, 4 * SIDE);
      canvas.setAttribute("aria-label", `item ${counted(i)}, ${classes[labels[i]]}`);
    };
  }

  /** The neighbours in a space as buttons. */
  function list(space, colour) {
    const column = titledColumn(about, `nearest in ${space}`, "xp-column xp-rule");
    column.style.borderLeftColor = colour;
    const row = add(column, "div", { className: "xp-items" });
    const parts = Array.from({ length: data.across }, (_, n) => {
      const one = button(row, "", () => hold(neighbours(space, shown)[n]));
      return { paint: thumbnail(one, 44), name: add(one, "span") };
    });
    return () => neighbours(space, shown).forEach((j, n) => {
      parts[n].paint(j);
      parts[n].name.textContent = (labels[j] === labels[shown] ? "" : "✗ ") + classes[labels[j]];
    });
  }

  // --- What the reader does -----------------------------------------------------------------------------------------

  function show(i) {
    shown = i;
    redraw();
  }
  function hold(i) {
    fixed = i;
    tell({ item: i });
    show(i);
  }
  function jump(by) {
    steps = Math.max(0, Math.min(count - 1, steps + by));
    view.whole();
    hold(order[steps]);
    jumped.textContent = `number ${steps + 1}: item ${counted(order[steps])}, ${classes[labels[order[steps]]]}`;
  }
  const middle = () => {
    const [x, y] = view.onScreen(now[2 * shown], now[2 * shown + 1]);
    return x > 0 && y > 0 && x < view.width && y < view.height ? [x, y] : [view.width / 2, view.height / 2];
  };
  /** The item nearest to a place of the screen, in some direction from it or in any; −1 if none is near enough. */
  function nearest(x, y, reach, suits = () => true) {
    let best = -1, least = reach;
    for (let i = 0; i < count; i++) {
      const [ix, iy] = view.onScreen(now[2 * i], now[2 * i + 1]), distance = Math.hypot(ix - x, iy - y);
      if (distance < least && suits(ix - x, iy - y, i)) [best, least] = [i, distance];
    }
    return best;
  }
  const under = (x, y) => nearest(x, y, Math.max(REACH, itemSize() * 0.7), (dx, dy, i) => isShown(i));
  function onPoint(x, y) {
    const i = under(x, y);
    if (i >= 0) show(i);
    else if (fixed >= 0) show(fixed);
  }
  function onPress(x, y) {
    const i = under(x, y);
    if (i >= 0) return hold(i);
    fixed = -1;
    redraw();
  }
  function onKey({ key: pressed, shiftKey }) {
    if (shiftKey && pressed in ARROWS) {
      const [wx, wy] = ARROWS[pressed], [x, y] = view.onScreen(now[2 * shown], now[2 * shown + 1]);
      const next = nearest(x, y, Infinity, (dx, dy, i) => i !== shown && isShown(i) && dx * wx + dy * wy > Math.abs(dx * wy) + Math.abs(dy * wx));
      if (next >= 0) hold(next);
    } else if (pressed === "Enter" || pressed === " ") hold(shown);
    else if (pressed === "Escape") { fixed = -1; redraw(); } else return false;
    return true;
  }

  // --- Drawing ------------------------------------------------------------------------------------------------------

  function travel() {
    const to = places[`${settings.space}, ${settings.map}`];
    view.whole();
    if (still.matches) now.set(to);
    else [from, began, moving] = [Float32Array.from(now), performance.now(), true];
  }
  function step() {
    if (!moving) return;
    const share = Math.min(1, (performance.now() - began) / 1000 / SECONDS), to = places[`${settings.space}, ${settings.map}`];
    const part = ease(share);
    for (let at = 0; at < now.length; at++) now[at] = from[at] + part * (to[at] - from[at]);
    if ((moving = share < 1)) redraw();
  }
  const itemSize = () => Math.max(8, 0.021 * Math.min(view.width, view.height)) * view.zoom ** 0.7;
  const isShown = (i) => !only.size || only.has(labels[i]);
  function colourOf(dark) {
    const plain = dark ? [120, 120, 120] : [165, 165, 165];
    const by = {
      "by class": (i) => CLASS_COLOURS[labels[i]],
      "red: disagreement": (i) => mix(plain, dark ? [255, 110, 30] : [225, 30, 0], (1 - rank[i] / count) ** 4),
      "red: network wrong": (i) => (guesses[i] === labels[i] ? plain : [220, 40, 40]),
      none: () => plain,
    }[settings.colouring];
    return (i) => [...by(i), isShown(i) ? 1 : 0.1];
  }

  function draw() {
    step();
    const dark = isDark(root), { width, height, zoom } = view;
    if (!atlas || !width) return;
    const looks = [settings.colouring, [...only].sort(), dark].join("|");
    atlas.paint(looks, count, colourOf(dark));
    view.refresh([looks, width, height, zoom, settings.space, settings.map, moving && performance.now()].join("|"), drawItems);
    view.clearMarks();
    const colours = dark ? ["#ff8c3a", "#56b4e9"] : [MARK, OTHER_MARK], at = (i) => view.onScreen(now[2 * i], now[2 * i + 1]);
    framed(shown, ...at(shown), Math.max(36, itemSize() * 1.6), fixed === shown ? HELD : "#999"); // neighbours lie above it
    SPACES.forEach((space, s) => lines(at, [...neighbours(space, shown)], colours[s]));
    if (described !== shown) describe();
  }
  function drawItems(left, top, [x0, y0, width, height]) {
    const size = itemSize(), reach = size / 2, unit = view.unit();
    const [image, side] = size * view.scale <= 0.6 * SIDE ? [atlas.half, SIDE / 2] : [atlas.full, SIDE];
    for (let i = 0; i < count; i++) {
      const x = left + now[2 * i] * unit, y = top + now[2 * i + 1] * unit;
      if (x > x0 - reach && y > y0 - reach && x < x0 + width + reach && y < y0 + height + reach) {
        drawItem(view.context, image, i, x, y, size, side);
      }
    }
  }
  function lines(at, ends, colour) {
    Object.assign(view.marks, { strokeStyle: colour, lineWidth: 1.5 });
    view.marks.beginPath();
    for (const j of ends) {
      view.marks.moveTo(...at(shown));
      view.marks.lineTo(...at(j));
    }
    view.marks.stroke();
    ends.forEach((j) => framed(j, ...at(j), Math.max(17, itemSize() * 1.2), colour));
  }
  function framed(i, x, y, size, colour) {
    view.marks.fillStyle = "#000";
    view.marks.fillRect(x - size / 2, y - size / 2, size, size);
    drawItem(view.marks, sheet, i, x, y, size);
    Object.assign(view.marks, { strokeStyle: colour, lineWidth: 2 });
    view.marks.strokeRect(x - size / 2, y - size / 2, size, size);
  }
  function describe() {
    described = shown;
    large(shown);
    lists.forEach((update) => update());
    note.textContent = aboutItem(data, shown);
  }

  decoded(content.sheet).then((bitmap) => {
    [sheet, atlas] = [bitmap, shapes(bitmap)];
    redraw();
  });
  return () => view.end();
}

export default explorer({ map: mapExplorer });
