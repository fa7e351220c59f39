import { isUtf8 } from 'node:buffer';
import { dataUrlBytes } from './data-url.ts';
import { invalid } from './errors.ts';

// What is done with the bytes of a body, free of the connection they came by: small ones where they are read, large ones in a thread.

const maxStructureBytes = 64 * 1024;

/** Whether more than so many bytes are outside of strings: a body of millions of brackets would block while it is parsed. */
function isOverstructured(json: Buffer): boolean {
  let structure = 0;
  for (let at = 0; at < json.length; ) {
    const quote = json.indexOf(0x22, at);
    structure += (quote < 0 ? json.length : quote) - at;
    if (structure > maxStructureBytes) return true;
    if (quote < 0) return false;
    let end = json.indexOf(0x22, quote + 1);
    while (end > 0 && isEscaped(json, end)) end = json.indexOf(0x22, end + 1);
    if (end < 0) return false;
    structure += 2;
    at = end + 1;
  }
  return false;
}

/** Whether an odd number of backslashes is before it. Runs before different quotes do not overlap: all looks back are linear. */
function isEscaped(json: Buffer, quote: number): boolean {
  let slashes = 0;
  for (let at = quote - 1; at >= 0 && json[at] === 0x5c; at--) slashes++;
  return slashes % 2 === 1;
}

/** Levels of a document: what is nested more deeply cannot be handed from one thread to another. */
const maxLevels = 64;
/** Strings of at least so many characters that begin as a data URL become the bytes they stand for. */
const longTextCharacters = 16 * 1024;

/** Puts bytes in place of long data URLs and returns them; what is no picture stays, for whoever reads it to refuse. @throws ApiError 400 */
function unpackPictures(document: unknown): Uint8Array<ArrayBuffer>[] {
  const unpacked: Uint8Array<ArrayBuffer>[] = [];
  const left: { value: object; level: number }[] = [];
  const visit = (value: unknown, level: number) => {
    if (typeof value === 'object' && value !== null) left.push({ value, level });
  };
  visit(document, 0);
  for (let next = left.pop(); next; next = left.pop()) {
    const level = next.level + 1;
    if (level > maxLevels)
      throw invalid(null, `expected a JSON document of at most ${maxLevels} levels, got more`, 'invalid_json');
    const members = next.value as Record<string, unknown>;
    for (const key of Object.keys(members)) {
      const value = members[key];
      const bytes = typeof value === 'string' ? longPicture(value) : null;
      if (bytes) {
        members[key] = bytes;
        unpacked.push(bytes);
      } else visit(value, level);
    }
  }
  return unpacked;
}

function longPicture(text: string): Uint8Array<ArrayBuffer> | null {
  if (text.length < longTextCharacters || !text.startsWith('data:')) return null;
  try {
    return new Uint8Array(dataUrlBytes(text, ''));
  } catch {
    return null;
  }
}

/** A document in which long pictures are bytes instead of data URLs, and those bytes. @throws ApiError 400 */
export function parseJson(body: Uint8Array): { document: unknown; pictures: Uint8Array<ArrayBuffer>[] } {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (isOverstructured(bytes))
    throw invalid(null, 'expected a small JSON document, got one of too many parts', 'invalid_json');
  if (!isUtf8(bytes)) throw invalid(null, 'expected JSON: its bytes are no UTF-8', 'invalid_json');
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw invalid(null, `expected JSON: ${(error as Error).message.slice(0, 100)}`, 'invalid_json');
  }
  return { document, pictures: unpackPictures(document) };
}

const maxFormParts = 40;

export interface Form {
  fields: Record<string, string>;
  files: Record<string, Uint8Array<ArrayBuffer>>;
}

/** A multipart form; a name may be given once. @param type its content type. @throws ApiError 400 */
export async function parseForm(body: Uint8Array, type: string): Promise<Form> {
  if (partsOf(Buffer.from(body.buffer, body.byteOffset, body.byteLength), type) > maxFormParts)
    throw invalid(null, `expected a form of at most ${maxFormParts} parts, got more`, 'invalid_form');
  const parsed = await new Response(body as Uint8Array<ArrayBuffer>, { headers: { 'Content-Type': type } })
    .formData()
    .catch(() => {
      throw invalid(null, 'expected a complete multipart/form-data body', 'invalid_form');
    });
  const form: Form = { fields: Object.create(null), files: Object.create(null) };
  for (const [name, value] of parsed.entries()) {
    if (name in form.fields || name in form.files) throw invalid(name.slice(0, 40), 'expected once, got it twice');
    if (typeof value === 'string') form.fields[name] = value;
    else form.files[name] = new Uint8Array(await value.arrayBuffer());
  }
  return form;
}

function partsOf(body: Buffer, type: string): number {
  const boundary = /boundary=(?:"([^"]{1,70})"|([^\s;]{1,70}))/i.exec(type);
  if (!boundary) throw invalid(null, 'expected a boundary in the content type', 'invalid_form');
  const mark = Buffer.from(`--${boundary[1] ?? boundary[2]}`);
  let parts = 0;
  for (let at = body.indexOf(mark); at >= 0 && parts <= maxFormParts + 1; at = body.indexOf(mark, at + mark.length))
    parts++;
  return parts;
}
