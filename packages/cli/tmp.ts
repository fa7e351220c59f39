import { workerRuntime } from './tmpgraph/node.ts';
import { UniF2ace } from '@unif2ace/core';
import { loadModel } from '@unif2ace/core/node';
const r = workerRuntime();
const f = new UniF2ace(await loadModel('/tmp/clitest/tiny'), r);
const g = f.generate('a man', { count: 2 });
let n = await g.next(); while (!n.done) n = await g.next();
console.log('OK', n.value.length, n.value[0]!.data.slice(0, 5));
await f.close(); await r.close();
