// The choice guide: the questions above the table put out of sight the ways that the answers rule
// out. Without this file there are no questions, and the table says it all.
(function () {
  'use strict';

  for (const guide of document.querySelectorAll('.choice')) {
    const questions = guide.querySelector('.questions');
    const output = questions.querySelector('output');
    const rows = Array.from(guide.querySelectorAll('tbody tr'));

    const update = () => {
      const answers = Array.from(questions.querySelectorAll('input:checked')).filter(({ value }) => value);
      let remain = 0;
      for (const row of rows) {
        row.hidden = answers.some(({ name, value }) => {
          const fits = row.getAttribute(`data-${name}`);
          return fits !== null && !fits.split(' ').includes(value);
        });
        if (!row.hidden) remain += 1;
      }
      output.textContent = output.dataset.remain.replace('{count}', remain);
    };

    questions.hidden = false;
    questions.addEventListener('change', update);
    questions.querySelector('button').addEventListener('click', () => {
      for (const any of questions.querySelectorAll('input[value=""]')) any.checked = true;
      update();
    });
    // What a browser has kept from the last visit counts as an answer.
    update();
  }
})();
