import { pixelImage } from '@unif2ace/core';
import { describe, expect, it } from 'vitest';
import { slug } from './output.ts';
import { duration, progressText, StatusLine, short } from './progress.ts';
import { drawImages, halfBlocks, hasTrueColour, printable } from './terminal.ts';

function recorder(isTTY: boolean, columns = 80) {
  const written: string[] = [];
  return { written, isTTY, columns, write: (text: string) => written.push(text) };
}

describe('progress', () => {
  const progress = {
    stage: 'backbone',
    step: 1200,
    steps: 3000,
    loss: 1.23456,
    learningRate: 1e-3,
    gradNorm: 1,
    memoryBytes: 1e9,
    flopsPerSecond: 5e10,
    peakShare: 0.337,
    metrics: { t2i: 0.5 },
    tokensPerSecond: 20412.7,
    etaSeconds: 200,
  };

  it('names stage, step, loss, throughput, share of the peak, memory, time left and metrics', () => {
    expect(progressText(progress)).toBe(
      'backbone 1,200/3,000 · loss 1.235 · 20,413 tokens/s · 34 % of peak · 954 MiB · 3 min 20 s left · t2i 0.5',
    );
    const { peakShare: _, ...unknown } = progress;
    expect(progressText({ ...unknown, tokensPerSecond: 0, etaSeconds: Number.NaN })).toContain(
      'loss 1.235 · 954 MiB · – left',
    );
  });

  it.each([
    [0, '0 s'],
    [59.6, '1 min 00 s'],
    [3599, '59 min 59 s'],
    [3720, '1 h 02 min'],
    [Number.POSITIVE_INFINITY, '–'],
  ])('duration %d', (seconds, text) => expect(duration(seconds)).toBe(text));
  it.each([
    [0, '0'],
    [0.00012, '1.2e-4'],
    [0.123456, '0.1235'],
    [12345.6, '12,346'],
    [Number.NaN, 'NaN'],
  ])('short %d', (value, text) => expect(short(value)).toBe(text));

  it('rewrites one line of a terminal, cut to its width', () => {
    const output = recorder(true, 10);
    const line = new StatusLine(output);
    line.show('0123456789abc');
    line.log('done');
    line.clear();
    expect(output.written).toEqual(['\r\x1b[2K012345678', '\r\x1b[2K', 'done\n']);
  });

  it('writes a line every five seconds elsewhere', () => {
    let nowMs = 0;
    const output = recorder(false);
    const line = new StatusLine(output, () => nowMs);
    for (; nowMs <= 11_000; nowMs += 500) line.show(`at ${nowMs}`);
    expect(output.written).toEqual(['at 5000\n', 'at 10000\n']);
  });
});

describe('terminal pictures', () => {
  it('draws two rows in one: above in the foreground, below in the background', () => {
    const image = pixelImage(1, 3, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9));
    expect(halfBlocks(image)).toEqual(['\x1b[38;2;1;2;3;48;2;4;5;6m▀\x1b[0m', '\x1b[38;2;7;8;9;48;2;7;8;9m▀\x1b[0m']);
  });

  it('wraps to the width', () => {
    const output = recorder(true, 10);
    drawImages(
      output,
      Array.from({ length: 3 }, () => pixelImage(4, 2)),
    );
    expect(output.written.filter((text) => text.includes('▀')).map((text) => text.match(/▀/g)!.length)).toEqual([8, 4]);
  });

  it('asks for a terminal with 24-bit colour', () => {
    const output = { write: () => {}, isTTY: true, getColorDepth: () => 24 };
    expect(hasTrueColour(output, {})).toBe(true);
    expect(hasTrueColour(output, { NO_COLOR: '1' })).toBe(false);
    expect(hasTrueColour({ ...output, isTTY: false }, {})).toBe(false);
    expect(hasTrueColour({ ...output, getColorDepth: () => 8 }, {})).toBe(false);
  });
});

describe('text for file names and terminals', () => {
  it.each([
    ['A Man, with a beard!', 'a-man-with-a-beard'],
    ['a smiling young woman with long blond hair', 'a-smiling-young-woman-with-long-blond'],
    ['x'.repeat(90), 'x'.repeat(40)],
    ['улыбка / ../', 'улыбка'],
    ['!?', 'face'],
    ['', 'face'],
  ])('slug of "%s"', (prompt, name) => expect(slug(prompt)).toBe(name));

  it('takes control characters out', () => expect(printable('a\x1b[2Jb\u009bc\n')).toBe('a\uFFFD[2Jb\uFFFDc\uFFFD'));
});
