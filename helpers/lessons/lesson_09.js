// Lesson 9: style transfer. Paintings with more and more style, and the steps that led to each; a wipe shows what has
// become of the photo, two charts what it cost. An image of the reader's own is painted by Python, where that is there.

/**
 * @typedef {{step: number, size: number[], content: number, style: number, variation: number, subject: number,
 *   image: DataView}} Snapshot losses are without their weights; size is height and width; subject a probability
 * @typedef {{weight: number, snapshots: Snapshot[]}} Run
 * @typedef {{photo: DataView, style: DataView, width: number, height: number, subject: string, runs: Run[]}} Series
 */

const PAINTING_STYLE = `.xp-charts { flex: 1 1 300px; max-width: 380px; } .xp-charts canvas { width: 100%; }
.xp-own { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); padding-top: 8px; align-items: center; }
.xp-own input { max-width: 230px; }`;

const CHART = { width: 360, height: 170, left: 44, right: 66, top: 10, bottom: 34 };
const LINES = ["content", "style"];

/** A number with two digits that count, without an exponent. */
const brief = (v) => (v >= 100 ? String(Math.round(v)) : String(+v.toPrecision(2)));
const percent = (v) => (v >= 0.995 ? "over 99 %" : v < 0.005 ? "under 1 %" : `${Math.round(100 * v)} %`);

/** A style as it is written: names of files have no spaces. */
const spoken = (style) => style.replace("_", " ");

/** @param {Run} run @param {Snapshot} snapshot */
function aboutPainting({ weight }, { step, size, content, style, variation, subject }, name) {
  const sum = `${brief(content)} + ${brief(weight)} · ${brief(style)} + ${brief(variation)}`;
  const total = brief(content + weight * style + variation);
  return `Style weight ${brief(weight)}, ${step ? `step ${step}` : "before the first step"}, ${size[1]} × ${size[0]} pixels. ` +
    `Content loss ${brief(content)}, style loss ${brief(style)}; with weights and total variation ${sum} = ${total}. ` +
    `SqueezeNet took it for ${name} with ${percent(subject)}.`;
}

// --- A chart to point at ----------------------------------------------------------------------------------------------

/** Places on a logarithmic axis from ``low`` to ``high``: 1, 3, 10, 30 … */
function ticksBetween(low, high) {
  const all = Array.from({ length: 12 }, (_, i) => 10 ** (i - 6)).flatMap((power) => [power, 3 * power]);
  return all.filter((v) => v >= low && v <= high);
}

/**
 * Lines of content and style loss over equally spaced places, on a logarithmic axis. A pointer shows the nearest place
 * while it is there, a press keeps it, arrow keys choose the next one.
 * @returns {{draw: (points: {label: string, content: number, style: number}[], at: number) => void}}
 */
function lossChart(parent, { label, axis, onPick }) {
  const column = titledColumn(parent, label);
  const { width, height, left, right, top, bottom } = CHART;
  const view = photoView(column, { label, width, height }), { canvas } = view;
  let count = 0, chosen = 0, kept = 0; // what is pointed at is shown; what is pressed, or chosen by a key, stays
  const xOf = (i) => left + (count > 1 ? (i / (count - 1)) * (width - left - right) : 0);
  const pick = (i) => {
    const next = Math.max(0, Math.min(count - 1, i));
    if (!count || next === chosen) return;
    chosen = next; // at once: the next key may come before the next frame
    onPick(next);
  };
  const point = (event) => {
    if (chosen < 0 && event.type === "pointermove") return; // on the way to "Paint": what was chosen is none of these
    const { x } = placeOn(canvas, event, width, height);
    pick(Math.round(((x - left) / (width - left - right)) * (count - 1)));
  };
  canvas.addEventListener("pointerenter", () => { kept = chosen; });
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", (event) => { point(event); kept = chosen; });
  canvas.addEventListener("pointerleave", () => kept >= 0 && pick(kept)); // on the way to the other chart, say
  takeKeys(canvas, `${label}; arrow keys choose the next one`, ({ key }) => {
    const [direction] = ARROWS[key] ?? [0];
    if (!direction) return false;
    pick(chosen + direction);
    kept = chosen;
    return true;
  });

  function draw(points, at) {
    [count, chosen] = [points.length, at];
    if (!count) return void view.paint(() => {});
    const ink = getComputedStyle(canvas).color, dark = isDark(canvas);
    const colours = dark ? ["#e69f00", "#56b4e9"] : [MARK, OTHER_MARK];
    const values = points.flatMap((point) => LINES.map((name) => point[name])).filter((v) => v > 0);
    const low = Math.min(...values, 0.5) / 1.2, high = Math.max(...values, 1) * 1.2;
    const yOf = (v) => top + (Math.log(high / Math.max(v, low)) / Math.log(high / low)) * (height - top - bottom);
    view.paint((context) => {
      Object.assign(context, { font: "12px sans-serif", fillStyle: ink, strokeStyle: ink, lineWidth: 1 });
      context.textAlign = "right";
      for (const tick of ticksBetween(low, high)) {
        context.globalAlpha = 0.2;
        context.fillRect(left, yOf(tick), width - left - right, 1);
        context.globalAlpha = 1;
        context.fillText(brief(tick), left - 6, yOf(tick) + 4);
      }
      context.textAlign = "center";
      const every = Math.ceil(count / 8);
      points.forEach(({ label: text }, i) => i % every === 0 && context.fillText(text, xOf(i), height - bottom + 15));
      context.fillText(axis, (left + width - right) / 2, height - 5);
      context.globalAlpha = 0.5;
      if (at >= 0) context.fillRect(xOf(at) - 1, top, 2, height - top - bottom);
      context.globalAlpha = 1;
      LINES.forEach((name, line) => drawLine(context, points.map((p, i) => [xOf(i), yOf(p[name])]), name, at, colours[line]));
    });
  }
  return { draw };
}

function drawLine(context, places, name, at, colour) {
  Object.assign(context, { strokeStyle: colour, fillStyle: colour, lineWidth: 2, textAlign: "left" });
  context.beginPath();
  places.forEach(([x, y]) => context.lineTo(x, y));
  context.stroke();
  places.forEach(([x, y], i) => {
    context.beginPath();
    context.arc(x, y, i === at ? 6 : 3, 0, 7);
    context.fill();
  });
  const [x, y] = places[places.length - 1];
  context.fillText(name, x + 9, y + 4);
}

// --- The explorer ------------------------------------------------------------------------------------------------------

/** A file that the reader has chosen as a JPEG of at most so many pixels a side, in base64. @param {File} file */
async function shrunk(file, most) {
  const image = await createImageBitmap(file), scale = Math.min(1, most / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.max(1, Math.round(image.width * scale)), height: Math.max(1, Math.round(image.height * scale)) });
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff"; // under what is transparent, as in Python
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/jpeg", 0.92).split(",")[1];
}

function styleExplorer({ root, content, model, soon, tell }) {
  add(root, "style", {}, PAINTING_STYLE);
  const kernel = kernelOf(model), { weights } = content;
  /** What can be looked at, by name: what was recorded, and what Python has painted since. @type {Map<string, Series>} */
  const all = new Map([[content.name, content.series]]);
  const state = { series: content.name, weight: content.weight, snapshot: Infinity, left: "photo" };
  let view, waiting = "", failed = "", drawn = 0;

  const controls = add(root, "div", { className: "xp-row" });
  const set = (name) => (value) => { Object.assign(state, { [name]: value }); failed = ""; redraw(); };
  const seriesHolder = add(controls, "span");
  const weightSlider = slider(controls, "content to style", {
    min: 0, max: weights.length - 1, value: weights.indexOf(state.weight), form: (i) => `weight ${weights[i]}`,
  }, (i) => set("weight")(weights[i]));
  const stepSlider = slider(controls, "steps", { min: 0, max: 1, value: 1, form: () => "" }, (i) => set("snapshot")(i));
  choice(controls, "left of the line", ["photo", "style"], "photo", set("left"));
  const views = add(root, "div", { className: "xp-row" });
  const wipeHolder = add(views, "div", { className: "xp-column" });
  const charts = add(views, "div", { className: "xp-column xp-charts" });
  const overWeights = lossChart(charts, {
    label: "the finished paintings", axis: "style weight",
    onPick: (i) => move(weightSlider, weights.indexOf(runsNow()[i].weight)),
  });
  const overSteps = lossChart(charts, { label: "this run", axis: "step", onPick: (i) => move(stepSlider, i) });
  const note = add(root, "div", { className: "xp-note", role: "status" });
  own();

  /** As if the reader had moved the slider. */
  function move(input, value) {
    input.value = value;
    input.dispatchEvent(new Event("input"));
  }

  const seriesNow = () => all.get(state.series);
  const runsNow = () => seriesNow().runs;
  const runNow = () => runsNow().find(({ weight }) => weight === state.weight);

  /** The choice of a series is there once there are two; a new wipe, since sizes differ. */
  function showSeries(name) {
    state.series = name;
    seriesHolder.replaceChildren();
    seriesHolder.style.display = all.size > 1 ? "" : "none";
    if (all.size > 1) choice(seriesHolder, "painting", [...all.keys()], name, showSeries);
    const { width, height } = seriesNow();
    wipeHolder.replaceChildren();
    view = wipe(wipeHolder, { label: "left of the line the photo, right of it the painting", width, height, shown: 480 });
    redraw();
  }

  const redraw = soon(async () => {
    const series = seriesNow(), run = runNow(), shown = run?.snapshots ?? [];
    const at = Math.min(state.snapshot, shown.length - 1), snapshot = shown[at];
    Object.assign(stepSlider, { max: Math.max(1, shown.length - 1), disabled: !run });
    stepSlider.value = Math.max(0, at);
    stepSlider.say(snapshot ? String(snapshot.step) : "none");
    const ends = series.runs.map(({ weight, snapshots }) => ({ label: brief(weight), ...snapshots[snapshots.length - 1] }));
    overWeights.draw(ends, series.runs.indexOf(run));
    overSteps.draw(shown.map((each) => ({ label: String(each.step), ...each })), at);
    const missing = `Nothing is painted with a style weight of ${state.weight} yet: press “Paint”.`;
    note.textContent = [failed, waiting, run ? aboutPainting(run, snapshot, series.subject) : missing].filter(Boolean).join(" ");
    const turn = ++drawn;
    const pair = await Promise.all([decoded(series[state.left]), decoded(snapshot?.image ?? series.photo)]);
    if (turn === drawn) view.show(...pair); // else something else was chosen meanwhile
    tell({ painting: state.series, weight: state.weight, step: snapshot?.step ?? null });
  });

  /** The row in which the reader asks for a painting of their own. */
  function own() {
    const row = add(root, "div", { className: "xp-row xp-own" });
    let style = content.styles[0];
    const chooser = add(labelled(row, "your image"), "input", { type: "file", accept: "image/*" });
    const styles = choice(row, "painted like", content.styles, style, (value) => { style = value; });
    for (const option of styles.options) option.textContent = spoken(option.value);
    const press = button(row, "Paint", async () => {
      press.disabled = true;
      failed = "";
      waiting = "Python is painting; that takes 5 to 30 seconds.";
      redraw();
      try {
        await paint(chooser.files[0], style);
      } catch (error) {
        failed = error.message;
      }
      waiting = "";
      press.disabled = false;
      redraw();
    });
  }

  /** Have Python paint with the chosen weight, and show the run. */
  async function paint(file, style) {
    const image = file && kernel.isThere ? await shrunk(file, content.most) : null, { weight } = state;
    const { series, run } = await kernel.ask({ image, style, weight }, 300);
    const name = `${file ? file.name : content.photo}, ${spoken(style)}`, old = all.get(name)?.runs ?? [];
    const runs = [...old.filter((each) => each.weight !== weight), run].sort((a, b) => a.weight - b.weight);
    all.set(name, { ...series, runs });
    state.snapshot = Infinity;
    showSeries(name);
  }

  showSeries(state.series);
}

export default explorer({ style: styleExplorer });
