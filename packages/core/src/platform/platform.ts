import type { Device, DeviceChoice, Runtime, SessionOptions } from '@unif2ace/graph';
import type { ModelSource } from '../model/source.ts';

/** What loading a model needs of the place where the program runs; `#platform` is the one of Node or of the browser. */
export interface Platform {
  /** Where the files of a model lie: a bundled name, a folder, an address. @throws ModelError */
  findModel(model: string | URL): Promise<ModelSource>;
  /** @throws DeviceError naming what can be had. */
  openRuntime(device: Device | 'auto', options: SessionOptions): Promise<DeviceChoice & { runtime: Runtime }>;
}
