import { cp, mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, dirname, join, resolve } from 'node:path';
import { defineConfig, type Plugin } from 'vite';

const policy = [
  "default-src 'none'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self' blob:",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data: blob:",
  "media-src 'self' blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** As hosts read them that know files of this name; docs/browser.md says what each is for. */
const headers = `/*
  Content-Security-Policy: ${policy}; frame-ancestors 'none'
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  X-Content-Type-Options: nosniff
`;

/** Puts the model beside the page that needs no server: $UNIF2ACE_MODEL, a folder, or the bundled nano. */
function besideIt(): Plugin {
  let outDir = '';
  return {
    name: 'model-beside-the-page',
    configResolved: (config) => {
      outDir = resolve(config.root, config.build.outDir);
    },
    transformIndexHtml: () => [
      {
        tag: 'meta',
        attrs: { 'http-equiv': 'Content-Security-Policy', content: policy },
        injectTo: 'head-prepend',
      },
    ],
    writeBundle: async () => {
      const bundled = join(import.meta.dirname, '..', '..', 'weights');
      const copy = async (from: string, files: readonly string[], to: string) => {
        await mkdir(join(outDir, 'weights', to), { recursive: true });
        for (const file of files) await cp(join(from, file), join(outDir, 'weights', to, basename(file)));
      };
      const parts = ['model.json', 'model.safetensors'];
      await copy(process.env.UNIF2ACE_MODEL ?? join(bundled, 'nano'), [...parts, 'tokenizer.json'], 'model');
      await copy(join(bundled, 'attributes'), parts, 'attributes');
      const faceApi = dirname(createRequire(import.meta.url).resolve('@vladmandic/face-api/package.json'));
      const networks = ['tiny_face_detector_model', 'face_landmark_68_model'];
      const files = networks.flatMap((name) => [`${name}-weights_manifest.json`, `${name}.bin`]);
      await copy(join(faceApi, 'model'), files, 'faces');
      await writeFile(join(outDir, '_headers'), headers);
    },
  };
}

/**
 * The page that the server serves: one script, one style sheet, no request but to its own server. In mode `static` the page with
 * the model in it, which any server of files serves.
 */
export default defineConfig(({ mode }) => ({
  root: 'src/page',
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  worker: { format: 'es' },
  plugins: mode === 'static' ? [besideIt()] : [],
  build: {
    outDir: mode === 'static' ? '../../dist/static' : '../../dist/page',
    emptyOutDir: true,
    target: 'es2023',
    modulePreload: false,
  },
}));
