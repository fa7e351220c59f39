#!/usr/bin/env node
// in the repository before the build, so that npm links the command at install
import '../dist/main.js';
