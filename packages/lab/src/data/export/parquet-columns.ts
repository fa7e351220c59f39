import type { Encoding, SchemaElement } from 'hyparquet';

/** Type of a column: its Parquet schema in preorder and what Hugging Face `datasets` calls it. */
export interface ColumnType {
  elements: (name: string) => SchemaElement[];
  feature: unknown;
}

/** A column and where its value comes from in a row. */
export interface Column<Row> {
  name: string;
  type: ColumnType;
  value: (row: Row) => unknown;
  /** Default: a dictionary where it pays. */
  encoding?: Encoding;
  /** Contents that do not get smaller, such as JPEG. */
  isCompressed?: boolean;
  /** Minimum and maximum per row group, for readers that skip. Default false. */
  hasStatistics?: boolean;
}

const leaf = (element: Omit<SchemaElement, 'name'>, dtype: string): ColumnType => ({
  elements: (name) => [{ name, repetition_type: 'OPTIONAL', ...element }],
  feature: { dtype, _type: 'Value' },
});

export const text = leaf({ type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } }, 'string');
export const int32 = leaf({ type: 'INT32' }, 'int32');
export const float64 = leaf({ type: 'DOUBLE' }, 'float64');
const binary = leaf({ type: 'BYTE_ARRAY' }, 'binary');

export function struct(fields: Readonly<Record<string, ColumnType>>): ColumnType {
  const entries = Object.entries(fields);
  return {
    elements: (name) => [
      { name, repetition_type: 'OPTIONAL', num_children: entries.length },
      ...entries.flatMap(([field, type]) => type.elements(field)),
    ],
    feature: Object.fromEntries(entries.map(([field, { feature }]) => [field, feature])),
  };
}

export function list(element: ColumnType): ColumnType {
  return {
    elements: (name) => [
      { name, repetition_type: 'OPTIONAL', converted_type: 'LIST', logical_type: { type: 'LIST' }, num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      ...element.elements('element'),
    ],
    // A list in brackets is read by every version of `datasets` and keeps structs as structs
    feature: [element.feature],
  };
}

/** A picture as `datasets` stores it. */
export const image: ColumnType = {
  elements: struct({ bytes: binary, path: text }).elements,
  feature: { _type: 'Image' },
};

export function schemaOf(columns: readonly Column<never>[]): SchemaElement[] {
  return [
    { name: 'schema', num_children: columns.length },
    ...columns.flatMap(({ name, type }) => type.elements(name)),
  ];
}

/** Key-value metadata by which `load_dataset` knows the columns. */
export function huggingFaceMetadata(columns: readonly Column<never>[]): { key: string; value: string }[] {
  const features = Object.fromEntries(columns.map(({ name, type }) => [name, type.feature]));
  return [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }];
}
