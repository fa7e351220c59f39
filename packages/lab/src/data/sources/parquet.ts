import { parquetSchema, type SchemaTree } from 'hyparquet';
import { DataError } from '../celeba.ts';
import { attributeOfLabel, isAge, maxAgeYears, truthOf } from './facts.ts';
import { type Description, rejected, type SourceFile, type SourceItem, shown, sourcePhoto } from './items.ts';
import { openParquet, type ParquetFile, readRows, rowGroupsOf } from './parquet-cells.ts';
import { captionOf, DescriptionError, decodeText, identityOf } from './sidecar.ts';

/** Rows whose labels are held at a time. */
const rowsAtOnce = 4096;

const imageColumns = ['image', 'img', 'jpg', 'jpeg', 'png', 'webp', 'bytes', 'image_bytes'];
const captionColumns = ['caption', 'text', 'captions'];
const identityColumns = ['identity', 'celeb_id'];
const ageColumns = ['age_years', 'age'];

interface Columns {
  image: string;
  caption: string | undefined;
  identity: string | undefined;
  age: string | undefined;
  trueFacts: string | undefined;
  falseFacts: string | undefined;
  /** Column → attribute. */
  attributes: Map<string, string>;
}

/**
 * Rows of Parquet files: a column `image` of {bytes, path} as Hugging Face writes it, or a column of bytes; a caption, an
 * identity, an age, one column of booleans (or ±1, 0/1) per attribute, or the lists `facts_true` and `facts_false`.
 * Pictures are not read here, labels a few thousand rows at a time.
 * @throws DataError for a file without a column of pictures.
 */
export async function* readParquet(
  source: string,
  files: readonly SourceFile[],
): AsyncGenerator<SourceItem, void, undefined> {
  for (const { path, name } of files) {
    let file: ParquetFile;
    try {
      file = await openParquet(path);
    } catch (error) {
      if (!(error instanceof DataError) || files.length === 1) throw error;
      yield rejected(source, name, error.message.slice(path.length + 2).replace(/;.*/, ''));
      continue;
    }
    yield* readFile(source, file, name);
  }
}

async function* readFile(
  source: string,
  file: ParquetFile,
  fileName: string,
): AsyncGenerator<SourceItem, void, undefined> {
  const columns = columnsOf(file);
  const labels = [
    columns.caption,
    columns.identity,
    columns.age,
    columns.trueFacts,
    columns.falseFacts,
    ...columns.attributes.keys(),
  ].filter((column) => column !== undefined);
  for (const group of rowGroupsOf(file)) {
    for (let start = group.start; start < group.end; start += rowsAtOnce) {
      const end = Math.min(start + rowsAtOnce, group.end);
      const rows = labels.length > 0 ? await readRows(file, labels, start, end) : [];
      for (let row = start; row < end; row++) {
        const name = `${fileName}/${String(row).padStart(9, '0')}`;
        const locator = { path: file.path, cell: { column: columns.image, row } };
        let item: SourceItem;
        try {
          item = sourcePhoto(source, name, locator, describeRow(rows[row - start] ?? {}, columns));
        } catch (error) {
          if (!(error instanceof DescriptionError)) throw error;
          item = rejected(source, name, error.message);
        }
        yield item;
      }
    }
  }
}

function describeRow(row: Record<string, unknown>, columns: Columns): Description {
  const value = (column: string | undefined) => (column === undefined ? undefined : (row[column] ?? undefined));
  const facts = new Map<string, boolean>();
  for (const [column, truth] of [
    [columns.trueFacts, true],
    [columns.falseFacts, false],
  ] as const) {
    const list = value(column);
    for (const label of Array.isArray(list) ? list : []) {
      const attribute = attributeOfLabel(textOf(label, column!));
      if (attribute !== undefined) facts.set(attribute, truth);
    }
  }
  for (const [column, attribute] of columns.attributes) {
    const label = value(column);
    if (label === undefined) continue;
    const truth = truthOf(label);
    if (truth === undefined)
      throw new DescriptionError(`expected true or false in column ${column}, got ${shown(String(label))}`);
    facts.set(attribute, truth);
  }

  const description: Description = { facts };
  const identity = value(columns.identity);
  if (identity !== undefined)
    description.identity = identityOf(
      identity instanceof Uint8Array ? textOf(identity, columns.identity!) : identity,
      `column ${columns.identity}`,
    );
  const age = value(columns.age);
  if (age !== undefined) {
    const ageYears = typeof age === 'bigint' ? Number(age) : age;
    if (!isAge(ageYears))
      throw new DescriptionError(
        `expected an age of 0–${maxAgeYears} in column ${columns.age}, got ${shown(String(age))}`,
      );
    description.ageYears = ageYears;
  }
  const captions = value(columns.caption);
  const first = Array.isArray(captions) ? captions[0] : captions;
  if (first !== undefined && first !== null) {
    const caption = captionOf(textOf(first, columns.caption!));
    if (caption !== undefined) description.caption = caption;
  }
  return description;
}

/** Writers that do not mark text as such leave bytes. */
function textOf(value: unknown, column: string): string {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) return decodeText(value, `column ${column}`);
  throw new DescriptionError(`expected text in column ${column}, got a ${typeof value}`);
}

function columnsOf({ path, metadata }: ParquetFile): Columns {
  const columns = parquetSchema(metadata).children;
  const names = columns.map(({ element }) => element.name);
  const find = (candidates: readonly string[]) => candidates.find((name) => names.includes(name));
  const image = find(
    imageColumns.filter((name) => columns.some((column) => column.element.name === name && holdsBytes(column))),
  );
  if (image === undefined)
    throw new DataError(
      `${path}: expected a column image of {bytes, path} or of bytes, got ${names.slice(0, 8).join(', ')}; try renaming the column of pictures`,
    );
  const caption = find(captionColumns);
  const identity = find(identityColumns);
  const age = find(ageColumns);
  const attributes = new Map<string, string>();
  for (const name of names) {
    const attribute = attributeOfLabel(name);
    if (attribute !== undefined && name !== caption && name !== identity && name !== age)
      attributes.set(name, attribute);
  }
  return {
    image,
    caption,
    identity,
    age,
    trueFacts: find(['facts_true']),
    falseFacts: find(['facts_false']),
    attributes,
  };
}

function holdsBytes({ element, children }: SchemaTree): boolean {
  if (children.length === 0) return element.type === 'BYTE_ARRAY' && element.converted_type !== 'UTF8';
  return children.some((child) => child.element.name === 'bytes' && child.element.type === 'BYTE_ARRAY');
}
