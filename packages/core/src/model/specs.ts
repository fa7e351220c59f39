import { input, type ParameterSpec, ParamScope } from '@unif2ace/graph';
import { magvitDecoder, magvitEncoder } from '../tokenizer/magvit.ts';
import { type ModelConfig, tokenGrid } from './config.ts';
import { frozenFeatures } from './graphs.ts';
import { mmuLoss, t2iLoss } from './losses.ts';
import { modelScopes } from './names.ts';

/** Every parameter of a model, by building its graphs once without computing anything. */
export function modelSpecs(config: ModelConfig): ParameterSpec[] {
  const root = new ParamScope();
  const { tokenizer } = modelScopes(root);
  const grid = tokenGrid(config);
  magvitEncoder(tokenizer.at('encoder'), config.tokenizer, input('pixels', [1, 3, config.imageSize, config.imageSize]));
  magvitDecoder(tokenizer.at('decoder'), config.tokenizer, input('codes', [1, config.tokenizer.codeBits, grid, grid]));
  const { imageSize } = config.faceEncoder;
  frozenFeatures(root, config, input('pixels', [1, 3, imageSize, imageSize]));
  t2iLoss(root, config, { batch: 1 });
  mmuLoss(root, config, { batch: 1 });
  return root.specs();
}
