import { concat, expertLoad, routerEntropy, type Tensor } from '@unif2ace/graph';
import type { LayerRouting } from '../unified.ts';

/** Where the figures of one layer's router lie in the vector of all. */
export interface RoutingPlace {
  level: 'token' | 'sequence';
  layer: number;
  experts: number;
  /** Index of the first of `experts` loads; the entropy of the scores follows them. */
  start: number;
}

/**
 * Load of every expert and mean entropy of the scores of every router in one vector, so that watching costs one small
 * output: for each place its loads (1 is the fair share), then the entropy (0 to 1). Null without routers.
 */
export function routingFigures(routings: readonly LayerRouting[]): { figures: Tensor; places: RoutingPlace[] } | null {
  if (routings.length === 0) return null;
  const places: RoutingPlace[] = [];
  let start = 0;
  const parts = routings.flatMap(({ level, layer, scores, routing, rowWeights_T }) => {
    const experts = scores.dim(1);
    places.push({ level, layer, experts, start });
    start += experts + 1;
    return [expertLoad(routing, experts, rowWeights_T), routerEntropy(scores, rowWeights_T)];
  });
  return { figures: concat(parts, 0), places };
}
