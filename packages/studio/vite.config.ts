import { defineConfig } from 'vite';

/** The page that the server serves: one script, one style sheet, no request but to its own server. */
export default defineConfig({
  root: 'src/page',
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: { outDir: '../../dist/page', emptyOutDir: true, target: 'es2023', modulePreload: false },
});
