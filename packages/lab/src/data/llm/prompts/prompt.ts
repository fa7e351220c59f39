import { createHash } from 'node:crypto';

/** A prompt as sent; `{{name}}` in `user` is filled in per face. Change the version with the text. */
export interface Prompt {
  name: string;
  version: number;
  system: string;
  user: string;
}

/** Names a prompt and what its answer must look like by content: "caption-v1-3f2a9c01". */
export function promptVersion(prompt: Prompt, jsonSchema: unknown): string {
  const hash = createHash('sha256').update(JSON.stringify([prompt.system, prompt.user, jsonSchema]));
  return `${prompt.name}-v${prompt.version}-${hash.digest('hex').slice(0, 8)}`;
}

/** @throws RangeError when the text names a value that is not given. */
export function fillTemplate(text: string, values: Readonly<Record<string, string>>): string {
  return text.replace(/\{\{(\w+)\}\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined)
      throw new RangeError(`prompt: expected a value for {{${name}}}, got ${Object.keys(values).join(', ')}`);
    return value;
  });
}
