import { useEffect, useId, useRef } from 'preact/hooks';
import type { LayerRouting, Routing } from '../engine.ts';
import { useStudio } from '../studio.ts';

// E experts, N image tokens

const taskNames: Record<Routing['task'], string> = {
  t2i: 'generation (T2I group)',
  mmu: 'understanding (MMU group)',
};

/** Gate weights of one expert over the tokens [N]. */
const weightsOf = (layer: LayerRouting, expert: number, tokens: number): Float32Array =>
  layer.weights.subarray(expert * tokens, (expert + 1) * tokens);

/** Greatest weight of a layer: where the scale ends. */
const mostOf = (layer: LayerRouting): number => layer.weights.reduce((most, weight) => Math.max(most, weight), 1e-9);

const percent = (share: number): string => `${Math.round(100 * share)} %`;

interface HeatProps {
  weights_N: Float32Array;
  most: number;
  grid: number;
  /** Covers what has no weight instead. */
  inverse?: boolean;
}

function HeatCanvas({ weights_N, most, grid, inverse = false }: HeatProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    context.fillStyle = getComputedStyle(canvas.current!).color;
    context.clearRect(0, 0, grid, grid);
    for (let i = 0; i < grid * grid; i++) {
      const share = Math.min(1, weights_N[i]! / most);
      context.globalAlpha = inverse ? 1 - share : share;
      context.fillRect(i % grid, Math.floor(i / grid), 1, 1);
    }
  }, [weights_N, most, grid, inverse]);
  return <canvas ref={canvas} class="heat" width={grid} height={grid} aria-hidden="true" />;
}

/** The heatmap that was chosen: its layer, the expert's name and weights [N]. */
function useShownHeat() {
  const { darkroom } = useStudio();
  const routing = darkroom.routing.value;
  const shown = darkroom.shownExpert.value;
  const layer = shown && routing?.layers[shown.place];
  if (!routing || !layer) return undefined;
  const { tokenGrid: grid } = routing;
  return { layer, grid, name: layer.experts[shown.expert]!, weights_N: weightsOf(layer, shown.expert, grid ** 2) };
}

/** The heatmap that was chosen, over the picture: lit where the expert fired. */
export function RoutingOverlay() {
  const heat = useShownHeat();
  if (!heat) return null;
  return (
    <span class="heat-overlay">
      <HeatCanvas weights_N={heat.weights_N} most={mostOf(heat.layer)} grid={heat.grid} inverse />
    </span>
  );
}

/** The same in numbers, for those who cannot see it. */
function HeatNumbers() {
  const heat = useShownHeat();
  if (!heat) return null;
  const { grid, layer, name, weights_N } = heat;
  const places = Array.from({ length: grid }, (_, i) => i);
  const title = `Layer ${layer.layer + 1}, ${name}`;
  return (
    <details class="heat-numbers">
      <summary>{title} in numbers</summary>
      <div class="sweep-scroll" tabIndex={0} role="region" aria-label={`${title} in numbers`}>
        <table>
          <caption class="unseen">{title}: gate weight in hundredths by place in the picture</caption>
          <thead>
            <tr>
              <td />
              {places.map((column) => (
                <th key={column} scope="col">
                  <span class="unseen">column </span>
                  {column + 1}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {places.map((row) => (
              <tr key={row}>
                <th scope="row">
                  <span class="unseen">row </span>
                  {row + 1}
                </th>
                {places.map((column) => (
                  <td key={column}>{Math.round(100 * weights_N[row * grid + column]!)}</td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}

/** Experts of each token: a heatmap for each, to be laid over the face. */
function TokenExperts({ layer, place, grid }: { layer: LayerRouting; place: number; grid: number }) {
  const { darkroom } = useStudio();
  const shown = darkroom.shownExpert;
  const tokens = grid ** 2;
  const most = mostOf(layer);
  const total = layer.weights.reduce((sum, weight) => sum + weight, 0) || 1;
  return (
    <table class="heats">
      <caption>Experts of each token</caption>
      <thead>
        <tr>
          {layer.experts.map((name) => (
            <th key={name} scope="col">
              <span class="unseen">{name.replace(/\d+$/, '')}</span>
              {/\d+$/.exec(name)?.[0] ?? name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        <tr>
          {layer.experts.map((name, expert) => {
            const weights_N = weightsOf(layer, expert, tokens);
            const fired = weights_N.filter((weight) => weight > 0).length;
            const share = percent(weights_N.reduce((sum, weight) => sum + weight, 0) / total);
            const pressed = shown.value?.place === place && shown.value.expert === expert;
            const said = `${share} of the weight, fired at ${fired} of ${tokens} places`;
            return (
              <td key={name}>
                <button
                  type="button"
                  class="heat-button"
                  aria-pressed={pressed}
                  aria-label={`${name} of layer ${layer.layer + 1}: ${said}. Show on the face`}
                  title={`${name}: ${said}`}
                  onClick={() => {
                    shown.value = pressed ? undefined : { place, expert };
                  }}
                >
                  <HeatCanvas weights_N={weights_N} most={most} grid={grid} />
                  <span>{share}</span>
                </button>
              </td>
            );
          })}
        </tr>
      </tbody>
    </table>
  );
}

/** Experts that a whole picture shares, as bars. */
function SequenceExperts({ layer }: { layer: LayerRouting }) {
  const total = layer.weights.reduce((sum, weight) => sum + weight, 0) || 1;
  return (
    <table class="shares">
      <caption>Experts of the whole picture</caption>
      <tbody>
        {layer.experts.map((name, expert) => {
          const share = layer.weights[expert]! / total;
          const before = layer.experts.slice(0, expert).filter((other) => other === name).length;
          return (
            <tr key={`${name} ${before}`}>
              <th scope="row">{before === 0 ? name : `${name} ${before + 1}`}</th>
              <td class="share-bar" aria-hidden="true">
                <span class="bar" style={{ '--share': `${100 * share}%` }} />
              </td>
              <td class="percent">{percent(share)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Layer({ routing, layer }: { routing: Routing; layer: number }) {
  const id = useId();
  return (
    <section class="layer" aria-labelledby={id}>
      <h3 id={id}>Layer {layer + 1}</h3>
      {routing.layers.map((one, place) => {
        if (one.layer !== layer) return null;
        return one.level === 'token' ? (
          <TokenExperts key={one.level} layer={one} place={place} grid={routing.tokenGrid} />
        ) : (
          <SequenceExperts key={one.level} layer={one} />
        );
      })}
    </section>
  );
}

/** Which experts fired where. */
export function RoutingView() {
  const { darkroom } = useStudio();
  const routing = darkroom.routing.value;
  const face = darkroom.current.value;
  useEffect(() => {
    void darkroom.loadRouting();
  }, [darkroom, face]);
  if (darkroom.routingProblem.value)
    return (
      <p class="problem" role="alert">
        {darkroom.routingProblem.value}
      </p>
    );
  if (!routing)
    return (
      <p class="note" role="status">
        Looking which experts fire…
      </p>
    );
  const layers = [...new Set(routing.layers.map(({ layer }) => layer))];
  return (
    <div class="experts">
      <p class="note">
        Experts of {taskNames[routing.task]}, mean over {routing.steps} steps{' '}
        {darkroom.routedAgain.value ? 'in which this face was made' : 'of this picture, masked ever less'}. The stronger
        the colour, the more an expert had to say there; choose one, and the face is lit where it spoke.
      </p>
      {layers.map((layer) => (
        <Layer key={layer} routing={routing} layer={layer} />
      ))}
      <HeatNumbers />
    </div>
  );
}
