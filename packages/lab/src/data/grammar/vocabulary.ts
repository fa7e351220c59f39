import type { AttributeName } from './attributes.ts';

export type AttributeGroup = 'appearance' | 'action' | 'emotion';

/** A kind of attribute with the names that give its values, e.g. hair color: black, blond, brown, gray. */
export interface AttributeType {
  group: AttributeGroup;
  type: string;
  names: readonly AttributeName[];
}

const appearance: [string, ...AttributeName[]][] = [
  ['gender', 'Male'],
  ['age', 'Young'],
  ['hair color', 'Black_Hair', 'Blond_Hair', 'Brown_Hair', 'Gray_Hair'],
  ['hair length', 'Long_Hair'],
  ['hair type', 'Straight_Hair', 'Wavy_Hair'],
  ['bangs', 'Bangs'],
  ['baldness', 'Bald'],
  ['hairline', 'Receding_Hairline'],
  ['beard', 'No_Beard'],
  ['goatee', 'Goatee'],
  ['mustache', 'Mustache'],
  ['stubble', '5_o_Clock_Shadow'],
  ['sideburns', 'Sideburns'],
  ['glasses', 'Eyeglasses'],
  ['sunglasses', 'Sunglasses'],
  ['hat', 'Wearing_Hat'],
  ['earrings', 'Wearing_Earrings'],
  ['necklace', 'Wearing_Necklace'],
  ['necktie', 'Wearing_Necktie'],
  ['mask', 'Wearing_Mask'],
  ['lipstick', 'Wearing_Lipstick'],
  ['makeup', 'Heavy_Makeup'],
  ['eyebrow shape', 'Arched_Eyebrows'],
  ['eyebrow thickness', 'Bushy_Eyebrows'],
  ['eye shape', 'Narrow_Eyes'],
  ['bags under the eyes', 'Bags_Under_Eyes'],
  ['nose size', 'Big_Nose'],
  ['nose shape', 'Pointy_Nose'],
  ['lips', 'Big_Lips'],
  ['cheekbones', 'High_Cheekbones'],
  ['cheek color', 'Rosy_Cheeks'],
  ['cheek fullness', 'Chubby'],
  ['chin', 'Double_Chin'],
  ['face shape', 'Oval_Face'],
  ['sharpness', 'Blurry'],
];

const action: [string, ...AttributeName[]][] = [
  ['smile', 'Smiling'],
  ['mouth', 'Mouth_Slightly_Open'],
  ['talk', 'Talking'],
  ['laugh', 'Laughing'],
  ['head movement', 'Head_Wagging', 'Turning', 'Nodding', 'Shaking_Head'],
  ['gaze', 'Gazing', 'Looking_Around', 'Glaring'],
  ['frown', 'Frowning'],
  ['closed eyes', 'Eyes_Closed', 'Sleeping'],
  ['wink', 'Winking'],
  ['cry', 'Weeping', 'Crying'],
  ['voice', 'Whispering', 'Shouting', 'Singing'],
  ['blow', 'Blowing'],
  ['grimace', 'Making_a_Face', 'Sneering'],
  ['eat and drink', 'Chewing', 'Eating', 'Drinking'],
  ['breath', 'Sighing', 'Yawning', 'Coughing', 'Sneezing', 'Sniffing'],
  ['smoke', 'Smoking'],
  ['kiss', 'Kissing'],
  ['pastime', 'Listening_to_Music', 'Reading', 'Playing_Instrument'],
];

/**
 * The vocabulary of captions and questions: 54 attribute types in the paper's three groups (paper §5), from CelebA's and
 * CelebV-HQ's labels. Attractive and Pale_Skin are not in it.
 */
export const attributeTypes: readonly AttributeType[] = [
  ...appearance.map(([type, ...names]) => ({ group: 'appearance' as const, type, names })),
  ...action.map(([type, ...names]) => ({ group: 'action' as const, type, names })),
  {
    group: 'emotion',
    type: 'emotion',
    names: ['Neutral', 'Happy', 'Sad', 'Angry', 'Afraid', 'Surprised', 'Contemptuous', 'Disgusted'],
  },
];

/** What the person does, as in "she is talking". */
export const actionWords = {
  Talking: 'talking',
  Head_Wagging: 'wagging the head',
  Turning: 'turning the head',
  Frowning: 'frowning',
  Gazing: 'gazing',
  Nodding: 'nodding',
  Shaking_Head: 'shaking the head',
  Looking_Around: 'looking around',
  Glaring: 'glaring',
  Sniffing: 'sniffing',
  Weeping: 'weeping',
  Laughing: 'laughing',
  Whispering: 'whispering',
  Winking: 'winking',
  Shouting: 'shouting',
  Singing: 'singing',
  Blowing: 'blowing',
  Making_a_Face: 'making a face',
  Sneering: 'sneering',
  Chewing: 'chewing',
  Sighing: 'sighing',
  Listening_to_Music: 'listening to music',
  Eating: 'eating',
  Smoking: 'smoking',
  Drinking: 'drinking',
  Kissing: 'kissing',
  Reading: 'reading',
  Crying: 'crying',
  Sleeping: 'sleeping',
  Playing_Instrument: 'playing an instrument',
  Yawning: 'yawning',
  Coughing: 'coughing',
  Sneezing: 'sneezing',
} as const satisfies Partial<Record<AttributeName, string>>;

/** How the person looks, as in "she looks happy". */
export const emotionWords = {
  Neutral: 'calm',
  Happy: 'happy',
  Sad: 'sad',
  Angry: 'angry',
  Afraid: 'afraid',
  Surprised: 'surprised',
  Contemptuous: 'contemptuous',
  Disgusted: 'disgusted',
} as const satisfies Partial<Record<AttributeName, string>>;
