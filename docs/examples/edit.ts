import { collect, UniF2ace } from '@unif2ace/core';

// A part of a face anew, the rest of it kept.

const model = await UniF2ace.load('pico');
const [face] = await collect(model.generate('a man with black hair', { seed: 3 }));
const [edited] = await collect(model.edit(face!, 'a smiling man', { region: 'mouth', seed: 4 }));
const changed = edited!.data.filter((value, i) => value !== face!.data[i]).length;
console.log(`${changed} of ${face!.data.length} values changed`);
await model.close();
