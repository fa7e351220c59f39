import { isAge, youngByAge } from './facts.ts';
import { readImages } from './folder.ts';
import type { Description, SourceItem } from './items.ts';
import { DescriptionError } from './sidecar.ts';

/** Age, gender, a digit for race, date and time. The third field is matched for its shape only: nothing reads it. */
const utkFaceName = /^(\d{1,3})_([01])_\d_\d{8,17}\.[a-z.]+$/i;

export function isUtkFaceName(name: string): boolean {
  return utkFaceName.test(name);
}

/**
 * Photos named as UTKFace does, `age_gender_race_date.jpg`; gender 0 is male, 1 female. Young is stated only where the age is
 * clear (see `clearAgeYears`).
 */
export function readUtkFace(source: string, folder: string): AsyncIterable<SourceItem> {
  return readImages(source, folder, ({ name }) => describeByName(name.slice(name.lastIndexOf('/') + 1)));
}

function describeByName(name: string): Description {
  const match = utkFaceName.exec(name);
  const ageYears = Number(match?.[1]);
  if (!match || !isAge(ageYears))
    throw new DescriptionError('expected a name age_gender_race_date.jpg (gender 0 or 1, age up to 116), got another');
  return { facts: new Map([['Male', match[2] === '0'], ...youngByAge(ageYears)]), ageYears };
}
