import { listSupportedBackends } from 'onnxruntime-node';
import { chooseDevice, type Device, type DeviceChoice, devices } from './devices.ts';
import { workerRuntime } from './node-worker.ts';
import type { Runtime, SessionOptions } from './session.ts';
import { tryOut } from './try-out.ts';

/** Devices whose provider is part of the installed engine. */
export function installedDevices(): Device[] {
  const bundled = listSupportedBackends().flatMap(({ name, bundled }) => (bundled ? [name as string] : []));
  return devices.filter((device) => bundled.includes(device));
}

/** The wanted device, or what `auto` comes to here, and why. @throws DeviceError naming what can be had. */
export function findDevice(wanted: Device | 'auto' = 'auto'): Promise<DeviceChoice> {
  return chooseDevice(wanted, installedDevices(), async (device) => {
    const runtime = workerRuntime({ device });
    try {
      await (await tryOut(runtime)).release();
    } finally {
      await runtime.close();
    }
  });
}

/**
 * A runtime in a worker thread on the wanted device, and why that device.
 * @throws DeviceError naming what can be had.
 */
export async function openRuntime(
  wanted: Device | 'auto' = 'auto',
  options: SessionOptions = {},
): Promise<DeviceChoice & { runtime: Runtime }> {
  let runtime: Runtime | null = null;
  const probe = async (device: Device) => {
    const candidate = workerRuntime({ ...options, device });
    try {
      await (await tryOut(candidate)).release();
      runtime = candidate;
    } catch (error) {
      await candidate.close();
      throw error;
    }
  };
  const choice = await chooseDevice(wanted, installedDevices(), probe);
  return { ...choice, runtime: runtime ?? workerRuntime({ ...options, device: choice.device }) };
}
