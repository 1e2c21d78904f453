// Figures a reader can handle: sequences step, fields and bytes light each other.
// Without this script all of a figure is there; what it needs to say stands in the figure.

/** Adds the controls by which a sequence steps forward and back. */
function stepping(figure) {
  const rows = [...figure.querySelectorAll(".figure-data tr[data-step]")];
  if (rows.length < 2) return;
  const parts = [...figure.querySelectorAll(".figure-body [data-step]")];
  const last = rows.length - 1;
  let now = null; // The step shown, or null: all of them.

  const controls = document.createElement("div");
  controls.className = "figure-steps";
  controls.setAttribute("role", "group");
  controls.setAttribute("aria-label", figure.dataset.steps);
  const button = (text, label, act) => {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    if (label) made.setAttribute("aria-label", label);
    made.addEventListener("click", () => made.getAttribute("aria-disabled") || act());
    controls.append(made);
    return made;
  };
  const back = button("←", figure.dataset.back, () => show(now - 1));
  const forward = button("→", figure.dataset.forward, () => show(now === null ? 0 : now + 1));
  const all = button(figure.dataset.all, "", () => show(null));
  const count = document.createElement("span");
  count.className = "count";
  const status = document.createElement("p");
  status.className = "figure-status";
  status.setAttribute("aria-live", "polite");
  controls.append(count, status);
  figure.querySelector(".figure-body").before(controls);

  // A disabled button would lose the focus, so it only says that it is.
  const able = (made, can) => {
    if (can) made.removeAttribute("aria-disabled");
    else made.setAttribute("aria-disabled", "true");
  };
  function show(step) {
    now = step;
    for (const part of parts) {
      part.classList.toggle("later", step !== null && part.dataset.step > step);
      part.classList.toggle("now", Number(part.dataset.step) === step);
    }
    figure.classList.toggle("stepping", step !== null);
    able(back, step !== null && step > 0);
    able(forward, step !== last);
    able(all, step !== null);
    count.textContent = step === null ? "" : `${step + 1} / ${rows.length}`;
    status.replaceChildren();
    if (step === null) return;
    for (const cell of rows[step].cells) {
      if (!cell.textContent) continue;
      if (status.hasChildNodes()) status.append(" · ");
      status.append(...cell.cloneNode(true).childNodes);
    }
  }
  show(null);

  figure.addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
    // A table or drawing that scrolls sideways keeps its arrow keys.
    const scroll = event.target.closest(".figure-scroll");
    if (scroll && scroll.scrollWidth > scroll.clientWidth) return;
    if (event.target.closest("details, a")) return;
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

/** Lets fields and bytes light each other, by pointer and by keyboard. */
function linking(figure) {
  const fields = [...figure.querySelectorAll(".field")];
  const bytes = [...figure.querySelectorAll(".byte")];
  const of = (byte) => byte.dataset.fields.split(" ");
  const light = (field, byte) => {
    for (const lit of figure.querySelectorAll(".lit")) lit.classList.remove("lit");
    if (field === undefined) return;
    for (const part of figure.querySelectorAll(`[data-field="${field}"]`)) part.classList.add("lit");
    for (const other of bytes) {
      if (byte ? other === byte : of(other).includes(field)) other.classList.add("lit");
    }
  };
  // Of the fields that a byte belongs to, the strip pointed at, or else the innermost.
  const lightFrom = (target) => {
    const byte = target.closest(".byte");
    const field = target.closest("[data-field]")?.dataset.field;
    if (byte) light(field ?? of(byte).at(-1));
    else if (field !== undefined) light(field);
  };
  figure.addEventListener("pointerover", (event) => lightFrom(event.target));
  figure.addEventListener("focusin", (event) => lightFrom(event.target));
  figure.addEventListener("pointerleave", () => light());
  figure.addEventListener("focusout", () => light());

  // The tab key reaches the bytes and the fields once each; arrow keys go on from there.
  for (const group of [bytes, fields]) {
    group.forEach((part, at) => {
      part.tabIndex = at ? -1 : 0;
      part.addEventListener("keydown", (event) => {
        const to = {
          ArrowLeft: at - 1,
          ArrowUp: at - 1,
          ArrowRight: at + 1,
          ArrowDown: at + 1,
          Home: 0,
          End: group.length - 1,
        }[event.key];
        if (event.altKey || event.ctrlKey || event.metaKey || !group[to]) return;
        event.preventDefault();
        part.tabIndex = -1;
        group[to].tabIndex = 0;
        group[to].focus();
      });
    });
  }
}

document.querySelectorAll(".figure-sequence").forEach(stepping);
document.querySelectorAll(".figure-wire").forEach(linking);
