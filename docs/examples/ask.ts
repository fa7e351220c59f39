import { collect, UniF2ace } from '@unif2ace/core';

// Several questions about one face: it is looked at once. A photo is read and aligned first, see photo.ts.

const model = await UniF2ace.load('pico');
const [face] = await collect(model.generate('a woman wearing eyeglasses', { seed: 1 }));
const looked = await model.look(face!);
for await (const piece of model.ask(looked, 'Is the person wearing eyeglasses?')) process.stdout.write(piece);
console.log();
console.log(await collect(model.describe(looked)));
await model.close();
