export * from './masking.ts';
export * from './schedules.ts';
