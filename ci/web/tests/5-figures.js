// Figures in the reader's hands.

import assert from 'node:assert/strict';
import { visit } from '../lib/browser.js';

export default function ({ site, server, browser, test }) {
  const with_ = (kind) => (language) => server.url(site.page(language, ({ html }) => html.includes(`figure-${kind}`)).file);
  const sequence = with_('sequence');
  const wire = with_('wire');
  const each = async (body) => {
    for (const language of site.languages) await body(language);
  };

  test('a sequence steps forward and back, by button and by key', () => each((language) => visit(browser, sequence(language), {}, async (page) => {
    const figure = page.locator('.figure-sequence').first();
    const steps = await figure.locator('.figure-data tr[data-step]').count();
    const buttons = figure.locator('.figure-steps button');
    const hidden = () => figure.locator('.figure-body .later').count();
    const count = () => figure.locator('.count').textContent();
    assert.ok(steps > 1, `${language}: the first sequence has ${steps} steps`);
    assert.equal(await hidden(), 0, `${language}: something is hidden before the first step`);
    await buttons.nth(1).click();
    assert.equal(await count(), `1 / ${steps}`);
    assert.ok(await hidden() > 0, `${language}: the first step shows all`);
    assert.ok((await figure.locator('.figure-status').textContent()).length > 0, `${language}: nobody is told of the step`);
    const later = await hidden();
    await buttons.nth(1).click();
    assert.equal(await count(), `2 / ${steps}`);
    assert.ok(await hidden() < later);
    await buttons.nth(0).click();
    assert.equal(await count(), `1 / ${steps}`);
    assert.equal(await hidden(), later, `${language}: back is not where forward came from`);
    await buttons.nth(0).click({ force: true });
    assert.equal(await count(), `1 / ${steps}`, `${language}: back goes before the first step`);
    await buttons.nth(1).focus();
    for (const [key, at] of [['End', steps], ['ArrowRight', steps], ['ArrowLeft', steps - 1], ['Home', 1], ['ArrowRight', 2]]) {
      await page.keyboard.press(key);
      assert.equal(await count(), `${at} / ${steps}`, `${language}: after ${key}`);
    }
    await buttons.nth(2).click();
    assert.equal(await hidden(), 0);
  })));

  test('a sequence holds still for readers who ask for less motion', () => visit(browser, sequence('ko'), { reducedMotion: 'reduce' }, async (page) => {
    const figure = page.locator('.figure-sequence').first();
    await figure.locator('.figure-steps button').nth(1).click();
    const moving = await figure.evaluate((element) => element.getAnimations({ subtree: true }).filter((animation) => animation.effect.getComputedTiming().duration > 1).length);
    assert.equal(moving, 0);
    assert.equal(await figure.locator('.count').isVisible(), true);
  }));

  test('fields and bytes light each other, by pointer and by keyboard', () => each((language) => visit(browser, wire(language), {}, async (page) => {
    const figure = page.locator('.figure-wire').first();
    const lit = (what) => figure.locator(`${what}.lit`).count();
    assert.equal(await figure.locator('.lit').count(), 0);
    const byte = figure.locator('.byte').first();
    await byte.hover();
    assert.ok(await lit('.field') > 0, `${language}: a byte lights no field`);
    await page.mouse.move(0, 0);
    await page.waitForFunction((selector) => !document.querySelector(selector), '.figure-wire .lit');
    await figure.locator('.field').first().focus();
    assert.ok(await lit('.byte') > 0, `${language}: a focused field lights no byte`);
    const before = await page.evaluate(() => document.activeElement.outerHTML);
    await page.keyboard.press('ArrowDown');
    assert.notEqual(await page.evaluate(() => document.activeElement.outerHTML), before, `${language}: the arrow key stays`);
    assert.ok(await lit('.byte') > 0);
  })));

  test('without JavaScript a figure is all there', () => each((language) => visit(browser, sequence(language), { javaScriptEnabled: false }, async (page) => {
    const figure = page.locator('.figure-sequence').first();
    assert.equal(await figure.locator('.figure-steps').count(), 0);
    assert.equal(await figure.locator('.figure-body svg').first().isVisible(), true);
    await figure.locator('.figure-data summary').click();
    assert.equal(await figure.locator('.figure-data table').isVisible(), true);
  })));
}
