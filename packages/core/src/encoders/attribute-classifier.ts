import {
  buildModel,
  input,
  linear,
  type OnnxModel,
  type ParameterSpec,
  ParamScope,
  sigmoid,
  type Tensor,
} from '@unif2ace/graph';
import { z } from 'zod';
import { type ModelSource, readConfig, readPart, readWeights, sha256 } from '../model/source.ts';
import { FaceCnnConfig, faceCnn } from './face-cnn.ts';

// B batch, S edge in pixels, F embedding width, A attributes

/** A network that tells attributes of an aligned face with calibrated probabilities. */
export const AttributeClassifierConfig = z.strictObject({
  format: z.literal('unif2ace-attributes-1'),
  name: z.string().min(1),
  encoder: FaceCnnConfig,
  /** Order of the outputs. */
  attributes: z.array(z.string().min(1)).min(1),
});
export type AttributeClassifierConfig = z.infer<typeof AttributeClassifierConfig>;

/** Pixels [B, 3, S, S] in −1..1 → logits [B, A]. */
export function attributeLogits(scope: ParamScope, config: AttributeClassifierConfig, pixels_BCHW: Tensor): Tensor {
  return attributeOutputs(scope, config, pixels_BCHW).logits_BA;
}

function attributeOutputs(scope: ParamScope, config: AttributeClassifierConfig, pixels_BCHW: Tensor) {
  const { face_BF } = faceCnn(scope.at('encoder'), config.encoder, pixels_BCHW);
  const head = scope.at('head');
  const { width } = config.encoder;
  const init = { kind: 'fanInUniform' as const, fanIn: width };
  const logits_BA = linear(
    face_BF,
    head.param('weight', [config.attributes.length, width], init),
    head.param('bias', [config.attributes.length], init),
  );
  return { logits_BA, face_BF };
}

/** pixels [B, 3, S, S] → probabilities [B, A] and the features [B, F] that the head reads. */
export function attributeModel(
  config: AttributeClassifierConfig,
  weights: ReadonlyMap<string, Float32Array>,
  batch: number,
): OnnxModel {
  const { imageSize } = config.encoder;
  const pixels = input('pixels', [batch, 3, imageSize, imageSize]);
  const { logits_BA, face_BF } = attributeOutputs(new ParamScope(), config, pixels);
  return buildModel(
    { probabilities: sigmoid(logits_BA), features: face_BF },
    { name: 'attributes', parameters: weights },
  );
}

export const attributeFiles = { config: 'model.json', weights: 'model.safetensors' } as const;

export interface LoadedAttributeClassifier {
  config: AttributeClassifierConfig;
  weights: ReadonlyMap<string, Float32Array>;
  /** SHA-256 of the weights file, hex. */
  hash: string;
}

export function attributeSpecs(config: AttributeClassifierConfig): readonly ParameterSpec[] {
  const root = new ParamScope();
  const { imageSize } = config.encoder;
  attributeLogits(root, config, input('pixels', [1, 3, imageSize, imageSize]));
  return root.specs();
}

/** Reads model.json and model.safetensors. @throws ModelError, SafetensorsError */
export async function readAttributeClassifier(source: ModelSource): Promise<LoadedAttributeClassifier> {
  const names = Object.values(attributeFiles);
  const config = await readConfig(
    source,
    attributeFiles.config,
    names,
    AttributeClassifierConfig,
    'unif2ace-attributes-1',
  );
  const bytes = await readPart(source, attributeFiles.weights, names);
  const place = `${source.name.replace(/\/$/, '')}/${attributeFiles.weights}`;
  return { config, weights: readWeights(place, bytes, attributeSpecs(config)), hash: await sha256(bytes) };
}
