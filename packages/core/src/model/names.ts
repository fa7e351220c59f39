import type { ParamScope } from '@unif2ace/graph';

/** Where the parts of a model live among its parameters. */
export function modelScopes(root: ParamScope): Record<'tokenizer' | 'faceEncoder' | 'backbone', ParamScope> {
  return { tokenizer: root.at('tokenizer'), faceEncoder: root.at('face_encoder'), backbone: root.at('showo') };
}
