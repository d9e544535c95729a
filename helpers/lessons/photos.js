// Photos in the page: image files from Python, a canvas to point at, a wipe between two images; and asking Python.

const atHand = new WeakMap(); // what was decoded, by its file

/** An image file from Python (WebP, JPEG, PNG) as something to draw. @param {DataView} file @returns {Promise<ImageBitmap>} */
function decoded(file) {
  if (!atHand.has(file)) atHand.set(file, createImageBitmap(new Blob([bytes(file)])));
  return atHand.get(file);
}

/**
 * A canvas in a photo's own pixels. Pointer, touch and arrow keys point at one; a click, Enter or the space bar chooses it.
 *
 * @param {{label: string, width: number, height: number, step?: number, shown?: number,
 *   onPoint?: (place: {x: number, y: number}, event?: PointerEvent) => void,
 *   onPress?: (place: {x: number, y: number}, event?: PointerEvent) => void,
 *   onArrow?: (dx: number, dy: number) => void}} options step: pixels for an arrow key, where onArrow does nothing else;
 *   shown: how wide the canvas is on the screen, where there is room
 */
function photoView(parent, { label, width, height, step = 8, shown = width, onPoint, onPress, onArrow }) {
  const canvas = add(parent, "canvas", { className: "xp-sheet", role: "img", "aria-label": label });
  const scale = (Math.ceil(globalThis.devicePixelRatio || 1) * shown) / width;
  Object.assign(canvas, { width: Math.round(width * scale), height: Math.round(height * scale) });
  Object.assign(canvas.style, { width: `${shown}px`, imageRendering: "auto" });
  const context = canvas.getContext("2d"), place = { x: width >> 1, y: height >> 1 };
  const self = {
    canvas, place, width, height,
    /** Draw anew: the function gets the context, in pixels of the photo. */
    paint(draw) {
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, height);
      draw(context);
    },
    /** A frame around some pixels, inside the canvas however far they reach beyond it. */
    frame({ x, y, width: w, height: h }, colour = MARK) {
      const left = Math.max(1, x), top = Math.max(1, y);
      Object.assign(context, { strokeStyle: colour, lineWidth: Math.max(1, (2 * width) / shown) });
      context.strokeRect(left, top, Math.min(width - 1, x + w) - left, Math.min(height - 1, y + h) - top);
    },
  };
  if (!onPoint) return self;

  const point = (event) => {
    const { x, y } = placeOn(canvas, event, width, height);
    Object.assign(place, { x: indexIn(x, width), y: indexIn(y, height) });
    onPoint(place, event);
  };
  takePointer(canvas, `${label}; arrow keys point at it`, {
    point, onFocus: () => onPoint(place),
    onPress: onPress && ((event) => { if (event) point(event); onPress(place, event); }),
    onArrow: onArrow ?? ((dx, dy) => {
      Object.assign(place, { x: indexIn(place.x + dx * step, width), y: indexIn(place.y + dy * step, height) });
      onPoint(place);
    }),
  });
  return self;
}

/** Two images on one canvas: the first left of a line that follows the pointer, the second right of it. */
function wipe(parent, { label, width, height, shown }) {
  let images = null, at = width / 2;
  const onPoint = ({ x }) => { at = x; draw(); };
  const view = photoView(parent, { label: `${label}; the line between them follows the pointer`, width, height, shown, onPoint });
  const draw = () => images && view.paint((context) => {
    context.drawImage(images[1], 0, 0, width, height);
    context.save();
    context.beginPath();
    context.rect(0, 0, at, height);
    context.clip();
    context.drawImage(images[0], 0, 0, width, height);
    context.restore();
    context.fillStyle = MARK;
    context.fillRect(at - 1, 0, 2, height);
  });
  return { ...view, show(first, second) { images = [first, second]; draw(); } };
}

/**
 * Asks Python; ``Explorer.answer`` there gives the reply, with image files as DataViews.
 * @returns {{isThere: boolean, ask: (request: object, seconds?: number) => Promise<object>}} the promise fails with a
 *   sentence for the reader: what Python had against it, or that nobody answers
 */
function kernelOf(model) {
  const waiting = new Map();
  let count = 0;
  const bring = (value, files) => {
    if (Array.isArray(value)) return value.map((part) => bring(part, files));
    if (!value || typeof value !== "object") return value;
    if ("file" in value && Object.keys(value).length === 1) return files[value.file];
    return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, bring(part, files)]));
  };
  model.on("msg:custom", (message, files) => {
    const { resolve, reject } = waiting.get(message.to) ?? {};
    waiting.delete(message.to);
    message.error ? reject?.(new Error(message.error)) : resolve?.(bring(message.reply, files));
  });
  const ask = (request, seconds = 60) => new Promise((resolve, reject) => {
    if (model.isStatic) return void reject(new Error("That needs a running notebook; here is what was recorded."));
    const to = ++count, silence = () => reject(new Error("The kernel has not answered. Is it running, or busy?"));
    waiting.set(to, { resolve, reject });
    setTimeout(() => waiting.delete(to) && silence(), 1000 * seconds);
    model.send({ to, request });
  });
  return { isThere: !model.isStatic, ask };
}
