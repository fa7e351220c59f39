import type { Split } from '../build/types.ts';
import type { ExportedFile } from './parquet-shards.ts';

/** Where photos come from and on what terms, in the words of the caller. */
export interface SourceTerms {
  /** Name of the source in the records. */
  name: string;
  terms: string;
  url?: string;
  citation?: string;
}

export interface DatasetCounts {
  faces: Partial<Record<Split, number>>;
  questions: Partial<Record<Split, number>>;
  questionsByKind: Record<string, number>;
  facesBySource: Record<string, number>;
}

export interface CardContents {
  title: string;
  version: string;
  description: string;
  sources: readonly SourceTerms[];
  /** Version of each stage's model or grammar. */
  stageVersions: Readonly<Record<string, string>>;
  counts: DatasetCounts;
  files: readonly ExportedFile[];
}

export const splitNames: readonly Split[] = ['train', 'validation', 'test'];

/** README.md: front matter by which the Hugging Face hub shows the tables, then the card. */
export function dataCard(contents: CardContents): string {
  const { title, version, description, counts } = contents;
  return `${frontMatter(contents)}
# ${line(title)}

${description.trim()}

Version ${line(version)}. Crops of faces with captions and questions, made by UniF²ace's data pipeline.

## Contents

${table(
  ['split', 'faces', 'questions'],
  splitNames.map((split) => [split, `${counts.faces[split] ?? 0}`, `${counts.questions[split] ?? 0}`]),
)}

${table(['kind of question', 'questions'], entries(counts.questionsByKind))}

- \`data/\`: one row per face: picture, box, landmarks, facts, captions, questions
- \`questions/\`: one row per question, without pictures; \`image_id\` is the \`id\` of the face
- \`webdataset/\`: the faces as tars, if they were asked for
- \`dataset.json\`: rows, bytes and SHA-256 of every file

\`facts_true\` and \`facts_false\` hold attributes known to be present and absent; an attribute in neither is unknown.
\`fact_sources\` tells whether a fact is a label of the source or the estimate of a classifier, with its probability.
The box and the landmarks (right eye, left eye, nose tip, right and left mouth corner, as the person has them) are in
pixels of the upright photo.

## Splits

By person, where the source knows persons: all photos of one are in one split, so that nobody seen in training is met
again in the test.

## Sources and their terms

${sourceTable(contents)}

The terms of each source hold for the rows made from it; captions and questions are derived from it.

## Privacy

The pictures show real people who have not been asked. Do not use them to recognize, track or profile anyone. Race and
attractiveness are neither described nor asked about. Remove a person's rows when they ask for it: \`source\` and \`name\`
lead to the photo.

## Versions

${table(['stage', 'version'], entries(contents.stageVersions))}

## Files

${table(
  ['file', 'rows', 'bytes', 'SHA-256'],
  contents.files.map(({ path, rows, bytes, sha256 }) => [`\`${path}\``, `${rows}`, `${bytes}`, `\`${sha256}\``]),
)}
`;
}

function frontMatter({ title, counts, files }: CardContents): string {
  const faces = Object.values(counts.faces).reduce((sum, count) => sum + count, 0);
  const config = (name: string, folder: string, isDefault: boolean): string[] => {
    const splits = splitNames.filter((split) => files.some((file) => file.path.startsWith(`${folder}/${split}-`)));
    if (splits.length === 0) return [];
    return [
      `- config_name: ${name}`,
      ...(isDefault ? ['  default: true'] : []),
      '  data_files:',
      ...splits.flatMap((split) => [`  - split: ${split}`, `    path: ${folder}/${split}-*.parquet`]),
    ];
  };
  return [
    '---',
    // A JSON string is a YAML string
    `pretty_name: ${JSON.stringify(title)}`,
    'license: other',
    'license_name: terms-of-the-sources',
    'license_link: README.md#sources-and-their-terms',
    'language:',
    '- en',
    'task_categories:',
    '- visual-question-answering',
    '- image-to-text',
    '- text-to-image',
    'size_categories:',
    `- ${sizeCategory(faces)}`,
    'configs:',
    ...config('faces', 'data', true),
    ...config('questions', 'questions', false),
    '---',
    '',
  ].join('\n');
}

function sourceTable({ sources, counts }: CardContents): string {
  const names = [...new Set([...sources.map(({ name }) => name), ...Object.keys(counts.facesBySource).sort()])];
  return table(
    ['source', 'faces', 'terms', 'address', 'citation'],
    names.map((name) => {
      const source = sources.find((entry) => entry.name === name);
      const terms = source?.terms ?? '**not stated: ask before use**';
      return [name, `${counts.facesBySource[name] ?? 0}`, terms, source?.url ?? '', source?.citation ?? ''];
    }),
  );
}

function sizeCategory(rows: number): string {
  const bounds: [number, string][] = [
    [1e3, 'n<1K'],
    [1e4, '1K<n<10K'],
    [1e5, '10K<n<100K'],
    [1e6, '100K<n<1M'],
    [1e7, '1M<n<10M'],
  ];
  return bounds.find(([bound]) => rows < bound)?.[1] ?? '10M<n<100M';
}

function entries(values: Readonly<Record<string, number | string>>): string[][] {
  return Object.entries(values).map(([name, value]) => [name, `${value}`]);
}

function line(value: string): string {
  return value.replace(/\s+/g, ' ').trim();
}

function table(head: string[], rows: string[][]): string {
  const cells = (row: string[]) => `| ${row.map((cell) => line(cell).replaceAll('|', '\\|')).join(' | ')} |`;
  return [cells(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(cells)].join('\n');
}
