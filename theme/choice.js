// The choice guide: the questions above the table put out of sight the ways that the answers rule
// out. Without this file there are no questions, and the table says it all.
(function () {
  'use strict';

  for (const guide of document.querySelectorAll('.choice')) {
    const form = guide.querySelector('form');
    const output = form.querySelector('output');
    const rows = Array.from(guide.querySelectorAll('tbody tr'));

    const update = () => {
      const answers = Array.from(new FormData(form)).filter(([, answer]) => answer);
      let remain = 0;
      for (const row of rows) {
        row.hidden = answers.some(([question, answer]) => {
          const fits = row.getAttribute(`data-${question}`);
          return fits !== null && !fits.split(' ').includes(answer);
        });
        if (!row.hidden) remain += 1;
      }
      output.textContent = output.dataset.remain.replace('{count}', remain);
    };

    form.hidden = false;
    form.addEventListener('change', update);
    // The form has its first answers back only after the event.
    form.addEventListener('reset', () => setTimeout(update));
    // What a browser has kept from the last visit counts as an answer.
    update();
  }
})();
