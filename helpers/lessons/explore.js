// What the explorers share: controls, and the frame around each. Joined by Python with the other shared parts and one
// lesson's module; it makes no request and depends on nothing.

// --- Elements -------------------------------------------------------------------------------------------------------

/** An element with properties, put at the end of its parent. */
function add(parent, tag, properties = {}, text = "") {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    name in element && !name.includes("-") ? (element[name] = value) : element.setAttribute(name, value);
  }
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function labelled(parent, text) {
  const label = add(parent, "label", { className: "xp-control" });
  add(label, "span", {}, text);
  return label;
}

const DRAG = 4; // pixels from which a press is a drag; a hand that clicks trembles
const OWN_KEYS = { "data-lm-suppress-shortcuts": "true" }; // else JupyterLab takes the arrow keys to move among cells

/** A choice among names. @returns {HTMLSelectElement} */
function choice(parent, text, names, value, onChange) {
  const select = add(labelled(parent, text), "select", OWN_KEYS);
  names.forEach((name) => add(select, "option", { value: name }, name));
  select.value = value;
  select.addEventListener("change", () => onChange(select.value));
  return select;
}

/** A slider that shows its value, written by ``form``; ``say`` shows another text. */
function slider(parent, text, { min, max, step = 1, value, form = String }, onChange) {
  const label = labelled(parent, text);
  const input = add(label, "input", { type: "range", min, max, step, ...OWN_KEYS });
  input.value = value;
  const shown = add(label, "output");
  const say = (text) => {
    shown.textContent = text;
    if (text) input.setAttribute("aria-valuetext", text); // else a place among rates would be read out as "17"
  };
  say(form(Number(value)));
  input.addEventListener("input", () => {
    say(form(Number(input.value)));
    onChange(Number(input.value));
  });
  return Object.assign(input, { say });
}

/** @returns {HTMLButtonElement} */
function button(parent, text, onClick) {
  const element = add(parent, "button", { type: "button" }, text);
  element.addEventListener("click", () => onClick(element));
  return element;
}

/** A button that stays down or up. @returns {HTMLButtonElement} */
function toggle(parent, text, isOn, onChange) {
  const show = (element, on) => element.setAttribute("aria-pressed", String(on));
  const element = button(parent, text, () => {
    const on = element.getAttribute("aria-pressed") !== "true";
    show(element, on);
    onChange(on);
  });
  show(element, isOn);
  return element;
}

/** A grid of numbers to edit by typing, arrow keys, wheel, and by dragging up and down. ``set`` fills it anew. */
function numberGrid(parent, text, onChange) {
  const group = add(parent, "div", { className: "xp-numbers", role: "group", "aria-label": text });
  return {
    set(size, values) {
      group.replaceChildren();
      group.style.gridTemplateColumns = `repeat(${size}, max-content)`;
      values.forEach((value, i) => {
        const name = `row ${Math.floor(i / size)}, column ${i % size}`;
        const input = add(group, "input", { type: "number", step: "any", "aria-label": name, value: +value.toFixed(3) });
        input.addEventListener("input", () => input.value !== "" && onChange(i, Number(input.value)));
        const change = (by) => {
          input.value = +(Number(input.value) + by).toFixed(3);
          onChange(i, Number(input.value));
        };
        input.addEventListener("wheel", (event) => {
          if (document.activeElement !== input) return; // else a page could not be scrolled over it
          event.preventDefault();
          change(event.deltaY < 0 ? 0.25 : -0.25);
        });
        input.addEventListener("blur", () => input.value === "" && change(0));
        let pulled = null; // pixels up and down since the press, if there was one here
        input.addEventListener("pointerdown", (event) => {
          input.setPointerCapture(event.pointerId); // keeps the drag
          pulled = event.pointerType === "mouse" && event.button === 0 ? 0 : null;
        });
        input.addEventListener("lostpointercapture", () => { pulled = null; });
        input.addEventListener("pointermove", ({ movementY }) => {
          if (pulled === null || !movementY) return;
          pulled += Math.abs(movementY);
          if (pulled >= DRAG) change(-movementY / 20);
        });
      });
    },
  };
}

/** A column under its title. */
function titledColumn(parent, text, className = "xp-column") {
  const column = add(parent, "div", { className });
  add(column, "span", { className: "xp-title" }, text);
  return column;
}

/** A table of numbers, rows by columns, each on its colour. @returns {(values: number[], colour: Function) => void} */
function table(parent, text, rows, columns) {
  const body = add(add(titledColumn(parent, text), "table", { "aria-label": text }), "tbody");
  const cells = [...Array(rows)].flatMap(() => {
    const row = add(body, "tr");
    return [...Array(columns)].map(() => add(row, "td"));
  });
  return (values, colour) => cells.forEach((cell, i) => {
    const paper = colour(values[i]);
    cell.textContent = values[i].toFixed(2);
    cell.style.background = `rgb(${paper.join(" ")})`;
    cell.style.color = inkOn(paper);
  });
}

// --- A frame for each explorer --------------------------------------------------------------------------------------

const STYLE = `
.xp { font: 14px/1.4 var(--jp-ui-font-family, system-ui, sans-serif); container-type: inline-size; max-width: 100%;
  color: var(--jp-content-font-color1, var(--pst-color-text-base, inherit)); padding: 4px 0; }
.xp-row { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: flex-start; margin: 6px 0; }
.xp-column { display: flex; flex-direction: column; gap: 4px; min-width: 0; }
.xp-control { display: inline-flex; gap: 6px; align-items: center; }
.xp button, .xp select, .xp input { font: inherit; color: inherit; background: transparent; border-radius: 3px;
  border: 1px solid color-mix(in srgb, currentColor 55%, transparent); padding: 2px 8px; }
.xp select option { color: CanvasText; background: Canvas; }
.xp button { cursor: pointer; } .xp button:disabled { opacity: 0.5; cursor: not-allowed; } .xp button[aria-pressed="true"] { outline: 2px solid ${MARK}; }
.xp :focus-visible { outline: 3px solid ${OTHER_MARK}; outline-offset: 1px; }
.xp input[type="range"] { padding: 0; width: 140px; accent-color: ${MARK}; }
.xp-numbers { display: inline-grid; gap: 2px; justify-content: start; } .xp-numbers input { width: 4.2em; padding: 2px; text-align: right; }
.xp-sheet { display: block; max-width: 100%; touch-action: pan-y; image-rendering: pixelated;
  border: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
.xp-brief { min-height: 1.4em; position: sticky; top: 0; z-index: 1; padding: 2px 0;
  background: var(--jp-layout-color0, var(--pst-color-background, transparent)); }
.xp-pad { max-width: 300px; } .xp-side { flex: 1 1 260px; } .xp-why { min-height: 190px; } .xp-title { font-weight: 600; } .xp-note { min-height: 1.4em; overflow-wrap: anywhere; }
.xp-bars { display: grid; grid-template-columns: max-content minmax(60px, 160px) max-content; gap: 1px 8px; align-items: center; }
.xp-bars i { display: block; height: 11px; background: color-mix(in srgb, currentColor 45%, transparent); }
.xp table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.xp table td { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding: 1px 6px; text-align: right; }
@media (prefers-reduced-motion: no-preference) { .xp i { transition: width 0.08s; } }
`;

/** Rows of name, bar and number; ``update`` changes values without new elements. */
function bars(parent, names, form = (v) => `${(100 * v).toFixed(1)} %`) {
  const grid = add(parent, "div", { className: "xp-bars" });
  const rows = names.map((name) => [add(grid, "span", {}, name), add(add(grid, "div"), "i"), add(grid, "span", {}, "")]);
  return {
    rows,
    update(values, largest = 1, marked = -1) {
      rows.forEach(([name, bar, number], i) => {
        name.style.fontWeight = i === marked ? "700" : "400";
        bar.style.width = `${Math.max(0, Math.min(1, values[i] / largest)) * 100}%`;
        number.textContent = form(values[i]);
      });
    },
  };
}

/** A module's default export: the explorer that the content names, in a frame that follows the page's theme. */
const explorer = (kinds) => ({
  render({ model, el }) {
    const content = model.get("content");
    add(el, "style", {}, STYLE);
    const root = add(el, "div", { className: "xp" });
    const redraws = [];
    /** Draw once before the next frame, however often it is asked for. */
    const soon = (draw) => {
      let waiting = false;
      const later = () => {
        if (waiting) return;
        waiting = true;
        requestAnimationFrame(() => { waiting = false; draw(); });
      };
      redraws.push(later);
      return later;
    };
    // What follows the page's colours is drawn anew when these change.
    const themes = new MutationObserver(() => redraws.forEach((redraw) => redraw()));
    for (const element of [document.documentElement, document.body]) {
      themes.observe(element, { attributes: true, attributeFilter: ["data-theme", "data-jp-theme-light", "class"] });
    }
    /** Tell Python what the reader has made. */
    const tell = (state) => { model.set("state", state); model.save_changes(); };
    const end = kinds[content.kind]({ root, content, model, soon, tell });
    return () => { themes.disconnect(); end?.(); };
  },
});
