import { DeviceError } from '@unif2ace/graph';
import { ModelError } from '../model/source.ts';
import type { Platform } from './platform.ts';

/** The files below an address; it need not end in a slash. */
export const platform: Platform = {
  findModel: async (model) => {
    const base = new URL(
      String(model).replace(/\/?$/, '/'),
      (globalThis as { location?: { href: string } }).location?.href,
    );
    return {
      name: base.href,
      read: async (file) => {
        const response = await fetch(new URL(file, base));
        if (!response.ok) throw new ModelError(`HTTP status ${response.status}`);
        return new Uint8Array(await response.arrayBuffer());
      },
    };
  },
  openRuntime: async () => {
    throw new DeviceError('device: expected a runtime of the browser, got none; try UniF2ace.load(model, { runtime })');
  },
};
