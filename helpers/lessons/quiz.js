// A quiz: questions with radio buttons or a number to type, and what the JSON says about each answer. An ES module as
// the explorers are: it makes no request, depends on nothing, and takes its colours from the page.

const QUIZ_STYLE = `
.qz { max-width: 46rem; margin: 1rem 0; }
.qz form { border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 8px;
  padding: .9rem 1.1rem 1rem; margin: 0 0 1rem; }
.qz fieldset { border: 0; margin: 0; padding: 0; min-width: 0; }
.qz legend { font-size: 1em; font-weight: 600; padding: 0; margin: 0 0 .5rem; float: none; width: auto; }
.qz label.qz-answer { display: flex; gap: .6rem; align-items: baseline; padding: .3rem .5rem; border-radius: 6px;
  cursor: pointer; }
.qz label.qz-answer:hover { background: color-mix(in srgb, currentColor 8%, transparent); }
.qz input { accent-color: #0072b2; }
.qz input[type=text] { font: inherit; width: 9rem; padding: .3rem .5rem; color: inherit; background: transparent;
  border: 1px solid currentColor; border-radius: 6px; margin-left: .6rem; }
.qz button { font: inherit; color: inherit; background: color-mix(in srgb, currentColor 10%, transparent);
  border: 1px solid color-mix(in srgb, currentColor 45%, transparent); border-radius: 6px; padding: .25rem .9rem;
  margin-top: .7rem; cursor: pointer; }
.qz button:hover { background: color-mix(in srgb, currentColor 18%, transparent); }
.qz :is(input, button):focus-visible { outline: 3px solid #0072b2; outline-offset: 2px; }
.qz [role=status] { margin: 0; }
.qz [role=status]:not(:empty) { margin-top: .7rem; padding: .4rem .8rem; border-left: 4px solid #d55e00;
  background: color-mix(in srgb, #d55e00 10%, transparent); }
.qz .qz-right [role=status]:not(:empty) { border-color: #009e73; background: color-mix(in srgb, #009e73 12%, transparent); }
.qz .qz-total { font-weight: 600; }
`;

/** The number that was typed: 25088, 25,088, 0.5 or 0,5; NaN if it is none. */
function typed(text) {
  const plain = text.replace(/\s/g, "").replace("−", "-");
  const isGrouped = /^-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$/.test(plain);
  return plain === "" ? NaN : Number(isGrouped ? plain.replaceAll(",", "") : plain.replace(",", "."));
}

let count = 0;

/** One question. @returns {HTMLFormElement} with ``check()``: true, false, or undefined while nothing is answered. */
function ask(parent, question, number) {
  const name = `qz-${(count += 1)}`, form = add(parent, "form"), fieldset = add(form, "fieldset");
  add(fieldset, "legend", {}, `${number}. ${question.question}`);
  const choices = question.type !== "numeric";
  // In alphabetical order, for in the JSON the right answer comes first.
  const answers = choices ? [...question.answers].sort((a, b) => (a.answer < b.answer ? -1 : 1)) : question.answers;
  let input;
  if (choices) {
    answers.forEach(({ answer }, i) => {
      const label = add(fieldset, "label", { class: "qz-answer" });
      add(label, "input", { type: "radio", name, value: i, ...OWN_KEYS });
      add(label, "span", {}, answer);
    });
  } else {
    input = add(add(fieldset, "label", {}, "Your number:"), "input", { type: "text", name, inputmode: "decimal", autocomplete: "off" });
  }
  add(form, "button", { type: "submit" }, "Check");
  const status = add(form, "p", { role: "status" });

  const chosen = () => {
    if (choices) return answers[form.querySelector("input:checked")?.value];
    const value = typed(question.question.includes("percent") ? input.value.replace("%", "") : input.value);
    if (Number.isNaN(value)) return undefined;
    return answers.find((a) => a.type === "value" && a.value === value) ?? answers.find((a) => a.type === "default");
  };
  form.check = () => {
    const answer = chosen();
    form.className = answer?.correct ? "qz-right" : "";
    const unanswered = choices ? "Choose an answer first." : "Type a number first, such as 12 or 0.5.";
    status.textContent = answer ? `${answer.correct ? "✓" : "✗"} ${answer.feedback}` : unanswered;
    return answer && Boolean(answer.correct);
  };
  form.addEventListener("input", () => { status.textContent = ""; });
  return form;
}

export default {
  render({ model, el }) {
    el.classList.add("qz");
    add(el, "style", {}, QUIZ_STYLE);
    const { questions } = model.get("content"), results = [];
    const forms = questions.map((question, i) => ask(el, question, i + 1));
    const total = add(el, "p", { class: "qz-total", "aria-live": "polite" });
    forms.forEach((form, i) => form.addEventListener("submit", (event) => {
      event.preventDefault();
      results[i] = form.check();
      if (results[i] === undefined) return;
      total.textContent = `${results.filter(Boolean).length} of ${questions.length} right.`;
    }));
  },
};
