import { useEffect, useRef } from 'preact/hooks';
import type { LayerRouting, Routing } from '../engine.ts';
import { useStudio } from '../studio.ts';

// E experts, N image tokens

/** Gate weights of one expert over the tokens [N]. */
const weightsOf = (layer: LayerRouting, expert: number, tokens: number): Float32Array =>
  layer.level === 'token'
    ? layer.weights.subarray(expert * tokens, (expert + 1) * tokens)
    : new Float32Array(tokens).fill(layer.weights[expert]!);

/** Greatest weight of a layer: where the scale ends. */
const mostOf = (layer: LayerRouting): number => layer.weights.reduce((most, weight) => Math.max(most, weight), 1e-9);

function HeatCanvas({ weights_N, most, grid }: { weights_N: Float32Array; most: number; grid: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current!.getContext('2d')!;
    context.fillStyle = getComputedStyle(canvas.current!).color;
    context.clearRect(0, 0, grid, grid);
    for (let i = 0; i < grid * grid; i++) {
      context.globalAlpha = Math.min(1, weights_N[i]! / most);
      context.fillRect(i % grid, Math.floor(i / grid), 1, 1);
    }
  }, [weights_N, most, grid]);
  return <canvas ref={canvas} class="heat" width={grid} height={grid} aria-hidden="true" />;
}

/** The heatmap that was chosen, over the picture. */
export function RoutingOverlay() {
  const { darkroom } = useStudio();
  const routing = darkroom.routing.value;
  const shown = darkroom.shownExpert.value;
  if (!routing || shown === undefined) return null;
  const [place, expert] = shown.split(':').map(Number);
  const layer = routing.layers[place!];
  if (!layer) return null;
  const tokens = routing.tokenGrid ** 2;
  return (
    <span class="heat-overlay">
      <HeatCanvas weights_N={weightsOf(layer, expert!, tokens)} most={mostOf(layer)} grid={routing.tokenGrid} />
    </span>
  );
}

function RoutingTable({
  routing,
  level,
  caption,
}: {
  routing: Routing;
  level: LayerRouting['level'];
  caption: string;
}) {
  const { darkroom } = useStudio();
  const rows = routing.layers.map((layer, place) => ({ layer, place })).filter(({ layer }) => layer.level === level);
  if (rows.length === 0) return null;
  const tokens = routing.tokenGrid ** 2;
  const shown = darkroom.shownExpert;
  return (
    <div class="sweep-scroll" tabIndex={0} role="region" aria-label={caption}>
      <table class="routing">
        <caption>{caption}</caption>
        <thead>
          <tr>
            <td />
            {rows[0]!.layer.experts.map((name, index) => (
              <th key={index} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ layer, place }) => (
            <tr key={place}>
              <th scope="row">Layer {layer.layer + 1}</th>
              {layer.experts.map((name, expert) => {
                const weights_N = weightsOf(layer, expert, tokens);
                const fired = weights_N.reduce((count, weight) => count + Number(weight > 0), 0) / tokens;
                const key = `${place}:${expert}`;
                return (
                  <td key={key}>
                    <button
                      type="button"
                      class="heat-button"
                      aria-pressed={shown.value === key}
                      aria-label={`Layer ${layer.layer + 1}, ${name}: fired for ${Math.round(100 * fired)} % of the picture`}
                      onClick={() => {
                        shown.value = shown.value === key ? undefined : key;
                      }}
                    >
                      <HeatCanvas weights_N={weights_N} most={mostOf(layer)} grid={routing.tokenGrid} />
                    </button>
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
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
  if (!routing) return <p class="note">Loading…</p>;
  return (
    <>
      <p class="note">
        The darker, the more an expert had to say there, mean over the steps. Choose one to see it on the face.
      </p>
      <RoutingTable routing={routing} level="token" caption="Experts of each token" />
      <RoutingTable routing={routing} level="sequence" caption="Experts of the whole picture" />
    </>
  );
}
