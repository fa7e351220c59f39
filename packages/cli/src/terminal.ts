import type { PixelImage } from '@unif2ace/core';
import type { Output } from './environment.ts';

/** Text of a model without control characters: nothing it says may steer the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]/gu, '\uFFFD');
}

/** Whether 24-bit colours may be written. */
export function hasTrueColour(output: Output, variables: Record<string, string | undefined> = process.env): boolean {
  return output.isTTY === true && !variables.NO_COLOR && (output.getColorDepth?.() ?? 1) >= 24;
}

/** Two rows of pixels per line of text: the upper half block in the colour above on the colour below. */
export function halfBlocks(image: PixelImage): string[] {
  const colour = (x: number, y: number) => {
    const at = 3 * (Math.min(y, image.height - 1) * image.width + x);
    return `${image.data[at]};${image.data[at + 1]};${image.data[at + 2]}`;
  };
  const lines: string[] = [];
  for (let y = 0; y < image.height; y += 2) {
    const cells = Array.from({ length: image.width }, (_, x) => `\x1b[38;2;${colour(x, y)};48;2;${colour(x, y + 1)}m▀`);
    lines.push(`${cells.join('')}\x1b[0m`);
  }
  return lines;
}

/** Pictures side by side, as many in a row as the terminal holds. */
export function drawImages(output: Output, images: readonly PixelImage[], gap = 2): void {
  const width = images[0]?.width ?? 1;
  const perRow = Math.max(1, Math.floor(((output.columns ?? 80) + gap) / (width + gap)));
  for (let first = 0; first < images.length; first += perRow) {
    const drawn = images.slice(first, first + perRow).map(halfBlocks);
    for (let line = 0; line < drawn[0]!.length; line++)
      output.write(`${drawn.map((rows) => rows[line] ?? '').join(' '.repeat(gap))}\n`);
    output.write('\n');
  }
}
