import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type FaceCnnConfig, type FrozenEncoderConfig, faceCnn, readWeights } from '@unif2ace/core';
import { saveFrozenEncoder, writeSafetensorsFile } from '@unif2ace/core/node';
import { buildModel, encodeModel, input, ParamScope, type Tensor } from '@unif2ace/graph';
import { TrainError } from '../training/events.ts';

// A trained encoder as a folder: the ONNX file with its description, and its parameters for models that have it in them

const parameterFile = 'encoder.safetensors';

/** Parameters of a face network, named as it names them. */
function specsOf(config: FaceCnnConfig) {
  const scope = new ParamScope();
  faceCnn(scope, config, input('pixels', [1, 3, config.imageSize, config.imageSize]));
  return scope.specs();
}

/** A trained face network among other parameters: its own are behind `prefix`. */
export interface TrainedNetwork {
  config: FaceCnnConfig;
  weights: ReadonlyMap<string, Float32Array>;
  prefix: string;
}

/** Parameters as the network itself names them. */
function ownWeights({ config, weights, prefix }: TrainedNetwork) {
  return specsOf(config).map(({ name, shape }) => ({ name, shape, data: weights.get(`${prefix}.${name}`)! }));
}

/** The network as an ONNX file; `outputs` are made of what it gives. */
export function smallEncoderOnnx(
  { name, input: { name: pixels, size } }: FrozenEncoderConfig,
  network: TrainedNetwork,
  outputs: (found: ReturnType<typeof faceCnn>) => Record<string, Tensor>,
): Uint8Array {
  const parameters = new Map(ownWeights(network).map((weight) => [weight.name, weight.data]));
  const found = faceCnn(new ParamScope(), network.config, input(pixels, [1, 3, size, size]));
  return encodeModel(buildModel(outputs(found), { name, parameters })).bytes;
}

/** Writes encoder.safetensors (float16), encoder.onnx and, when both are there, encoder.json. */
export async function saveSmallEncoder(
  folder: string,
  description: FrozenEncoderConfig,
  network: TrainedNetwork,
  onnx: Uint8Array,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = ownWeights(network).map((weight) => ({ ...weight, dtype: 'F16' as const }));
  await writeSafetensorsFile(join(folder, parameterFile), tensors, { format: 'unif2ace', model: description.name });
  await saveFrozenEncoder(folder, description, onnx);
}

/**
 * Parameters of a trained encoder for the part of a model. @param url its folder, as a file URL.
 * @throws TrainError when it is not there or has other sizes than the model wants
 */
export async function loadSmallEncoder(
  url: string,
  config: FaceCnnConfig,
  part: string,
): Promise<Map<string, Float32Array>> {
  const folder = fileURLToPath(url);
  const file = join(folder, parameterFile);
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new TrainError(
      `train: ${file}: expected the parameters of a trained encoder, got ${error.code ?? error.message}; try to train it first: its recipe tells how`,
    );
  });
  const weights = readWeights(file, bytes, specsOf(config));
  return new Map([...weights].map(([name, data]) => [`${part}.${name}`, data]));
}
