// A package imports only those above it: graph < core < lab < studio < cli.
const order = ['graph', 'core', 'lab', 'studio', 'cli'];
module.exports = {
  forbidden: [
    ...order.slice(0, -1).map((name, i) => ({
      name: `${name}-imports-only-upwards`,
      severity: 'error',
      from: { path: `^packages/${name}/` },
      to: { path: `^packages/(${order.slice(i + 1).join('|')})/` },
    })),
    {
      name: 'no-circular',
      comment: 'operators may call each other: their gradient rules are mutually recursive',
      severity: 'error',
      from: { pathNot: '^packages/graph/src/ops/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'core-stays-portable',
      comment: 'core runs in Node and the browser: Node built-ins and native modules only behind node.ts and *.node.ts',
      severity: 'error',
      from: { path: '^packages/core/src/', pathNot: '(node|[.]node|[.]test)[.]ts$' },
      to: { path: '^(node:|fs$|path$|sharp|onnxruntime-node)', dependencyTypes: ['core', 'npm'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)dist/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.base.json' },
    enhancedResolveOptions: { conditionNames: ['source', 'import', 'default'], exportsFields: ['exports'] },
  },
};
