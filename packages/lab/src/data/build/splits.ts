import { createHash } from 'node:crypto';
import { type Split, splitOfIdentity } from '../celeba.ts';

/**
 * By identity, never by image. A numbered identity goes where `splitOfIdentity` puts it; others, and photos of nobody
 * known, by a hash: one in ten each for test and validation.
 */
export function splitOf(source: string, identity: string | undefined, contentHash: string): Split {
  if (identity !== undefined && /^\d{1,15}$/.test(identity)) return splitOfIdentity(Number(identity));
  const key = identity === undefined ? contentHash : `${source}\0${identity}`;
  return splitOfIdentity(createHash('sha256').update(key).digest().readUInt32BE(0));
}
