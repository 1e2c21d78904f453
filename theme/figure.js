// Sequences and states step, fields and bytes light each other. Without this script all of it is there.
// Its words stand in the figure.

const modified = (key) => key.altKey || key.ctrlKey || key.metaKey || key.shiftKey;

function stepping(figure) {
  const rows = [...figure.querySelectorAll(".figure-data tr[data-step]")];
  const parts = [...figure.querySelectorAll(".figure-body [data-step]")];
  const last = rows.length - 1;
  if (last < 1) return;
  let now = null; // The step shown; null: all.

  const make = (name, properties) => Object.assign(document.createElement(name), properties);
  const controls = make("div", { className: "figure-steps", role: "group" });
  controls.ariaLabel = figure.dataset.steps;
  const button = (textContent, ariaLabel, act) => {
    const made = make("button", { type: "button", textContent, ariaLabel });
    made.onclick = () => made.ariaDisabled === "true" || act();
    controls.append(made);
    return made;
  };
  const words = figure.dataset;
  const back = button("←", words.back, () => show(now - 1));
  const forward = button("→", words.forward, () => show(now === null ? 0 : now + 1));
  const all = button(words.all, words.all, () => show(null));
  const count = make("span", { className: "count" });
  const status = make("p", { className: "figure-status", ariaLive: "polite" });
  controls.append(count, status);
  figure.querySelector(".figure-body").before(controls);

  function show(step) {
    now = step;
    const some = step !== null;
    figure.classList.toggle("stepping", some);
    for (const part of parts) {
      part.classList.toggle("later", some && part.dataset.step > step);
      part.classList.toggle("now", some && part.dataset.step == step);
    }
    // A button that is really disabled would lose the focus.
    back.ariaDisabled = !some || step === 0;
    forward.ariaDisabled = step === last;
    all.ariaDisabled = !some;
    count.textContent = some ? `${step + 1} / ${rows.length}` : "";
    const cells = some ? [...rows[step].cells] : [];
    status.textContent = cells.map((cell) => cell.textContent).filter(Boolean).join(" · ");
  }
  show(null);

  figure.addEventListener("keydown", (event) => {
    const scroll = event.target.closest(".figure-scroll");
    const scrolls = scroll && scroll.scrollWidth > scroll.clientWidth;
    if (modified(event) || scrolls || event.target.closest("details, a")) return;
    const step = {
      ArrowLeft: now === null ? last : Math.max(now - 1, 0),
      ArrowRight: now === null ? 0 : Math.min(now + 1, last),
      Home: 0,
      End: last,
    }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    show(step);
  });
}

function linking(figure) {
  const linked = [...figure.querySelectorAll("[data-field]")];
  const names = (part) => part.dataset.field.split(" ");
  // Of the fields that a byte belongs to, the innermost stands last.
  const light = (target) => {
    const part = target?.closest?.("[data-field]");
    const field = part && names(part).at(-1);
    for (const other of linked) other.classList.toggle("lit", names(other).includes(field));
  };
  for (const type of ["pointermove", "pointerdown", "focusin"])
    figure.addEventListener(type, (event) => light(event.target));
  for (const type of ["pointerleave", "focusout"]) figure.addEventListener(type, () => light());

  // The tab key reaches bytes and fields once each; arrow keys go on from there.
  for (const group of [".byte", ".field"].map((part) => [...figure.querySelectorAll(part)]))
    group.forEach((part, at) => {
      part.tabIndex = at ? -1 : 0;
      part.addEventListener("keydown", (event) => {
        const by = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
        const next = group[at + by];
        if (!next || modified(event)) return;
        event.preventDefault();
        part.tabIndex = -1;
        next.tabIndex = 0;
        next.focus();
      });
    });
}

document.querySelectorAll(".figure-sequence, .figure-states").forEach(stepping);
document.querySelectorAll(".figure-wire").forEach(linking);
