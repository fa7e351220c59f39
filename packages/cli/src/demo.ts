import { processEnvironment } from './environment.ts';
import { interruptible } from './interrupt.ts';
import { tour } from './tour.ts';

process.exitCode = await tour(processEnvironment(interruptible()), process.argv.slice(2));
