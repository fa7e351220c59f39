export * from './schemas/chat.ts';
export * from './schemas/common.ts';
export * from './schemas/faces.ts';
export * from './schemas/images.ts';
export * from './schemas/service.ts';
