import type { Runtime, Session, TensorValues } from '@unif2ace/graph';
import { describe, expect, it } from 'vitest';
import { pixelImage } from '../image/pixels.ts';
import { BoxFinder, type BoxNetwork, type BoxOptions, normalized } from './boxes.ts';

/** A network that takes the bounds of all bright pixels for a face. */
function brightNetwork(options: Partial<BoxOptions>): BoxNetwork {
  return {
    options: { views: [{ side: 64, fill: 1 }], minScore: 0.5, maxOverlap: 0.4, ...options },
    model: (side) => ({ name: `${side}` }) as never,
    normalize: (image) => normalized(image, [0, 0, 0], 255),
    decode: ({ pixels }, side) => {
      const bright = [...pixels!.data.slice(0, side * side)].flatMap((value, i) => (Number(value) > 0.5 ? [i] : []));
      if (bright.length === 0) return [];
      const range = (of: number[]) => [Math.min(...of), Math.max(...of) + 1] as const;
      const [left, right] = range(bright.map((i) => i % side));
      const [top, bottom] = range(bright.map((i) => Math.floor(i / side)));
      return [{ box: { x: left, y: top, width: right - left, height: bottom - top }, score: 0.9 }];
    },
  };
}

/** Hands the input back and notes its shape. */
function echoRuntime(shapes: (readonly number[])[]): Runtime {
  const session: Session = {
    inputNames: ['pixels'],
    outputNames: ['pixels'],
    run: async (feeds: TensorValues) => {
      shapes.push(feeds.pixels!.shape);
      return feeds;
    },
    release: async () => {},
  };
  return {
    device: 'test',
    createSession: async () => session,
    loadSession: async () => session,
    close: async () => {},
  };
}

describe('BoxFinder', () => {
  it.each([
    [{ side: 64, fill: 1 }, 200, 100],
    [{ side: 64, fill: 0.4 }, 200, 100],
    [{ side: 96, fill: 0.5 }, 30, 60],
    [{ side: 64, fill: 1 }, 9000, 3000],
  ])('gives boxes in pixels of the photo: %j of %i×%i', async (view, width, height) => {
    const photo = pixelImage(width, height);
    const box = { x: width * 0.5, y: height * 0.25, width: width * 0.25, height: height * 0.5 };
    for (let y = box.y; y < box.y + box.height; y++)
      photo.data.fill(255, 3 * (y * width + box.x), 3 * (y * width + box.x + box.width));
    const shapes: (readonly number[])[] = [];
    const finder = new BoxFinder(echoRuntime(shapes), brightNetwork({ views: [view] }));
    const [found] = await finder.find(photo);
    const pixel = Math.max(width, height) / (view.side * view.fill);
    for (const key of ['x', 'y', 'width', 'height'] as const)
      expect(Math.abs(found!.box[key] - box[key])).toBeLessThan(1.5 * pixel);
    // whatever the photo, the network's input has the size of the view
    expect(shapes).toEqual([[1, 3, view.side, view.side]]);
    await finder.close();
  });

  it('what two views see is one face', async () => {
    const photo = pixelImage(100, 100);
    photo.data.fill(255, 3 * 4000, 3 * 8000);
    const views = [
      { side: 64, fill: 1 },
      { side: 64, fill: 0.5 },
    ];
    const shapes: (readonly number[])[] = [];
    expect(await new BoxFinder(echoRuntime(shapes), brightNetwork({ views })).find(photo)).toHaveLength(1);
    expect(shapes).toHaveLength(2);
  });
});
