import { UniF2ace } from '@unif2ace/core';

const status = document.querySelector('[role=status]');
const canvas = document.querySelector('canvas');
const form = document.querySelector('form');

/** Shows RGB pixels on the canvas. */
function show({ width, height, data }) {
  const pixels = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) pixels.data.set([data[3 * i], data[3 * i + 1], data[3 * i + 2], 255], 4 * i);
  Object.assign(canvas, { width, height });
  canvas.getContext('2d').putImageData(pixels, 0, 0);
}

const model = await UniF2ace.load('/weights/nano', {
  onProgress: ({ loadedBytes, totalBytes }) => {
    status.textContent = `Loading ${loadedBytes} of ${totalBytes ?? 'unknown'} bytes`;
  },
});
status.textContent = 'Ready';
form.querySelector('button').disabled = false;

form.addEventListener('submit', async (event) => {
  event.preventDefault();
  const run = model.generate(new FormData(form).get('prompt'), { seed: 7 });
  for (;;) {
    const { value, done } = await run.next();
    if (done) {
      show(value[0]);
      break;
    }
    status.textContent = `Step ${value.step} of ${value.steps}`;
    // a picture of every step: what the masked tokens are taken for
    show((await model.decode(value.guesses))[0]);
  }
  status.textContent = 'Done';
});
