/** Learning-rate laws of Show-o's trainer; every one but `constant` warms up linearly from 0. */
export type LrSchedule =
  | { kind: 'constant' }
  | { kind: 'constant_with_warmup'; warmupSteps: number }
  | { kind: 'linear'; warmupSteps: number; totalSteps: number }
  | { kind: 'cosine'; warmupSteps: number; totalSteps: number; cycles?: number }
  | { kind: 'cosine_with_restarts'; warmupSteps: number; totalSteps: number; cycles?: number }
  | { kind: 'polynomial'; warmupSteps: number; totalSteps: number; power?: number; end?: number };

export interface LrOptions {
  /** The rate that factors scale. */
  base: number;
  /** After the last step the original's cosine rises again; by default the rate stays at its end (quirks: Training). */
  riseAgain?: boolean;
}

/** Learning rate of step `step`, counted from 0; the first step under warm-up has rate 0. */
export function learningRate(schedule: LrSchedule, step: number, { base, riseAgain = false }: LrOptions): number {
  if (schedule.kind === 'constant') return base;
  if (step < schedule.warmupSteps) return (base * step) / Math.max(1, schedule.warmupSteps);
  if (schedule.kind === 'constant_with_warmup') return base;
  const at = riseAgain ? step : Math.min(step, schedule.totalSteps);
  const progress = (at - schedule.warmupSteps) / Math.max(1, schedule.totalSteps - schedule.warmupSteps);
  switch (schedule.kind) {
    case 'linear':
      return base * Math.max(0, 1 - progress);
    case 'cosine':
      return base * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (schedule.cycles ?? 0.5) * 2 * progress)));
    case 'cosine_with_restarts':
      return progress >= 1
        ? 0
        : base * Math.max(0, 0.5 * (1 + Math.cos(Math.PI * (((schedule.cycles ?? 1) * progress) % 1))));
    case 'polynomial': {
      const end = schedule.end ?? 1e-7;
      return progress > 1 ? end : end + (base - end) * (1 - progress) ** (schedule.power ?? 1);
    }
  }
}
