import { defineConfig } from 'vite';

// threads of WebAssembly need these two
const headers = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

export default defineConfig({
  // the engine's file is found from where its package lies
  optimizeDeps: { exclude: ['@unif2ace/core', '@unif2ace/graph', 'onnxruntime-web'] },
  build: { target: 'es2023' },
  server: { headers },
  preview: { headers },
});
