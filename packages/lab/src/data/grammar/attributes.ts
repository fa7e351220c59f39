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

export type AttributeName = (typeof attributeNames)[number];

/** All 40 labels of one face. */
export type Attributes = Readonly<Record<AttributeName, boolean>>;

/** What a text says about a face; an attribute it is silent about is absent. */
export type StatedAttributes = Partial<Record<AttributeName, boolean>>;

/**
 * Never put into words: Attractive is a judgement, Pale_Skin a stand-in for race.
 */
export const unspokenAttributes: readonly AttributeName[] = ['Attractive', 'Pale_Skin'];

const hairColours = ['Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'] as const;

/**
 * Labels that can safely be stated: labels that contradict each other or are known to be noise are left out.
 * - two hair colours, or straight and wavy: neither; bald with a hair type or bangs: none of them; a bald head has no
 *   hair colour and no hairline; bangs with a receding hairline: neither
 * - "no beard" beside a goatee: neither. Beside a mustache or stubble it is true, but "clean-shaven" is not, so the beard
 *   label goes and the other stays
 * - facial hair on a face labelled female (7 of 10,000, mostly slips), and its absence, which goes without saying
 */
export function resolveAttributes(labels: Attributes): StatedAttributes {
  const facts: StatedAttributes = { ...labels };
  const drop = (...names: AttributeName[]) => {
    for (const name of names) delete facts[name];
  };
  drop(...unspokenAttributes);

  const colours = hairColours.filter((name) => labels[name]);
  if (colours.length === 1) drop(...hairColours.filter((name) => !labels[name]));
  else drop(...hairColours);
  if (labels.Straight_Hair === labels.Wavy_Hair) drop('Straight_Hair', 'Wavy_Hair');
  else drop(labels.Straight_Hair ? 'Wavy_Hair' : 'Straight_Hair');
  if (labels.Bangs && labels.Receding_Hairline) drop('Bangs', 'Receding_Hairline');
  if (labels.Bald) {
    if (labels.Bangs || labels.Straight_Hair || labels.Wavy_Hair) drop('Bald', 'Bangs', 'Straight_Hair', 'Wavy_Hair');
    drop(...hairColours, 'Bangs', 'Receding_Hairline');
  }

  if (!labels.Male) drop('5_o_Clock_Shadow', 'Goatee', 'Mustache', 'No_Beard', 'Sideburns');
  else if (labels.No_Beard) {
    if (labels.Goatee) drop('Goatee', 'No_Beard');
    if (labels.Mustache || labels['5_o_Clock_Shadow']) drop('No_Beard');
  } else if (labels['5_o_Clock_Shadow']) {
    // Two thirds of the stubble in the data carries the beard label too; "a beard and stubble" says too much
    drop('No_Beard');
  }
  return facts;
}
