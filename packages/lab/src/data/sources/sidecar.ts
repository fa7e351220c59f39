import { open } from 'node:fs/promises';
import { attributeOfLabel, isAge, maxAgeYears, truthOf } from './facts.ts';
import { type Description, shown } from './items.ts';

/** Largest text or JSON file beside a photo. */
export const maxSidecarBytes = 1 << 20;

/** A description that cannot be used; the message is the reason of the photo's rejection. */
export class DescriptionError extends Error {
  override readonly name = 'DescriptionError';
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new DescriptionError(`expected UTF-8 in ${name}, got other bytes`);
  }
}

export function parseJson(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = (error as Error).message.replace(/\s+/g, ' ').slice(0, 80);
    throw new DescriptionError(`expected JSON in ${name}, got ${why}`);
  }
}

/** @throws DescriptionError if the file is larger than `maxSidecarBytes`, cannot be read or is not UTF-8. */
export async function readSidecar(path: string, name: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { size } = await file.stat();
      if (size > maxSidecarBytes)
        throw new DescriptionError(`expected at most ${maxSidecarBytes} bytes in ${name}, got ${size}`);
      return decodeText(await file.readFile(), name);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof DescriptionError) throw error;
    throw new DescriptionError(
      `expected a file ${name} that can be read, got ${(error as NodeJS.ErrnoException).code}`,
    );
  }
}

export function captionOf(text: string): string | undefined {
  return text.trim() || undefined;
}

/**
 * What a JSON object says about a photo: `attributes` or `facts` (an object of labels, or an array of those that are true),
 * labels beside them, `identity`, `age` or `ageYears`, `caption` or `text`. Names that are no attribute are passed over, so
 * nothing else in the object, such as a label of race, gets in.
 * @throws DescriptionError for a known name with a value of another type.
 */
export function descriptionOf(json: unknown, name: string): Description {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw new DescriptionError(`expected an object in ${name}, got ${shown(json)}`);
  const object = json as Record<string, unknown>;
  const facts = new Map<string, boolean>();
  readFacts(object, facts, name);
  for (const part of [object.attributes, object.facts]) {
    if (Array.isArray(part)) readFacts(Object.fromEntries(part.map((label) => [String(label), true])), facts, name);
    else if (typeof part === 'object' && part !== null) readFacts(part as Record<string, unknown>, facts, name);
    else if (part !== undefined && part !== null)
      throw new DescriptionError(`expected attributes as an object in ${name}, got ${shown(part)}`);
  }

  const description: Description = { facts };
  const identity = object.identity ?? undefined;
  if (identity !== undefined) description.identity = identityOf(identity, name);
  const age = object.ageYears ?? object.age ?? undefined;
  if (age !== undefined) {
    if (!isAge(age)) throw new DescriptionError(`expected an age of 0–${maxAgeYears} in ${name}, got ${shown(age)}`);
    description.ageYears = age;
  }
  const caption = object.caption ?? object.text ?? undefined;
  if (caption !== undefined) {
    if (typeof caption !== 'string')
      throw new DescriptionError(`expected a caption as text in ${name}, got ${shown(caption)}`);
    const text = captionOf(caption);
    if (text !== undefined) description.caption = text;
  }
  return description;
}

/** @throws DescriptionError unless it is a number or a text that is not empty. */
export function identityOf(value: unknown, name: string): string {
  if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'bigint')
    throw new DescriptionError(`expected an identity as text or number in ${name}, got ${shown(value)}`);
  const identity = String(value).trim();
  if (identity === '') throw new DescriptionError(`expected an identity in ${name}, got an empty text`);
  return identity;
}

function readFacts(labels: Record<string, unknown>, facts: Map<string, boolean>, name: string): void {
  for (const [label, value] of Object.entries(labels)) {
    const attribute = attributeOfLabel(label);
    if (attribute === undefined || value === null || value === undefined) continue;
    const truth = truthOf(value);
    if (truth === undefined)
      throw new DescriptionError(`expected true or false for ${attribute} in ${name}, got ${shown(value)}`);
    facts.set(attribute, truth);
  }
}
