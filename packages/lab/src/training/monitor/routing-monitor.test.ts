import { expect, test } from 'vitest';
import type { TrainEvent } from '../events.ts';
import { RoutingMonitor, relativeEntropy } from './routing-monitor.ts';

test('entropy of loads: 1 when alike, 0 for one, log 2 over log 4 for two of four', () => {
  expect(relativeEntropy([1, 1, 1, 1])).toBeCloseTo(1, 12);
  expect(relativeEntropy([4, 0, 0, 0])).toBe(0);
  expect(relativeEntropy([2, 2, 0, 0])).toBeCloseTo(0.5, 12);
});

function monitor(loads: readonly (readonly number[])[]): TrainEvent[] {
  const events: TrainEvent[] = [];
  const routing = new RoutingMonitor(
    [{ task: 't2i', output: 'r', places: [{ level: 'token', layer: 1, experts: 4, start: 0 }] }],
    {
      stage: 's',
      settings: { everySteps: 2, windowRecords: 2, minLoad: 0.1, minEntropy: 0.4 },
      onEvent: (event) => events.push(event),
    },
  );
  loads.forEach((load, i) => {
    // two parts a step
    routing.add({ r: Float32Array.from([...load, 0.5]) });
    routing.add({ r: Float32Array.from([...load, 0.7]) });
    routing.stepDone(i + 1);
  });
  return events;
}

test('records are means over steps and parts', () => {
  const [record] = monitor([
    [1, 1, 1, 1],
    [3, 1, 0, 0],
  ]);
  expect(record).toEqual({
    kind: 'routing',
    stage: 's',
    step: 2,
    routers: [{ task: 't2i', level: 'token', layer: 1, load: [2, 1, 0.5, 0.5], entropy: 0.875, scoreEntropy: 0.6 }],
  });
});

test('an alarm comes once over a whole window, changes when it gets worse, and clears', () => {
  const [even, starved, collapsed] = [
    [1, 1, 1, 1],
    [1.33, 1.33, 1.33, 0.01],
    [3.9, 0.1, 0, 0],
  ] as const;
  const blocks = [even, starved, starved, starved, collapsed, collapsed, even, even];
  const alarms = monitor(blocks.flatMap((load) => [load, load])).filter((event) => event.kind === 'alarm');
  expect(alarms.map(({ step, raised, text }) => [step, raised, text])).toEqual([
    [6, true, 'routing: t2i, token level, layer 1: over 4 steps expert 3 gets less than 10 % of a fair share'],
    [
      12,
      true,
      'routing: t2i, token level, layer 1: over 4 steps the router has collapsed: entropy of its loads under 0.4 of the maximum',
    ],
    [14, false, 'routing: t2i, token level, layer 1: balanced again over 4 steps'],
  ]);
});
