// A canvas to look into a square plane, from (0, 0) at the upper left to (1, 1): wheel, two fingers, + and − zoom;
// dragging and arrow keys move. What is drawn, and what is pointed at, the lesson says.

const MAX_ZOOM = 24;

/**
 * @param {{label: string, onPoint: (x: number, y: number) => void, onPress: (x: number, y: number) => void,
 *   onLeave: () => void, onKey: (event: KeyboardEvent) => boolean, redraw: () => void}} options places are in pixels of
 *   the screen from the canvas's corner; onKey: whether the lesson took the key; redraw: asks for a new frame
 */
function plane(parent, { label, onPoint, onPress, onLeave, onKey, redraw }) {
  const holder = add(parent, "div", { className: "xp-holder" });
  const canvas = add(holder, "canvas", { className: "xp-sheet xp-plane" });
  const front = add(holder, "canvas", { className: "xp-front", "aria-hidden": "true" }); // marks: drawn without all the rest
  const [context, marks] = [canvas, front].map((one) => one.getContext("2d"));
  const scale = Math.ceil(globalThis.devicePixelRatio || 1);
  const fingers = new Map(); // the pointers that are down, and where each was last
  let last = { key: null, left: 0, top: 0 }; // what was drawn
  let travelled = 0, isOver = false; // how far the press has moved; whether the pointer itself came over the canvas
  const self = {
    canvas, context, marks, scale, width: 0, height: 0, zoom: 1, x: 0.5, y: 0.5,
    /** Pixels of the screen for one unit of the plane. */
    unit: () => 0.92 * Math.min(self.width, self.height) * self.zoom,
    /** Where on the screen a place of the plane is. */
    onScreen: (x, y) => [(x - self.x) * self.unit() + self.width / 2, (y - self.y) * self.unit() + self.height / 2],
    /** Move the view by pixels of the screen. */
    move(dx, dy) {
      self.x = Math.max(0, Math.min(1, self.x - dx / self.unit()));
      self.y = Math.max(0, Math.min(1, self.y - dy / self.unit()));
      redraw();
    },
    /** Enlarge, with one place of the screen staying where it is. */
    enlarge(factor, atX = self.width / 2, atY = self.height / 2) {
      const before = self.unit(), fromMiddle = [atX - self.width / 2, atY - self.height / 2];
      self.zoom = Math.max(1, Math.min(MAX_ZOOM, self.zoom * factor));
      const change = 1 / before - 1 / self.unit();
      self.x += fromMiddle[0] * change;
      self.y += fromMiddle[1] * change;
      if (self.zoom === 1) [self.x, self.y] = [0.5, 0.5];
      self.move(0, 0);
    },
    /**
     * Draw the canvas below the marks. While the key stays the same, the view has merely moved: then what is there moves
     * along, and only what comes into view is drawn.
     * @param {(left: number, top: number, part: number[]) => void} paint left and top: where the plane's corner is on
     *   the screen; part: x, y, width and height of what to draw
     */
    refresh(key, paint) {
      const { width, height } = self, snapped = (v) => Math.round(v * scale) / scale; // whole pixels move without a blur
      const left = snapped(width / 2 - self.x * self.unit()), top = snapped(height / 2 - self.y * self.unit());
      const dx = left - last.left, dy = top - last.top, isMoved = key === last.key && Math.abs(dx) < width && Math.abs(dy) < height;
      const part = (...box) => {
        if (!box[2] || !box[3]) return;
        context.save();
        context.beginPath();
        context.rect(...box);
        context.clip();
        context.clearRect(...box);
        paint(left, top, box);
        context.restore();
      };
      last = { key, left, top };
      context.setTransform(scale, 0, 0, scale, 0, 0);
      if (!isMoved) return void part(0, 0, width, height);
      if (!dx && !dy) return;
      Object.assign(context, { globalCompositeOperation: "copy", imageSmoothingEnabled: false });
      context.drawImage(canvas, dx, dy, width, height);
      Object.assign(context, { globalCompositeOperation: "source-over", imageSmoothingEnabled: true });
      part(dx > 0 ? 0 : width + dx, 0, Math.abs(dx), height);
      part(0, dy > 0 ? 0 : height + dy, width, Math.abs(dy));
    },
    /** Empty the canvas for the marks, to be drawn on in pixels of the screen. */
    clearMarks() {
      marks.setTransform(scale, 0, 0, scale, 0, 0);
      marks.clearRect(0, 0, self.width, self.height);
    },
    whole() {
      Object.assign(self, { zoom: 1, x: 0.5, y: 0.5 });
      redraw();
    },
  };

  function resize() {
    const width = Math.floor(canvas.clientWidth), height = Math.round(Math.max(300, Math.min(600, 0.8 * width)));
    if (!width || (width === self.width && height === self.height)) return;
    Object.assign(self, { width, height });
    for (const one of [canvas, front]) Object.assign(one, { width: width * scale, height: height * scale });
    canvas.style.height = `${height + 2}px`; // its border
    Object.assign(front.style, { width: `${width}px`, height: `${height}px` });
    redraw();
  }
  const sizes = new ResizeObserver(resize);
  sizes.observe(canvas);

  const placeOf = (event) => {
    const { x, y } = placeOn(canvas, event, self.width, self.height);
    return [x, y];
  };
  /** The middle of the fingers, and how far the first two are apart. */
  function grip() {
    const [a, b = a] = [...fingers.values()];
    return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, apart: Math.hypot(a[0] - b[0], a[1] - b[1]) };
  }
  function drag(event) {
    const before = grip();
    fingers.set(event.pointerId, placeOf(event));
    const after = grip();
    travelled += Math.hypot(after.x - before.x, after.y - before.y) + Math.abs(after.apart - before.apart);
    if (travelled < DRAG) return;
    if (before.apart && after.apart) self.enlarge(after.apart / before.apart, after.x, after.y);
    self.move(after.x - before.x, after.y - before.y);
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    if (!fingers.size) travelled = 0;
    fingers.set(event.pointerId, placeOf(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    isOver ||= Boolean(event.movementX || event.movementY);
    if (fingers.has(event.pointerId)) drag(event);
    else if (event.pointerType !== "touch") onPoint(...placeOf(event));
  });
  canvas.addEventListener("pointerup", (event) => {
    if (fingers.delete(event.pointerId) && !fingers.size && travelled < DRAG) onPress(...placeOf(event));
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointerleave", () => { isOver = false; onLeave(); });
  // A page that is scrolled until the canvas lies under a resting pointer goes on scrolling.
  canvas.addEventListener("wheel", (event) => {
    if (!isOver || (event.deltaY > 0 && self.zoom === 1)) return;
    event.preventDefault();
    self.enlarge(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) / 300), ...placeOf(event));
  }, { passive: false });
  takeKeys(canvas, label, (event) => {
    if (onKey(event)) return true;
    if (event.key in ARROWS) self.move(...ARROWS[event.key].map((direction) => -60 * direction));
    else if (event.key === "+" || event.key === "=") self.enlarge(1.4);
    else if (event.key === "-") self.enlarge(1 / 1.4);
    else if (event.key === "0") self.whole();
    else return false;
    return true;
  });
  return Object.assign(self, { end: () => sizes.disconnect() });
}
