// Lesson 3: a network to draw into, and the same one while it trains.

/** Lines over the number of images seen: one canvas for each quantity. */
function curve(parent, text, top, form) {
  const column = add(parent, "div", { className: "xp-column" });
  const title = add(column, "span", { className: "xp-title" }, text);
  const canvas = add(column, "canvas", { className: "xp-sheet", width: 520, height: 200, role: "img", "aria-label": text });
  canvas.style.width = "260px";
  const context = canvas.getContext("2d");
  return (values, at, ink) => {
    title.textContent = values.length ? `${text}: ${form(values[at])} (axis: ${form(0)} to ${form(top)})` : text;
    canvas.setAttribute("aria-label", title.textContent);
    context.clearRect(0, 0, 520, 200);
    context.strokeStyle = ink;
    context.lineWidth = 3;
    context.beginPath();
    const step = 520 / Math.max(5, values.length);
    values.forEach((v, i) => context.lineTo((i + 0.5) * step, 196 - 192 * Math.min(1, v / top)));
    context.stroke();
    if (values.length) {
      context.fillStyle = MARK;
      context.fillRect((at + 0.5) * step - 4, 192 - 192 * Math.min(1, values[at] / top), 8, 8);
    }
  };
}

/** A recorded run plays; with a kernel, a new network trains. */
function trainingExplorer(frame) {
  const { root, content, model } = frame;
  const state = { at: content.run.length - 1, rounds: content.run, timer: 0 };
  const controls = add(root, "div", { className: "xp-row" });
  const play = toggle(controls, "play the recorded run", false, (on) => (on ? start() : pause()));
  const scrub = slider(controls, "images seen", { min: 0, max: content.run.length - 1, value: state.at,
    form: (i) => (state.rounds[i] ? state.rounds[i].images.toLocaleString("en") : "") }, (i) => show(i));
  let note, live = []; // live: the rounds that Python has trained
  if (!model.isStatic) {
    const row = add(root, "div", { className: "xp-row" });
    add(row, "span", { className: "xp-title" }, "with the kernel:");
    const rates = ["0.0001", "0.001", "0.01", "0.1"];
    const rate = choice(row, "learning rate", rates, "0.001", () => ask("rate"));
    const ask = (what) => model.send({ what, rate: Number(rate.value) });
    button(row, "train", () => ask("train"));
    button(row, "stop", () => ask("stop"));
    button(row, "new network", () => ask("new"));
    note = add(root, "div", { className: "xp-note", role: "status" });
  }
  const line = add(root, "div", { className: "xp-row" });
  const loss = curve(line, "training loss", 2.5, (v) => v.toFixed(3));
  const accuracy = curve(line, "test accuracy", 1, (v) => `${(100 * v).toFixed(1)} %`);
  const kernels = titledColumn(line, "16 kernels of the first layer");
  const filters = sheet(kernels, { label: "16 kernels of the first layer", count: 16, rows: 3, columns: 3, across: 8, cell: 9 });
  const view = networkView({ ...frame, content: { ...content, weights: weightsAt(state.at) } });

  /** Float32 weights of a round; recorded ones are 8-bit, with a scale for each parameter. */
  function weightsAt(i) {
    const round = state.rounds[i];
    if (!round.scales) return round.weights;
    const levels = new Int8Array(round.weights.buffer, round.weights.byteOffset, round.weights.byteLength);
    const values = new Float32Array(levels.length);
    let at = 0;
    content.lengths.forEach((n, p) => { for (let k = 0; k < n; k++, at++) values[at] = levels[at] * round.scales[p]; });
    return new DataView(values.buffer);
  }

  function show(i) {
    state.at = i;
    scrub.value = i;
    scrub.say(state.rounds[i].images.toLocaleString("en"));
    const values = floats(weightsAt(i)), first = parameters(values).first, ink = getComputedStyle(root).color;
    loss(state.rounds.map((round) => round.loss), i, ink);
    accuracy(state.rounds.map((round) => round.accuracy), i, ink);
    filters.draw(first, signed(largestSize(first), isDark(root)));
    view(values);
  }

  function pause() {
    clearTimeout(state.timer);
    play.setAttribute("aria-pressed", "false");
  }

  function start() {
    if (state.rounds !== content.run || state.at >= content.run.length - 1) state.at = -1;
    take(content.run);
    const next = () => {
      if (!root.isConnected) return;
      show(state.at + 1);
      state.at < content.run.length - 1 ? (state.timer = setTimeout(next, 700)) : pause();
    };
    next();
  }

  function take(rounds) {
    state.rounds = rounds;
    scrub.max = rounds.length - 1;
  }

  /** Python has trained another round, or begun anew. */
  model.on("change:round", () => {
    const round = model.get("round");
    note.textContent = round.error;
    pause();
    take(round.images === 0 ? [round] : [...live, round]);
    live = state.rounds;
    show(state.rounds.length - 1);
  });
  frame.soon(() => show(state.at))();
}

export default explorer({ network: (frame) => void networkView(frame), training: trainingExplorer });
