import { ApiError } from '../errors.ts';
import { limits } from '../schemas/common.ts';
import type { ModelEntry } from '../schemas/service.ts';
import type { Service } from '../service.ts';

function entry({ engine, startedSeconds }: Service): ModelEntry {
  const { name, hash, imageSize, tokenGrid, device, attributes, guidance } = engine.info;
  return {
    id: name,
    object: 'model',
    created: startedSeconds,
    owned_by: 'unif2ace',
    unif2ace: {
      hash,
      image_size: imageSize,
      token_grid: tokenGrid,
      device,
      attributes: [...attributes],
      guidance,
      limits: {
        count: limits.count,
        steps: limits.steps,
        guidance: limits.guidance,
        temperature: limits.temperature,
        candidates: limits.candidates,
        photo_bytes: limits.photoBytes,
      },
    },
  };
}

export function models(service: Service): Response {
  return Response.json({ object: 'list', data: [entry(service)] });
}

export function model(service: Service, name: string): Response {
  service.requireModel(name);
  return Response.json(entry(service));
}

function unknownJob(): ApiError {
  return new ApiError(404, 'job_not_found', 'job: expected one that is queued or running, got another', {
    param: 'id',
  });
}

export function job({ queue }: Service, id: string): Response {
  const status = queue.state(id);
  if (!status) throw unknownJob();
  return Response.json({ id, object: 'unif2ace.job', status });
}

export function cancelJob({ queue }: Service, id: string): Response {
  if (!queue.cancel(id)) throw unknownJob();
  return Response.json({ id, object: 'unif2ace.job', status: 'cancelled' });
}

/** 200 while the process can do its work; an orchestrator restarts it otherwise. */
export function health({ status }: Service): Response {
  return Response.json({ status }, { status: status === 'failed' ? 503 : 200 });
}

/** 200 while requests are taken. */
export function ready({ status }: Service): Response {
  return Response.json({ status }, { status: status === 'ok' ? 200 : 503 });
}
