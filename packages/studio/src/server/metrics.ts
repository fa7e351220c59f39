import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { JobQueue } from './queue.ts';

const seconds = [0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3, 6, 15, 60];

/** What Prometheus is told; the event loop's delay is among Node's own figures. */
export class Metrics {
  readonly registry = new Registry();
  readonly requests = new Counter({
    name: 'unif2ace_http_requests_total',
    help: 'Requests by route and status',
    labelNames: ['method', 'route', 'status'],
    registers: [this.registry],
  });
  readonly requestSeconds = new Histogram({
    name: 'unif2ace_http_request_seconds',
    help: 'Time until the answer, or the head of a stream',
    labelNames: ['route'],
    buckets: seconds,
    registers: [this.registry],
  });
  readonly waitSeconds = new Histogram({
    name: 'unif2ace_job_wait_seconds',
    help: 'Time in the queue',
    labelNames: ['kind'],
    buckets: seconds,
    registers: [this.registry],
  });
  readonly jobSeconds = new Histogram({
    name: 'unif2ace_job_seconds',
    help: 'Time on the model',
    labelNames: ['kind'],
    buckets: seconds,
    registers: [this.registry],
  });
  readonly stepSeconds = new Histogram({
    name: 'unif2ace_denoising_step_seconds',
    help: 'Time of one denoising step',
    buckets: seconds,
    registers: [this.registry],
  });
  readonly tokens = new Counter({
    name: 'unif2ace_tokens_total',
    help: 'Tokens by kind: prompt, answer, image',
    labelNames: ['kind'],
    registers: [this.registry],
  });
  readonly images = new Counter({
    name: 'unif2ace_images_total',
    help: 'Pictures made',
    registers: [this.registry],
  });
  readonly streams = new Gauge({
    name: 'unif2ace_streams',
    help: 'Open event streams',
    registers: [this.registry],
  });

  constructor() {
    collectDefaultMetrics({ register: this.registry });
  }

  watchQueue(queue: JobQueue): void {
    new Gauge({
      name: 'unif2ace_jobs',
      help: 'Jobs in the queue and on the model',
      labelNames: ['state'],
      registers: [this.registry],
      collect() {
        this.set({ state: 'waiting' }, queue.waiting);
        this.set({ state: 'running' }, queue.running);
      },
    });
  }
}
