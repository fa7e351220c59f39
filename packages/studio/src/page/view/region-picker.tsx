import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { NamedRegion } from '../engine.ts';
import { paintStrokes, type RegionChoice, regionBoxes } from '../state/darkroom.ts';
import { useStudio } from '../studio.ts';
import { Icon, Segments, Slider } from './parts.tsx';

const canvasPixels = 512;
const parts = Object.keys(regionBoxes) as NamedRegion[];

/** Over the picture: parts to click, or a canvas to paint on by pointer or keys. */
export function RegionOverlay() {
  const { darkroom, info } = useStudio();
  const region = darkroom.region.value;
  if (region === 'brush') return <BrushCanvas tokenGrid={info.model.tokenGrid} />;
  return (
    <span class="regions" aria-hidden="true">
      {parts.flatMap((part) =>
        regionBoxes[part].map(([left, top, right, bottom]) => (
          // the radio buttons below do the same for the keyboard
          <span
            key={`${part}${left}${top}`}
            class={`region ${part === region ? 'is-chosen' : ''}`}
            style={{
              left: `${100 * left}%`,
              top: `${100 * top}%`,
              width: `${100 * (right - left)}%`,
              height: `${100 * (bottom - top)}%`,
            }}
            onClick={() => {
              darkroom.region.value = part;
            }}
          />
        )),
      )}
    </span>
  );
}

function BrushCanvas({ tokenGrid }: { tokenGrid: number }) {
  const { darkroom } = useStudio();
  const canvas = useRef<HTMLCanvasElement>(null);
  const painting = useSignal(false);
  /** Where the keys are, in cells of the token grid. */
  const cursor = useSignal({ column: tokenGrid >> 1, row: tokenGrid >> 1 });
  const said = useSignal('');
  const strokes = darkroom.strokes.value;
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    context.clearRect(0, 0, canvasPixels, canvasPixels);
    context.strokeStyle = getComputedStyle(canvas.current!).color;
    paintStrokes(context, strokes, canvasPixels);
  }, [strokes]);

  const at = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    return { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
  };
  const extend = (point: { x: number; y: number }) => {
    const all = darkroom.strokes.value;
    const last = all.at(-1)!;
    darkroom.strokes.value = [...all.slice(0, -1), { ...last, points: [...last.points, point] }];
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const move = moves[event.key];
    const { column, row } = cursor.value;
    const within = (value: number) => Math.min(tokenGrid - 1, Math.max(0, value));
    if (move) cursor.value = { column: within(column + move[0]), row: within(row + move[1]) };
    else if (event.key === ' ') {
      const point = { x: (column + 0.5) / tokenGrid, y: (row + 0.5) / tokenGrid };
      darkroom.strokes.value = [...darkroom.strokes.value, { points: [point], radius: darkroom.brushRadius.value }];
    } else return;
    event.preventDefault();
    const { column: x, row: y } = cursor.value;
    said.value = `Row ${y + 1}, column ${x + 1}${move ? '' : ', painted'}`;
  };
  const { column, row } = cursor.value;
  return (
    <span class="brush">
      <canvas
        ref={canvas}
        width={canvasPixels}
        height={canvasPixels}
        tabIndex={0}
        role="application"
        aria-label="Brush: arrow keys move, space paints, Control Z takes back"
        onKeyDown={onKeyDown}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          painting.value = true;
          darkroom.strokes.value = [
            ...darkroom.strokes.value,
            { points: [at(event)], radius: darkroom.brushRadius.value },
          ];
        }}
        onPointerMove={(event) => {
          if (painting.value) extend(at(event));
        }}
        onPointerUp={() => {
          painting.value = false;
        }}
        onPointerCancel={() => {
          painting.value = false;
        }}
      />
      <span
        class="brush-cursor"
        style={{ left: `${(100 * (column + 0.5)) / tokenGrid}%`, top: `${(100 * (row + 0.5)) / tokenGrid}%` }}
      />
      <span class="unseen" role="status">
        {said.value}
      </span>
    </span>
  );
}

/** Which part is made anew. */
export function RegionPicker() {
  const { darkroom } = useStudio();
  const brush = darkroom.region.value === 'brush';
  return (
    <>
      <Segments<RegionChoice>
        legend="Part to make anew"
        value={darkroom.region.value}
        options={[
          { value: 'hair', label: 'Hair' },
          { value: 'eyes', label: 'Eyes' },
          { value: 'mouth', label: 'Mouth' },
          { value: 'brush', label: 'Brush' },
        ]}
        onValue={(value) => {
          darkroom.region.value = value;
        }}
      />
      {brush && (
        <div class="brush-tools">
          <Slider
            label="Size"
            min={2}
            max={20}
            value={Math.round(100 * darkroom.brushRadius.value)}
            text={`${Math.round(100 * darkroom.brushRadius.value)} %`}
            onValue={(value) => {
              darkroom.brushRadius.value = value / 100;
            }}
          />
          <button
            type="button"
            class="icon-button"
            aria-label="Take the last stroke back"
            title="Undo (Ctrl+Z)"
            disabled={darkroom.strokes.value.length === 0}
            onClick={() => {
              darkroom.strokes.value = darkroom.strokes.value.slice(0, -1);
            }}
          >
            <Icon name="undo" />
          </button>
          <button
            type="button"
            class="quiet"
            disabled={darkroom.strokes.value.length === 0}
            onClick={() => {
              darkroom.strokes.value = [];
            }}
          >
            Clear
          </button>
        </div>
      )}
    </>
  );
}
