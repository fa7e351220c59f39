import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { faceApiFolder } from '@unif2ace/core/node';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { beforeEach, describe, expect, test } from 'vitest';
import { hasChromium } from '../chromium.ts';
import { bytesOf, choose, makeFaces, openStudio, pixelsOf, seriousFaults, shoot } from './studio-page.ts';

// One face at large, photos and the camera, in Chromium on the bundled model.

describe.skipIf(!hasChromium)('faces at large and photos in Chromium', () => {
  let group: string;
  const studio = openStudio(async (folder) => {
    const small = sharp(join(faceApiFolder(), 'demo/sample1.jpg')).resize(800);
    group = join(folder, 'group.jpg');
    await small.jpeg().toFile(group);
    // what Chromium shows as its camera: a film of JPEG pictures, one after the other
    const film = join(folder, 'camera.mjpeg');
    const frame = await sharp(group).resize(640, 480, { fit: 'cover' }).jpeg().toBuffer();
    await writeFile(film, Buffer.concat([frame, frame]));
    return [
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-video-capture=${film}`,
    ];
  });
  let page: Page;
  beforeEach(() => {
    page = studio.page;
  });

  const openFace = async () => {
    await page.getByLabel('Steps', { exact: true }).fill('3');
    await makeFaces(page, 'a woman with black hair');
    await page.locator('.print-button').first().click();
  };
  const described = () => page.getByText('Described').first().waitFor({ state: 'attached' });

  test('a part is chosen by a click, or painted by pointer and keys; what is not painted stays', async () => {
    await openFace();
    const canvas = page.locator('.frame');
    const box = (await canvas.boundingBox())!;
    const at = (x: number, y: number) => [box.x + x * box.width, box.y + y * box.height] as const;
    await page.mouse.click(...at(0.5, 0.75));
    expect(await page.getByRole('radio', { name: 'Mouth' }).isChecked()).toBe(true);

    await choose(page, 'Brush');
    const make = page.getByRole('button', { name: /Make anew/ });
    expect(await make.isDisabled()).toBe(true);
    await page.getByText('Paint over the part').waitFor();
    await page.mouse.move(...at(0.7, 0.8));
    await page.mouse.down();
    await page.mouse.move(...at(0.9, 0.9), { steps: 3 });
    await page.mouse.up();
    await page.getByRole('application').focus();
    for (const key of ['ArrowLeft', ' ', 'Control+z']) await page.keyboard.press(key);
    expect(await make.isDisabled()).toBe(false);
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'brush');
    const before = await pixelsOf(page.locator('.print.large img'));
    await make.click();
    const version = page.getByRole('button', { name: 'Version 1, brush anew' });
    await version.locator('img').waitFor();
    const after = await pixelsOf(version.locator('img'));
    const { width } = before;
    const changed = (x: number, y: number) => {
      const pixel = 3 * (Math.floor(y * width) * width + Math.floor(x * width));
      return [0, 1, 2].some((channel) => before.data[pixel + channel] !== after.data[pixel + channel]);
    };
    const share = (left: number, top: number, right: number, bottom: number) => {
      let [count, all] = [0, 0];
      for (let y = top; y < bottom; y += 1 / width)
        for (let x = left; x < right; x += 1 / width) {
          all++;
          count += Number(changed(x, y));
        }
      return count / all;
    };
    expect(share(0, 0, 1, 0.5)).toBe(0);
    expect(share(0.75, 0.8, 0.9, 0.9)).toBeGreaterThan(0.25);
    // and back to the original
    await page.getByRole('button', { name: 'The original' }).click();
    const original = await bytesOf(page.getByRole('button', { name: 'The original' }).locator('img'));
    await expect.poll(() => bytesOf(page.locator('.print.large img'))).toEqual(original);
  });

  test('which experts fired where: tables by layer, one of them over the face, its numbers', async () => {
    await openFace();
    await choose(page, 'Experts');
    const layer = page.getByRole('region', { name: 'Layer 2' });
    await layer.waitFor();
    expect(await page.locator('.layer').count()).toBe(3);
    await page.getByText('Experts of generation (T2I group), mean over 3 steps in which this face was made').waitFor();
    const tokens = layer.getByRole('table', { name: 'Experts of each token' });
    expect(await tokens.getByRole('columnheader').allTextContents()).toEqual(
      Array.from({ length: 8 }, (_, expert) => `expert ${expert}`),
    );
    const shares = await layer.getByRole('table', { name: 'Experts of the whole picture' }).textContent();
    expect(shares).toMatch(/copy\s*\d+ %\s*zero\s*\d+ %\s*noise\s*\d+ %\s*copy 2\s*\d+ %/);
    expect(await page.locator('.heat-overlay').count()).toBe(0);
    const one = tokens.getByRole('button', { name: /^expert 5 of layer 2: \d+ % of the weight/ });
    await one.click();
    expect(await one.getAttribute('aria-pressed')).toBe('true');
    await page.locator('.heat-overlay canvas').waitFor();
    await page.getByText('Layer 2, expert 5 in numbers').click();
    const numbers = page.getByRole('table', { name: /^Layer 2, expert 5: gate weight in hundredths/ });
    const weights = (await numbers.getByRole('cell').allTextContents()).filter((text) => text !== '').map(Number);
    expect(weights).toHaveLength(64);
    const fired = Number(/fired at (\d+) of 64/.exec((await one.getAttribute('aria-label'))!)![1]);
    expect(fired).toBeGreaterThanOrEqual(weights.filter((weight) => weight > 0).length);
    expect(weights.some((weight) => weight > 0)).toBe(true);
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'experts');
    await page.setViewportSize({ width: 360, height: 740 });
    await shoot(page, 'phone-experts');
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);

    // an edited face is told by its picture
    await choose(page, 'Edit');
    await page.getByRole('button', { name: /Make anew/ }).click();
    await page.getByRole('button', { name: 'Version 1, hair anew' }).locator('img').waitFor();
    await choose(page, 'Experts');
    await page.getByText(/mean over 3 steps of this picture/).waitFor();
  });

  test('of several faces in a photo each can be looked at', async () => {
    await page.getByRole('link', { name: 'Look' }).click();
    await page.getByLabel('Photo', { exact: true }).setInputFiles(group);
    await described();
    const faces = page.locator('.face-box');
    const count = await faces.count();
    expect(count).toBeGreaterThan(1);
    expect(await faces.first().getAttribute('aria-pressed')).toBe('true');
    const crop = page.getByAltText('The face as the model sees it');
    const first = await bytesOf(crop);
    await page.getByRole('button', { name: `Face 2 of ${count}` }).click();
    await page.locator('.face-box[aria-pressed=true]', { hasText: '2' }).waitFor();
    await described();
    expect(await bytesOf(crop)).not.toEqual(first);
    expect(await page.locator('.bars li').count()).toBe(8);
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'several');
    // nothing of a photo is kept unless asked
    const question = page.getByRole('button', { name: 'Is this a man or a woman?' });
    await question.focus();
    await page.keyboard.press('Enter');
    await page.locator('.messages .assistant').waitFor();
    await page.getByRole('button', { name: 'Ask', exact: true }).waitFor();
    expect(await question.count()).toBe(0);
    await page.locator('.ask-form input:focus').waitFor();
    await page.getByRole('link', { name: 'History' }).click();
    await page.getByText('What you make appears here').waitFor();
  });

  test('the camera takes a photo, which is looked at, and goes dark', async () => {
    await page.addInitScript(`{
      const { mediaDevices } = navigator;
      const open = mediaDevices.getUserMedia.bind(mediaDevices);
      mediaDevices.getUserMedia = async (wanted) => (window.cameraStream = await open(wanted));
    }`);
    await page.reload();
    await page.getByRole('link', { name: 'Look' }).click();
    await page.getByRole('button', { name: 'Camera' }).click();
    const shutter = page.getByRole('button', { name: 'Take the photo' });
    await page.locator('.camera video').waitFor();
    await page.locator('.camera .primary:enabled').waitFor();
    expect(await seriousFaults(page)).toEqual([]);
    await shoot(page, 'camera');
    await shutter.click();
    await described();
    expect(await page.locator('.face-box').count()).toBeGreaterThan(0);
    expect(await page.evaluate('cameraStream.getTracks().map(({ readyState }) => readyState)')).toEqual(['ended']);
  });
});
