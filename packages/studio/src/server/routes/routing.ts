import type { ExpertRouting } from '@unif2ace/core';
import { readJson } from '../body.ts';
import type { RoutingRequest as EngineRequest } from '../engine.ts';
import { parse } from '../errors.ts';
import { pictureBytes } from '../pictures.ts';
import type { Picture } from '../schemas/chat.ts';
import { RoutingRequest, type RoutingResponse } from '../schemas/routing.ts';
import type { Client, Service } from '../service.ts';

/** Which experts fired where for a face that is made again, or for a picture of one. */
export async function routing(service: Service, { request }: Client): Promise<Response> {
  const { engine } = service;
  const ask = await service.budget.hold(async (take): Promise<EngineRequest> => {
    const body = parse(RoutingRequest, await readJson(service.bodies, request, take));
    service.requireModel(body.model);
    const photo = body.image == null ? null : await photoOf(service, body.image);
    return {
      prompt: body.prompt,
      seed: body.seed ?? 0,
      index: body.index ?? 0,
      steps: body.steps ?? 12,
      guidance: body.guidance ?? engine.info.guidance,
      temperature: body.temperature ?? 1,
      picture: photo && { photo, face: body.face ?? 1 },
    };
  });
  service.notePrompt('routing', ask.prompt);
  const job = service.queue.submit('routing', (signal) => engine.routing(ask, { signal }), { signal: request.signal });
  const body: RoutingResponse = {
    task: 't2i',
    token_grid: engine.info.tokenGrid,
    steps: ask.steps,
    layers: (await job.result).map(layerDocument),
  };
  return Response.json(body, { headers: { 'x-unif2ace-job': job.id } });
}

async function photoOf(service: Service, picture: Picture) {
  const { width, height, data } = await service.bodies.photo(pictureBytes(picture, 'image'), 'image');
  return { width, height, data };
}

function layerDocument({ layer, level, experts, weights }: ExpertRouting): RoutingResponse['layers'][number] {
  const rounded = Array.from(weights, (weight) => Math.round(weight * 1e4) / 1e4);
  if (level === 'sequence') return { level, layer, experts, weights: rounded };
  const positions = rounded.length / experts.length;
  const rows = experts.map((_, expert) => rounded.slice(expert * positions, (expert + 1) * positions));
  return { level, layer, experts, weights: rows };
}
