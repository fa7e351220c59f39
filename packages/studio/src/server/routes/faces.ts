import type { DetectedFace } from '@unif2ace/core';
import { readJson } from '../body.ts';
import type { FacesRequest as EngineRequest } from '../engine.ts';
import { parse } from '../errors.ts';
import { pictureBytes } from '../pictures.ts';
import { FacesRequest, type FacesResponse } from '../schemas/faces.ts';
import type { Client, Service } from '../service.ts';

export async function faces(service: Service, { request }: Client): Promise<Response> {
  const { ask, upright } = await service.budget.hold(async (take) => {
    const body = parse(FacesRequest, await readJson(service.bodies, request, take));
    const decoded = await service.bodies.photo(pictureBytes(body.image, 'image'), 'image');
    const { width, height, data, upright } = decoded;
    const ask: EngineRequest = { photo: { width, height, data }, face: body.face ?? 1 };
    return { ask, upright };
  });
  const job = service.queue.submit('faces', (signal) => service.engine.faces(ask, { signal }), {
    signal: request.signal,
  });
  const found = await job.result;
  const scale = upright.width / ask.photo.width;
  const chosen = found.chosen;
  const body: FacesResponse = {
    ...upright,
    faces: found.faces.map((face, i) => faceDocument(face, i + 1, scale)),
    chosen: chosen && {
      index: chosen.index,
      crop: `data:image/png;base64,${Buffer.from(chosen.crop).toString('base64')}`,
      attributes: chosen.attributes.map(({ name, probability }) => ({ name, probability: round(probability, 1e4) })),
    },
  };
  return Response.json(body, { headers: { 'x-unif2ace-job': job.id } });
}

const round = (value: number, parts: number): number => Math.round(value * parts) / parts;

function faceDocument(
  { box, landmarks, score }: DetectedFace,
  index: number,
  scale: number,
): FacesResponse['faces'][number] {
  const tenth = (value: number) => round(value * scale, 10);
  const [right_eye, left_eye, nose, right_mouth, left_mouth] = landmarks.map(({ x, y }) => ({
    x: tenth(x),
    y: tenth(y),
  }));
  return {
    index,
    box: { x: tenth(box.x), y: tenth(box.y), width: tenth(box.width), height: tenth(box.height) },
    landmarks: {
      right_eye: right_eye!,
      left_eye: left_eye!,
      nose: nose!,
      right_mouth: right_mouth!,
      left_mouth: left_mouth!,
    },
    score: round(score, 1e3),
  };
}
