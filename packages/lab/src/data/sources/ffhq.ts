import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { isAge, youngByAge } from './facts.ts';
import { readImages, stemOf } from './folder.ts';
import { type Description, type SourceItem, shown } from './items.ts';
import { DescriptionError, parseJson, readSidecar } from './sidecar.ts';

/** `faceAttributes` of one face in FFHQ-features (estimates of a face service; every part may be missing). */
interface FaceAttributes {
  smile?: number;
  gender?: string;
  age?: number;
  facialHair?: { moustache?: number; beard?: number; sideburns?: number };
  glasses?: string;
  emotion?: Record<string, number>;
  blur?: { blurLevel?: string };
  makeup?: { eyeMakeup?: boolean; lipMakeup?: boolean };
  accessories?: { type?: string; confidence?: number }[];
  hair?: { bald?: number; invisible?: boolean; hairColor?: { color?: string; confidence?: number }[] };
}

interface Face {
  faceRectangle?: { width?: number; height?: number };
  faceAttributes?: FaceAttributes;
}

/** A score says true from `yes` on, false up to `no`; in between the fact is left out. */
interface Threshold {
  attribute: string;
  score: (face: FaceAttributes) => number | undefined;
  yes: number;
  no: number;
}

const emotion = (attribute: string, name: string): Threshold => ({
  attribute,
  score: (face) => face.emotion?.[name],
  yes: 0.8,
  no: 0.05,
});

const accessory = (attribute: string, type: string): Threshold => ({
  attribute,
  score: ({ accessories }) =>
    accessories && (accessories.find((item) => item.type?.toLowerCase() === type)?.confidence ?? 0),
  yes: 0.8,
  no: 0.2,
});

const hairColour = (attribute: string, colour: string): Threshold => ({
  attribute,
  score: ({ hair }) =>
    hair?.invisible || !hair?.hairColor?.length
      ? undefined
      : (hair.hairColor.find((item) => item.color?.toLowerCase() === colour)?.confidence ?? 0),
  yes: 0.9,
  no: 0.3,
});

const flag = (attribute: string, value: (face: FaceAttributes) => boolean | undefined): Threshold => ({
  attribute,
  score: (face) => {
    const truth = value(face);
    return truth === undefined ? undefined : Number(truth);
  },
  yes: 1,
  no: 0,
});

/** All thresholds. Scores of facial hair come in steps 0, 0.1, 0.4, 0.6, 0.9: 0.4 is left open. */
const ffhqThresholds: readonly Threshold[] = [
  flag('Male', ({ gender }) => (gender === 'male' ? true : gender === 'female' ? false : undefined)),
  { attribute: 'Smiling', score: (face) => face.smile, yes: 0.7, no: 0.2 },
  { attribute: 'Mustache', score: (face) => face.facialHair?.moustache, yes: 0.6, no: 0.1 },
  { attribute: 'Sideburns', score: (face) => face.facialHair?.sideburns, yes: 0.6, no: 0.1 },
  {
    attribute: 'No_Beard',
    score: ({ facialHair }) => (facialHair?.beard === undefined ? undefined : 1 - facialHair.beard),
    yes: 0.9,
    no: 0.4,
  },
  { attribute: 'Bald', score: ({ hair }) => (hair?.invisible ? undefined : hair?.bald), yes: 0.9, no: 0.2 },
  hairColour('Black_Hair', 'black'),
  hairColour('Blond_Hair', 'blond'),
  hairColour('Brown_Hair', 'brown'),
  hairColour('Gray_Hair', 'gray'),
  // Whether sunglasses count as eyeglasses differs among sources: left open
  flag('Eyeglasses', ({ glasses }) =>
    glasses === 'ReadingGlasses' ? true : glasses === 'NoGlasses' ? false : undefined,
  ),
  flag('Sunglasses', ({ glasses }) =>
    glasses === 'Sunglasses' ? true : glasses === 'NoGlasses' || glasses === 'ReadingGlasses' ? false : undefined,
  ),
  flag('Blurry', ({ blur }) => {
    const level = blur?.blurLevel?.toLowerCase();
    return level === 'high' ? true : level === 'low' ? false : undefined;
  }),
  flag('Wearing_Lipstick', ({ makeup }) => makeup?.lipMakeup),
  // One of the two kinds of makeup alone is not heavy for certain, nor absent
  flag('Heavy_Makeup', ({ makeup }) => (makeup?.eyeMakeup === makeup?.lipMakeup ? makeup?.eyeMakeup : undefined)),
  accessory('Wearing_Hat', 'headwear'),
  accessory('Wearing_Mask', 'mask'),
  emotion('Angry', 'anger'),
  emotion('Contemptuous', 'contempt'),
  emotion('Disgusted', 'disgust'),
  emotion('Afraid', 'fear'),
  emotion('Happy', 'happiness'),
  emotion('Neutral', 'neutral'),
  emotion('Sad', 'sadness'),
  emotion('Surprised', 'surprise'),
];

/**
 * Pictures NNNNN.png below a folder with the features in json/NNNNN.json (or beside them); of several faces the largest.
 */
export async function* readFfhq(source: string, folder: string): AsyncGenerator<SourceItem, void, undefined> {
  const inJsonFolder = await access(join(folder, 'json')).then(
    () => true,
    () => false,
  );
  const features = inJsonFolder ? join(folder, 'json') : folder;
  yield* readImages(source, folder, async ({ name }) => {
    const file = `${stemOf(name)}.json`;
    return describeFaces(parseJson(await readSidecar(join(features, file), file), file), file);
  });
}

function describeFaces(json: unknown, file: string): Description {
  if (!Array.isArray(json)) throw new DescriptionError(`expected a list of faces in ${file}, got ${shown(json)}`);
  const area = ({ faceRectangle: box }: Face) => (box?.width ?? 0) * (box?.height ?? 0);
  const face = (json as Face[]).filter((item) => item?.faceAttributes).sort((a, b) => area(b) - area(a))[0];
  if (!face) throw new DescriptionError(`expected a face with attributes in ${file}, got ${json.length} without`);
  const attributes = face.faceAttributes!;
  const facts = new Map<string, boolean>();
  for (const { attribute, score, yes, no } of ffhqThresholds) {
    const value = score(attributes);
    if (value === undefined || value === null) continue;
    if (typeof value !== 'number' || !(value >= 0 && value <= 1))
      throw new DescriptionError(`expected a score of 0–1 for ${attribute} in ${file}, got ${shown(value)}`);
    if (value >= yes) facts.set(attribute, true);
    else if (value <= no) facts.set(attribute, false);
  }
  const { age } = attributes;
  if (!isAge(age)) return { facts };
  for (const [attribute, truth] of youngByAge(age)) facts.set(attribute, truth);
  return { facts, ageYears: age };
}
