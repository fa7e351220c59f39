import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { dataUrlBytes } from './data-url.ts';

const png = (size: number) => new Uint8Array(Buffer.concat([Buffer.from('\x89PNG', 'latin1'), randomBytes(size)]));
const url = (text: string) => `data:image/png;base64,${text}`;

test('base64 of every length, with its padding or without', () => {
  for (let size = 0; size < 9; size++) {
    const bytes = png(size);
    const text = Buffer.from(bytes).toString('base64');
    expect(new Uint8Array(dataUrlBytes(url(text), 'image'))).toEqual(bytes);
    expect(new Uint8Array(dataUrlBytes(url(text.replaceAll('=', '')), 'image'))).toEqual(bytes);
  }
});

test('everything else is refused: other characters anywhere, the alphabet of addresses, padding inside', () => {
  for (let size = 12; size < 16; size++) {
    const text = Buffer.from(png(size)).toString('base64').replace(/=+$/, '');
    for (const wrong of ['!', ' ', '\n', '-', '_', '=', '\0', 'é', '😀', '.'])
      for (let at = 6; at < text.length; at++)
        // one at the very end is padding
        for (const bad of [text.slice(0, at) + wrong + text.slice(at), text.slice(0, at) + wrong + text.slice(at + 1)])
          if (wrong !== '=' || at < text.length - 1)
            expect(() => dataUrlBytes(url(bad), 'image'), JSON.stringify(bad)).toThrow('expected base64');
  }
});
