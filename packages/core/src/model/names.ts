import type { ParamScope } from '@unif2ace/graph';

/** First part of the names of the parameters of each part. */
export const modelParts = { tokenizer: 'tokenizer', faceEncoder: 'face_encoder', backbone: 'showo' } as const;

/** Where the parts of a model live among its parameters. */
export function modelScopes(root: ParamScope): Record<keyof typeof modelParts, ParamScope> {
  const { tokenizer, faceEncoder, backbone } = modelParts;
  return { tokenizer: root.at(tokenizer), faceEncoder: root.at(faceEncoder), backbone: root.at(backbone) };
}
