// Canvases to point at: by pointer, finger and keys. Maps of numbers are here, photos in photos.js.

// --- Pointing -------------------------------------------------------------------------------------------------------

const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

/** A whole number from 0 to size − 1. */
const indexIn = (v, size) => Math.max(0, Math.min(size - 1, Math.floor(v)));

/** Where an event is on a canvas, in units of which it has ``width`` and ``height``, however large it is shown. */
function placeOn(canvas, event, width, height) {
  const box = canvas.getBoundingClientRect(), { clientLeft: left, clientTop: top } = canvas; // its border
  return {
    x: ((event.clientX - box.left - left) / (box.width - 2 * left)) * width,
    y: ((event.clientY - box.top - top) / (box.height - 2 * top)) * height,
  };
}

/** Let keys reach a canvas; one that ``onKey`` takes does not go on to the notebook. */
function takeKeys(canvas, label, onKey) {
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", label);
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !onKey(event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}

/**
 * Let pointer, finger and keys point at a canvas.
 * @param {{point: (event: PointerEvent) => void, onFocus: () => void, onPress?: (event?: PointerEvent) => void,
 *   onArrow: (dx: number, dy: number, event: KeyboardEvent) => void}} options point: where the pointer is; onPress: a
 *   click there, or Enter or the space bar, without an event
 */
function takePointer(canvas, label, { point, onFocus, onPress, onArrow }) {
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("click", onPress ?? point); // not where a finger scrolls
  canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && onFocus());
  takeKeys(canvas, label, (event) => {
    if (event.key in ARROWS) onArrow(...ARROWS[event.key], event);
    else if (onPress && (event.key === "Enter" || event.key === " ")) onPress();
    else return false;
    return true;
  });
}

// --- Maps -----------------------------------------------------------------------------------------------------------

/**
 * Maps side by side on one canvas. Pointer, touch and arrow keys (with Shift from map to map) point at a cell of one of
 * them; a press, Enter or the space bar chooses it.
 *
 * @param {{label: string, count?: number, rows: number, columns: number, across?: number, cell?: number,
 *   onPoint?: (place: {map: number, row: number, column: number}, event?: PointerEvent) => void,
 *   onPress?: (place: {map: number, row: number, column: number}, event?: PointerEvent) => void}} options
 */
function sheet(parent, { label, count = 1, rows, columns, across = count, cell = 4, onPoint, onPress }) {
  const gap = count > 1 ? 4 : 0, down = Math.ceil(count / across);
  const width = Math.round(across * (columns * cell + gap) - gap), height = Math.round(down * (rows * cell + gap) - gap);
  const canvas = add(parent, "canvas", { className: "xp-sheet", role: "img", "aria-label": label });
  const scale = Math.ceil(globalThis.devicePixelRatio || 1);
  Object.assign(canvas, { width: width * scale, height: height * scale });
  canvas.style.width = `${width}px`;
  const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows), { data } = pixels;
  const pictures = Array.from({ length: count }, () =>
    Object.assign(document.createElement("canvas"), { width: columns, height: rows }).getContext("2d"));
  const left = (map) => (map % across) * (columns * cell + gap), top = (map) => Math.floor(map / across) * (rows * cell + gap);
  const place = { map: 0, row: Math.floor(rows / 2), column: Math.floor(columns / 2) };

  /** What is off can be told from what is merely dark or light. */
  function cross(x, y) {
    context.strokeStyle = MARK;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x + columns * cell, y + rows * cell);
    context.moveTo(x + columns * cell, y);
    context.lineTo(x, y + rows * cell);
    context.stroke();
  }

  const self = {
    canvas, place, rows, columns,
    /** Draw each map with a function from a value to [red, green, blue]; one for all, or one for each map. */
    draw(values, colour, dimmed) {
      for (let map = 0; map < count; map++) {
        const paint = Array.isArray(colour) ? colour[map] : colour;
        for (let at = map * rows * columns, to = 0; to < data.length; at++) {
          const [r, g, b] = paint(values[at]);
          data[to++] = r;
          data[to++] = g;
          data[to++] = b;
          data[to++] = 255;
        }
        pictures[map].putImageData(pixels, 0, 0);
      }
      self.again(dimmed);
    },
    /** Show what was drawn last, without its frames. */
    again(dimmed = () => false) {
      context.setTransform(scale, 0, 0, scale, 0, 0);
      context.clearRect(0, 0, width, height);
      context.imageSmoothingEnabled = false;
      pictures.forEach((picture, map) => {
        context.globalAlpha = dimmed(map) ? 0.2 : 1;
        context.drawImage(picture.canvas, left(map), top(map), columns * cell, rows * cell);
        context.globalAlpha = 1;
        if (dimmed(map)) cross(left(map), top(map));
      });
    },
    /** Draw a frame around cells of one map. */
    frame({ map = 0, row, column, height: h = 1, width: w = 1, colour = MARK }) {
      context.strokeStyle = colour;
      context.lineWidth = 2;
      const x = Math.max(1, left(map) + column * cell - 1), y = Math.max(1, top(map) + row * cell - 1);
      const right = Math.min(width - 1, left(map) + (column + w) * cell + 1);
      const bottom = Math.min(height - 1, top(map) + (row + h) * cell + 1);
      context.strokeRect(x, y, right - x, bottom - y);
    },
  };
  if (!onPoint) return self;

  const point = (event) => {
    const { x, y } = placeOn(canvas, event, width, height);
    const step = { x: columns * cell + gap, y: rows * cell + gap };
    // Between two maps the nearer one is meant: a finger is wider than the gap.
    const map = indexIn((y + gap / 2) / step.y, down) * across + indexIn((x + gap / 2) / step.x, across);
    if (map >= count) return false;
    Object.assign(place, { map, row: indexIn((y - top(map)) / cell, rows), column: indexIn((x - left(map)) / cell, columns) });
    onPoint(place, event);
    return true;
  };
  takePointer(canvas, `${label}; arrow keys point at a cell${count > 1 ? ", with Shift at another map" : ""}`, {
    point, onFocus: () => onPoint(place),
    onPress: onPress && ((event) => (!event || point(event)) && onPress(place, event)),
    onArrow(dx, dy, event) {
      const map = place.map + dy * across + dx;
      if (!event.shiftKey) {
        place.row = indexIn(place.row + dy, rows);
        place.column = indexIn(place.column + dx, columns);
      } else if (map >= 0 && map < count) place.map = map;
      onPoint(place);
    },
  });
  return self;
}
