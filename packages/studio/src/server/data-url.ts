import { invalid } from './errors.ts';

const declared: Record<string, RegExp> = {
  'image/jpeg': /^\xff\xd8\xff/,
  'image/jpg': /^\xff\xd8\xff/,
  'image/png': /^\x89PNG/,
  'image/webp': /^RIFF....WEBP/s,
  'image/gif': /^GIF8/,
  'image/tiff': /^(?:II|MM)/,
  'image/avif': /^....ftypavi/s,
};

/**
 * Null for anything but base64. The decoder passes over other characters, so that too few bytes betray them: a pattern over 14 MiB
 * would block for 90 ms.
 */
function base64Bytes(text: string): Buffer | null {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const characters = text.length - padding;
  // the decoder takes the alphabet of addresses too
  if (characters % 4 === 1 || text.includes('-') || text.includes('_')) return null;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === Math.floor((characters * 3) / 4) ? bytes : null;
}

/** Bytes of a data URL, which must be what its type says. @throws ApiError */
export function dataUrlBytes(url: string, param: string): Uint8Array {
  if (!url.startsWith('data:')) {
    const other = /^[a-z][a-z0-9+.-]*:/i.test(url) ? 'another address' : 'something else';
    throw invalid(
      param,
      `expected a data URL (data:image/png;base64,…), got ${other}: the server fetches nothing`,
      'url_refused',
    );
  }
  const comma = url.indexOf(',');
  const head = comma < 0 ? null : /^data:([a-z]+\/[a-z0-9.+-]+)?;base64$/i.exec(url.slice(0, Math.min(comma, 100)));
  if (!head) throw invalid(param, 'expected data:image/…;base64,… , got a data URL of another form', 'invalid_image');
  const type = (head[1] ?? '').toLowerCase();
  const shape = declared[type];
  if (!shape)
    throw invalid(
      param,
      `expected one of ${Object.keys(declared).join(', ')}, got ${type || 'no type'}`,
      'invalid_image',
    );
  const text = url.slice(comma + 1);
  const bytes = base64Bytes(text);
  if (!bytes) throw invalid(param, 'expected base64, got other characters', 'invalid_image');
  if (!shape.test(bytes.subarray(0, 16).toString('latin1')))
    throw invalid(param, `expected the ${type} that its type says, got another file`, 'invalid_image');
  return bytes;
}
