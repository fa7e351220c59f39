/** CelebA's 40 binary labels, in the order of its list. */
export const attributeNames = [
  '5_o_Clock_Shadow',
  'Arched_Eyebrows',
  'Attractive',
  'Bags_Under_Eyes',
  'Bald',
  'Bangs',
  'Big_Lips',
  'Big_Nose',
  'Black_Hair',
  'Blond_Hair',
  'Blurry',
  'Brown_Hair',
  'Bushy_Eyebrows',
  'Chubby',
  'Double_Chin',
  'Eyeglasses',
  'Goatee',
  'Gray_Hair',
  'Heavy_Makeup',
  'High_Cheekbones',
  'Male',
  'Mouth_Slightly_Open',
  'Mustache',
  'Narrow_Eyes',
  'No_Beard',
  'Oval_Face',
  'Pale_Skin',
  'Pointy_Nose',
  'Receding_Hairline',
  'Rosy_Cheeks',
  'Sideburns',
  'Smiling',
  'Straight_Hair',
  'Wavy_Hair',
  'Wearing_Earrings',
  'Wearing_Hat',
  'Wearing_Lipstick',
  'Wearing_Necklace',
  'Wearing_Necktie',
  'Young',
] as const;

export type CelebaName = (typeof attributeNames)[number];

/** What CelebV-HQ and other sources know beyond CelebA's labels: appearance, actions, emotions. */
export const furtherNames = [
  'Long_Hair',
  'Sunglasses',
  'Wearing_Mask',
  'Talking',
  'Head_Wagging',
  'Turning',
  'Frowning',
  'Gazing',
  'Nodding',
  'Shaking_Head',
  'Looking_Around',
  'Glaring',
  'Eyes_Closed',
  'Sniffing',
  'Weeping',
  'Laughing',
  'Whispering',
  'Winking',
  'Shouting',
  'Singing',
  'Blowing',
  'Making_a_Face',
  'Sneering',
  'Chewing',
  'Sighing',
  'Listening_to_Music',
  'Eating',
  'Smoking',
  'Drinking',
  'Kissing',
  'Reading',
  'Crying',
  'Sleeping',
  'Playing_Instrument',
  'Yawning',
  'Coughing',
  'Sneezing',
  'Neutral',
  'Happy',
  'Sad',
  'Angry',
  'Afraid',
  'Surprised',
  'Contemptuous',
  'Disgusted',
] as const;

export type AttributeName = CelebaName | (typeof furtherNames)[number];

/** All 40 labels of one face in CelebA. */
export type Attributes = Readonly<Record<CelebaName, boolean>>;

/** What a text says about a face; an attribute it is silent about is absent. */
export type StatedAttributes = Partial<Record<AttributeName, boolean>>;

/**
 * Never put into words: Attractive is a judgement, Pale_Skin a stand-in for race.
 */
export const unspokenAttributes: readonly AttributeName[] = ['Attractive', 'Pale_Skin'];

export const emotions = [
  'Neutral',
  'Happy',
  'Sad',
  'Angry',
  'Afraid',
  'Surprised',
  'Contemptuous',
  'Disgusted',
] as const satisfies readonly AttributeName[];

const hairColours = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'] as const;

/**
 * Labels that can safely be stated: labels that contradict each other or are known to be noise are left out, unknown ones
 * stay unknown.
 * - two hair colours, or straight and wavy: neither; bald with a hair type or bangs: none of them; a bald head has no
 *   hair colour and no hairline; bangs with a receding hairline: neither
 * - "no beard" beside a goatee: neither. Beside a mustache or stubble it is true, but "clean-shaven" is not, so the beard
 *   label goes and the other stays
 * - facial hair on a face labelled female (7 of 10,000, mostly slips), and its absence, which goes without saying; the
 *   same where the gender is unknown
 * - two emotions, or eyeglasses with sunglasses: neither
 */
export function resolveAttributes(labels: StatedAttributes): StatedAttributes {
  const facts: StatedAttributes = { ...labels };
  const drop = (...names: AttributeName[]) => {
    for (const name of names) delete facts[name];
  };
  drop(...unspokenAttributes);

  const colours = hairColours.filter((name) => labels[name]);
  if (colours.length === 1) drop(...hairColours.filter((name) => !labels[name]));
  else drop(...hairColours);
  if (Boolean(labels.Straight_Hair) === Boolean(labels.Wavy_Hair)) drop('Straight_Hair', 'Wavy_Hair');
  else drop(labels.Straight_Hair ? 'Wavy_Hair' : 'Straight_Hair');
  if (labels.Bangs && labels.Receding_Hairline) drop('Bangs', 'Receding_Hairline');
  if (labels.Bald) {
    if (labels.Bangs || labels.Straight_Hair || labels.Wavy_Hair || labels.Long_Hair)
      drop('Bald', 'Bangs', 'Straight_Hair', 'Wavy_Hair', 'Long_Hair');
    drop(...hairColours, 'Bangs', 'Receding_Hairline', 'Long_Hair');
  }

  if (!labels.Male) drop('5_o_Clock_Shadow', 'Goatee', 'Mustache', 'No_Beard', 'Sideburns');
  else if (labels.No_Beard) {
    if (labels.Goatee) drop('Goatee', 'No_Beard');
    if (labels.Mustache || labels['5_o_Clock_Shadow']) drop('No_Beard');
  } else if (labels['5_o_Clock_Shadow']) {
    // Two thirds of the stubble in the data carries the beard label too; "a beard and stubble" says too much
    drop('No_Beard');
  }

  const shown = emotions.filter((name) => labels[name]);
  drop(...emotions.filter((name) => shown.length !== 1 || name !== shown[0]));
  if (labels.Eyeglasses && labels.Sunglasses) drop('Eyeglasses', 'Sunglasses');
  return facts;
}
