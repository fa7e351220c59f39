import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const executablePath = process.env.UNIF2ACE_CHROMIUM ?? '/usr/bin/chromium';

/** Chromium is a package of the system; pages are tested where it is installed. */
export const hasChromium = existsSync(executablePath);
if (!hasChromium) console.warn(`skipped: no Chromium at ${executablePath}`);

/** WebGPU in software, for machines without a GPU. */
export const softwareGpu = ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader', '--enable-features=Vulkan'];

export function launchChromium(flags: readonly string[] = []): Promise<Browser> {
  return chromium.launch({ executablePath, args: ['--no-sandbox', ...flags] });
}
