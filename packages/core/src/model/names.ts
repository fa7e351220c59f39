import type { ParamScope } from '@unif2ace/graph';

/** First part of the names of the parameters of each part. */
export const modelParts = {
  tokenizer: 'tokenizer',
  faceEncoder: 'face_encoder',
  identityEncoder: 'identity_encoder',
  imageTextEncoder: 'image_text_encoder',
  backbone: 'showo',
} as const;
export type ModelPart = keyof typeof modelParts;

/** Where the parts of a model live among its parameters. */
export function modelScopes(root: ParamScope): Record<ModelPart, ParamScope> {
  const scopes = Object.entries(modelParts).map(([part, name]) => [part, root.at(name)]);
  return Object.fromEntries(scopes) as Record<ModelPart, ParamScope>;
}
