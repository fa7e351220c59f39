#!/usr/bin/env node
import { processEnvironment } from './environment.ts';
import { interruptible } from './interrupt.ts';
import { run } from './program.ts';

process.exitCode = await run(process.argv.slice(2), processEnvironment(interruptible()));
