import { effect } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { StudioPreview } from '../engine.ts';
import type { Face } from '../state/face.ts';
import { usePictureUrl } from './parts.tsx';

const fadeMs = 260;
const toneCount = 6;

/** A fixed number in 0..1 per cell, so that the mosaic does not flicker. */
const grain = (cell: number): number => {
  const value = Math.sin(cell * 127.1 + 311.7) * 43758.5453;
  return value - Math.floor(value);
};

/** Paints a picture in the making: what is known sharp, what is masked as tiles that fade away. */
class Painter {
  readonly #canvas: HTMLCanvasElement;
  readonly #grid: number;
  /** Opacity of the tiles, now and where it goes [N]. */
  readonly #now: Float32Array;
  readonly #goal: Float32Array;
  /** A copy of the last preview, whose bitmap is freed by its owner. */
  #picture: OffscreenCanvas | undefined;
  #frame = 0;
  #lastMs = 0;

  constructor(canvas: HTMLCanvasElement, grid: number) {
    this.#canvas = canvas;
    this.#grid = grid;
    this.#now = new Float32Array(grid * grid).fill(1);
    this.#goal = this.#now.slice();
    this.#paint();
  }

  show({ picture, masked }: StudioPreview): void {
    // a bitmap that was freed has no size
    if (picture.width > 0) {
      this.#picture ??= new OffscreenCanvas(picture.width, picture.height);
      this.#picture.getContext('2d')!.drawImage(picture, 0, 0);
    }
    for (let i = 0; i < this.#goal.length; i++) this.#goal[i] = masked?.[i] ? 1 : 0;
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) this.#now.set(this.#goal);
    cancelAnimationFrame(this.#frame);
    this.#lastMs = performance.now();
    this.#frame = requestAnimationFrame((ms) => this.#step(ms));
  }

  stop(): void {
    cancelAnimationFrame(this.#frame);
  }

  #step(ms: number): void {
    const change = Math.max(0, ms - this.#lastMs) / fadeMs;
    this.#lastMs = ms;
    let moving = false;
    for (let i = 0; i < this.#now.length; i++) {
      const rest = this.#goal[i]! - this.#now[i]!;
      if (rest === 0) continue;
      this.#now[i]! += Math.sign(rest) * Math.min(Math.abs(rest), change);
      moving ||= this.#now[i] !== this.#goal[i];
    }
    this.#paint();
    if (moving) this.#frame = requestAnimationFrame((next) => this.#step(next));
  }

  #paint(): void {
    const context = this.#canvas.getContext('2d');
    if (!context) return;
    const size = this.#canvas.width;
    const style = getComputedStyle(this.#canvas);
    context.imageSmoothingQuality = 'high';
    context.globalAlpha = 1;
    context.clearRect(0, 0, size, size);
    if (this.#picture) context.drawImage(this.#picture, 0, 0, size, size);
    const cell = size / this.#grid;
    const inset = Math.max(0.5, cell * 0.03);
    for (let i = 0; i < this.#now.length; i++) {
      const opacity = this.#now[i]!;
      if (opacity === 0) continue;
      const [x, y] = [(i % this.#grid) * cell, Math.floor(i / this.#grid) * cell];
      context.globalAlpha = opacity;
      context.fillStyle = style.backgroundColor;
      context.fillRect(x - 0.5, y - 0.5, cell + 1, cell + 1);
      context.globalAlpha = opacity * (0.25 + (0.75 * Math.floor(grain(i) * toneCount)) / toneCount);
      context.fillStyle = style.color;
      context.beginPath();
      context.roundRect(x + inset, y + inset, cell - 2 * inset, cell - 2 * inset, cell * 0.16);
      context.fill();
    }
    context.globalAlpha = 1;
  }
}

interface FacePictureProps {
  face: Face;
  tokenGrid: number;
  /** Edge of the canvas in pixels. */
  pixels?: number;
}

/** A face: the mosaic while it is made, then the picture itself. */
export function FacePicture({ face, tokenGrid, pixels = 320 }: FacePictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const url = usePictureUrl(face.png.value);
  // only a picture that was seen in the making fades in
  const watched = useRef(!face.png.value);
  useEffect(() => {
    const painter = new Painter(canvas.current!, tokenGrid);
    const stop = effect(() => {
      const preview = face.preview.value;
      if (preview) painter.show(preview);
    });
    return () => {
      stop();
      painter.stop();
    };
  }, [face, tokenGrid]);
  const words = face.settings.prompt || 'any face';
  const alt =
    face.madeBy === null
      ? 'The face as the model sees it'
      : `Generated face: ${words}, seed ${face.settings.seed}, picture ${face.index + 1}`;
  const look = watched.current ? 'is-fresh' : '';
  return (
    <span class={`picture ${look} ${url ? 'is-done' : face.preview.value ? 'is-making' : 'is-waiting'}`}>
      <canvas ref={canvas} width={pixels} height={pixels} aria-hidden="true" />
      {url && <img src={url} alt={alt} />}
      {!url && <span class="unseen">Face in the making: {words}</span>}
    </span>
  );
}
