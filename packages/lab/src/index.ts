export * from './training/adamw.ts';
