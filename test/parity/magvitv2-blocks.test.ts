import { attnBlock, downsample, resnetBlock, upsample } from '@unif2ace/core';
import { constant, gradients, input, mul, ParamScope, reduceSum, type Tensor } from '@unif2ace/graph';
import { expect, test } from 'vitest';
import { expectClose, expectGradClose, loadFixture } from './fixture.ts';
import { float32, parameterGradients, runGraph } from './run.ts';
import { gradientFloor, type Tolerances, toleranceOf } from './tolerance.ts';

interface Json {
  config: { cout: number; groups: number; eps: number };
  tolerance: Tolerances;
}

const fixture = loadFixture<Json>('magvitv2-blocks');
const { config, tolerance } = fixture.json;
const norm = { groups: config.groups, epsilon: config.eps };
const floor = gradientFloor(tolerance);

const blocks: Record<string, (scope: ParamScope, x: Tensor) => Tensor> = {
  resnet: (scope, x) => resnetBlock(scope, x, config.cout, norm),
  attn: (scope, x) => attnBlock(scope, x, norm),
  down: downsample,
  up: upsample,
};

test.each(Object.keys(blocks))('MAGVIT-v2 block %s', async (name) => {
  const run = blocks[name]!;
  const scope = new ParamScope();
  const shape = fixture.shape(`inputs.${name}.x`);
  const x = input('x', shape);
  const y = run(scope.at(name), x);
  const cotangent = constant(fixture.f32(`inputs.${name}.cotangent`), fixture.shape(`inputs.${name}.cotangent`));
  const loss = reduceSum(mul(y, cotangent));
  const outputs = { y, [`grad.${name}.x`]: gradients(loss, [x])[0]!, ...parameterGradients(loss, scope) };
  const weights = fixture.weights();
  const got = await runGraph(outputs, { x: float32(fixture.f32(`inputs.${name}.x`), shape) }, weights);
  expectClose(got.y!, fixture.f32(`outputs.${name}.y`), toleranceOf(tolerance, `outputs.${name}.y`), `${name}.y`);
  const grads = fixture.names(`grads.${name}.`);
  expect(grads.length).toBe(scope.specs().length + 1);
  for (const key of grads) expectGradClose(got[`grad.${key.slice('grads.'.length)}`]!, fixture.f32(key), floor, key);
  if (!fixture.has(`inputs.${name}.x_small`)) return;
  const small = await runGraph({ y }, { x: float32(fixture.f32(`inputs.${name}.x_small`), shape) }, weights);
  const key = `outputs.${name}.y_small`;
  expectClose(small.y!, fixture.f32(key), toleranceOf(tolerance, key), key);
});
