/** Where sessions compute. What there is depends on the engine that is installed and on the machine. */
export const devices = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
export type Device = (typeof devices)[number];

/** A device and why it was taken, in one line for the user. */
export interface DeviceChoice {
  device: Device;
  reason: string;
}

/** A device that was asked for and cannot be had: one line. */
export class DeviceError extends Error {
  override name = 'DeviceError';
}

/**
 * Chooses among the devices that the engine knows of. `probe` runs a small graph on one and throws where that fails.
 * `auto` takes the first of CUDA, CoreML, DirectML that works, else the CPU; WebGPU only when it is asked for: its driver
 * may be software, which is slower than the CPU, and the models shipped here are too small to gain by it.
 * @throws DeviceError naming what can be had when the wanted one cannot.
 */
export async function chooseDevice(
  wanted: Device | 'auto',
  known: readonly Device[],
  probe: (device: Device) => Promise<void>,
): Promise<DeviceChoice> {
  const list = known.join(', ');
  const failures: string[] = [];
  const works = async (device: Device) => {
    try {
      await probe(device);
      return true;
    } catch (error) {
      failures.push(`${device} failed: ${firstLine(error)}`);
      return false;
    }
  };
  if (wanted !== 'auto') {
    if (!devices.includes(wanted))
      throw new DeviceError(`device: expected auto, ${devices.join(', ')}, got ${wanted}; try auto`);
    if (!known.includes(wanted))
      throw new DeviceError(`device: expected one of ${list}, which this engine has, got ${wanted}; try auto`);
    if (wanted === 'cpu' || (await works(wanted))) return { device: wanted, reason: 'asked for' };
    throw new DeviceError(`device: ${failures[0]}; this engine has ${list}; try auto`);
  }
  for (const device of ['cuda', 'coreml', 'dml'] as const)
    if (known.includes(device) && (await works(device))) return { device, reason: `it works here; known are ${list}` };
  const why = failures.length > 0 ? failures.join('; ') : `ONNX Runtime has ${list}; webgpu only if asked for`;
  return { device: 'cpu', reason: why };
}

/** First line of an error, without places in the source of the engine. */
export function firstLine(error: unknown): string {
  const text = (error instanceof Error ? error.message : String(error))
    .split('\n')[0]!
    // places in the engine's source help nobody
    .replace(/\/\S+:\d+ .*?\)( const)? /g, '')
    .trim();
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
