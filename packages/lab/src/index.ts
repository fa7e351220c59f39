export * from './training/adamw.ts';
export * from './training/train-graph.ts';
export * from './evaluation/frechet.ts';
export * from './evaluation/kid.ts';
export * from './training/lr-schedule.ts';
