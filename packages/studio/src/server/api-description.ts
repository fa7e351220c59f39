import { createRoute, OpenAPIHono, type RouteConfig, z } from '@hono/zod-openapi';
import { ChatChunk, ChatRequest, ChatResponse } from './schemas/chat.ts';
import { ErrorBody } from './schemas/common.ts';
import { FacesRequest, FacesResponse } from './schemas/faces.ts';
import { EditRequest, GenerationRequest, ImageStreamEvent, ImagesResponse } from './schemas/images.ts';
import { RoutingRequest, RoutingResponse } from './schemas/routing.ts';
import { Health, JobState, ModelEntry, ModelList } from './schemas/service.ts';

const json = (schema: z.ZodType) => ({ content: { 'application/json': { schema } } });
const answer = (description: string, schema: z.ZodType, events?: z.ZodType) => ({
  description,
  content: {
    'application/json': { schema },
    ...(events && { 'text/event-stream': { schema: events } }),
  },
});

const errors = Object.fromEntries(
  Object.entries({
    400: 'The request cannot be served as it is',
    401: 'The API key is missing or wrong',
    403: "Another site's page or host name",
    413: 'The body is too large',
    415: 'Another content type',
    429: 'Too many requests',
    503: 'Shutting down',
  }).map(([status, description]) => [status, answer(description, ErrorBody)]),
);
const notFound = { 404: answer('There is none of that name', ErrorBody) };
const id = { params: z.object({ id: z.string() }) };
const security = [{ key: [] }];

/** The routes of the API; also what requests are dispatched by. */
export const routes = {
  generations: createRoute({
    method: 'post',
    path: '/v1/images/generations',
    summary: 'Faces from words',
    security,
    request: { body: { required: true, ...json(GenerationRequest) } },
    responses: { 200: answer('Pictures, or a stream of events', ImagesResponse, ImageStreamEvent), ...errors },
  }),
  edits: createRoute({
    method: 'post',
    path: '/v1/images/edits',
    summary: 'A part of a face anew',
    security,
    request: { body: { required: true, content: { 'multipart/form-data': { schema: EditRequest } } } },
    responses: { 200: answer('Pictures, or a stream of events', ImagesResponse, ImageStreamEvent), ...errors },
  }),
  chat: createRoute({
    method: 'post',
    path: '/v1/chat/completions',
    summary: 'A question about a photo',
    security,
    request: { body: { required: true, ...json(ChatRequest) } },
    responses: { 200: answer('The answer, or a stream of its parts', ChatResponse, ChatChunk), ...errors },
  }),
  faces: createRoute({
    method: 'post',
    path: '/v1/faces',
    summary: 'Faces of a photo (extension)',
    security,
    request: { body: { required: true, ...json(FacesRequest) } },
    responses: { 200: answer('Faces, the largest first', FacesResponse), ...errors },
  }),
  routing: createRoute({
    method: 'post',
    path: '/v1/routing',
    summary: 'Which experts fire where for a face (extension)',
    security,
    request: { body: { required: true, ...json(RoutingRequest) } },
    responses: { 200: answer('Gate weights by layer', RoutingResponse), ...errors },
  }),
  models: createRoute({
    method: 'get',
    path: '/v1/models',
    summary: 'The model served',
    security,
    responses: { 200: answer('A list of one', ModelList), 401: errors['401']! },
  }),
  model: createRoute({
    method: 'get',
    path: '/v1/models/{id}',
    summary: 'The model served, by name',
    security,
    request: id,
    responses: { 200: answer('The model', ModelEntry), 401: errors['401']!, ...notFound },
  }),
  job: createRoute({
    method: 'get',
    path: '/v1/jobs/{id}',
    summary: 'A request under way (extension)',
    security,
    request: id,
    responses: { 200: answer('Its state', JobState), 401: errors['401']!, ...notFound },
  }),
  cancelJob: createRoute({
    method: 'delete',
    path: '/v1/jobs/{id}',
    summary: 'Cancels a request (extension)',
    security,
    request: id,
    responses: { 200: answer('It is cancelled', JobState), 401: errors['401']!, ...notFound },
  }),
  health: createRoute({
    method: 'get',
    path: '/healthz',
    summary: 'Whether the process can do its work',
    responses: { 200: answer('Yes', Health), 503: answer('No', Health) },
  }),
  ready: createRoute({
    method: 'get',
    path: '/readyz',
    summary: 'Whether requests are taken',
    responses: { 200: answer('Yes', Health), 503: answer('No', Health) },
  }),
} as const satisfies Record<string, RouteConfig>;

export function apiDocument(version: string): object {
  const app = new OpenAPIHono();
  for (const route of Object.values(routes)) app.openAPIRegistry.registerPath(route);
  app.openAPIRegistry.registerComponent('securitySchemes', 'key', { type: 'http', scheme: 'bearer' });
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'UniF²ace', version, license: { name: 'Apache-2.0' } },
  });
}
