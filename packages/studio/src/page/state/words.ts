/**
 * The words of the page: what a model trained on attribute captions knows of faces, as switches that write a prompt and read
 * it back. The wording is that of the training captions.
 */

export interface Trait {
  /** The data set's name of the attribute it states. */
  name: string;
  /** On its switch. */
  label: string;
  /** adjective: before the noun; have: after "with"; wear: after "wearing"; tail: at the end. */
  role: 'noun' | 'adjective' | 'have' | 'wear' | 'tail';
  /** As the prompt has it, article included; of traits that share a noun only the word before it. */
  words: string;
  /** Noun shared with others: "wavy" and "blond" make "wavy blond hair". */
  of?: 'hair' | 'eyebrows' | 'nose' | 'cheeks';
  /** Of the traits of one kind a prompt has at most one. */
  kind?: 'who' | 'age' | 'smile' | 'colour' | 'type' | 'beard';
  /** How a prompt says it; default: its words. */
  pattern?: string;
}

const colour = (name: string, words: string, pattern = words): Trait => ({
  name,
  label: words,
  role: 'have',
  words,
  of: 'hair',
  kind: 'colour',
  pattern: `(?:${pattern})(?= (?:\\w+ )?hair)`,
});

/** In the order in which a prompt names them. */
const traits = [
  { name: 'Woman', label: 'woman', role: 'noun', words: 'woman', kind: 'who', pattern: 'woman|lady|girl' },
  { name: 'Male', label: 'man', role: 'noun', words: 'man', kind: 'who', pattern: 'man|boy' },
  { name: 'Smiling', label: 'smiling', role: 'adjective', words: 'smiling', kind: 'smile' },
  { name: 'No_Smile', label: 'serious', role: 'tail', words: 'not smiling', kind: 'smile' },
  { name: 'No_Beard', label: 'clean-shaven', role: 'adjective', words: 'clean-shaven', kind: 'beard' },
  { name: 'Bald', label: 'bald', role: 'adjective', words: 'bald', kind: 'colour' },
  {
    name: 'Young',
    label: 'younger',
    role: 'adjective',
    words: 'young-looking',
    kind: 'age',
    pattern: 'young(?:-looking)?',
  },
  {
    name: 'Old',
    label: 'older',
    role: 'adjective',
    words: 'older-looking',
    kind: 'age',
    pattern: 'old(?:er)?(?:-looking)?',
  },
  {
    name: 'Straight_Hair',
    label: 'straight',
    role: 'have',
    words: 'straight',
    of: 'hair',
    kind: 'type',
    pattern: 'straight(?= (?:\\w+ )?hair)',
  },
  {
    name: 'Wavy_Hair',
    label: 'wavy',
    role: 'have',
    words: 'wavy',
    of: 'hair',
    kind: 'type',
    pattern: 'wavy(?= (?:\\w+ )?hair)',
  },
  colour('Black_Hair', 'black'),
  colour('Brown_Hair', 'brown'),
  colour('Blond_Hair', 'blond', 'blonde?'),
  colour('Gray_Hair', 'gray', 'gr[ae]y'),
  { name: 'Bangs', label: 'bangs', role: 'have', words: 'bangs' },
  { name: 'Receding_Hairline', label: 'receding hairline', role: 'have', words: 'a receding hairline' },
  {
    name: 'Bushy_Eyebrows',
    label: 'bushy eyebrows',
    role: 'have',
    words: 'bushy',
    of: 'eyebrows',
    pattern: '(?:bushy|thick)(?= (?:\\w+ )?eyebrows)',
  },
  {
    name: 'Arched_Eyebrows',
    label: 'arched eyebrows',
    role: 'have',
    words: 'arched',
    of: 'eyebrows',
    pattern: 'arched(?= eyebrows)',
  },
  { name: 'Narrow_Eyes', label: 'narrow eyes', role: 'have', words: 'narrow eyes' },
  {
    name: 'Bags_Under_Eyes',
    label: 'bags under the eyes',
    role: 'have',
    words: 'bags under the eyes',
    pattern: 'bags under (?:the|his|her|their) eyes',
  },
  {
    name: 'Big_Nose',
    label: 'big nose',
    role: 'have',
    words: 'big',
    of: 'nose',
    pattern: '(?:big|large)(?= (?:\\w+ )?nose)',
  },
  {
    name: 'Pointy_Nose',
    label: 'pointed nose',
    role: 'have',
    words: 'pointed',
    of: 'nose',
    pattern: 'point(?:ed|y)(?= nose)',
  },
  { name: 'Big_Lips', label: 'full lips', role: 'have', words: 'full lips', pattern: '(?:full|big) lips' },
  { name: 'High_Cheekbones', label: 'high cheekbones', role: 'have', words: 'high cheekbones' },
  {
    name: 'Chubby',
    label: 'full cheeks',
    role: 'have',
    words: 'full',
    of: 'cheeks',
    pattern: '(?:full|chubby)(?= (?:\\w+ )?cheeks)',
  },
  { name: 'Rosy_Cheeks', label: 'rosy cheeks', role: 'have', words: 'rosy', of: 'cheeks', pattern: 'rosy(?= cheeks)' },
  { name: 'Double_Chin', label: 'double chin', role: 'have', words: 'a double chin' },
  { name: 'Oval_Face', label: 'oval face', role: 'have', words: 'an oval face' },
  { name: '5_o_Clock_Shadow', label: 'stubble', role: 'have', words: 'stubble', kind: 'beard' },
  { name: 'Beard', label: 'beard', role: 'have', words: 'a beard', kind: 'beard' },
  { name: 'Goatee', label: 'goatee', role: 'have', words: 'a goatee', kind: 'beard' },
  { name: 'Mustache', label: 'mustache', role: 'have', words: 'a mustache' },
  { name: 'Sideburns', label: 'sideburns', role: 'have', words: 'sideburns' },
  {
    name: 'Mouth_Slightly_Open',
    label: 'open mouth',
    role: 'have',
    words: 'a slightly open mouth',
    pattern: '(?:a )?(?:slightly )?open mouth',
  },
  { name: 'Eyeglasses', label: 'glasses', role: 'wear', words: 'eyeglasses', pattern: '(?:eye)?glasses' },
  { name: 'Wearing_Hat', label: 'hat', role: 'wear', words: 'a hat' },
  { name: 'Wearing_Earrings', label: 'earrings', role: 'wear', words: 'earrings' },
  { name: 'Wearing_Necklace', label: 'necklace', role: 'wear', words: 'a necklace' },
  { name: 'Wearing_Necktie', label: 'tie', role: 'wear', words: 'a necktie', pattern: '(?:a )?(?:neck)?tie' },
  { name: 'Heavy_Makeup', label: 'makeup', role: 'wear', words: 'heavy makeup' },
  { name: 'Wearing_Lipstick', label: 'lipstick', role: 'wear', words: 'lipstick' },
] as const satisfies readonly Trait[];

export type TraitName = (typeof traits)[number]['name'];

const byName = new Map<string, Trait>(traits.map((trait) => [trait.name, trait]));

export function traitOf(name: TraitName): Trait {
  return byName.get(name)!;
}

/** How the switch of an attribute calls it; undefined where there is none. */
export function labelOf(attribute: string): string | undefined {
  const trait = byName.get(attribute);
  return trait?.of === 'hair' ? `${trait.label} hair` : trait?.label;
}

/** What negates a phrase that follows: right before it, or before a list joined by "or" whose last one it is. */
const negation =
  /\b(?:no|not|without|never)\b(?:(?: (?!(?:with|but|and|who)\b)[\w'-]+)* n?or)?(?: (?:an?|any|the|wearing|have|having))* $/;

const compiled = traits.map((trait: Trait) => {
  const pattern = trait.pattern ?? trait.words.replace(/^an? /, '');
  return { trait, pattern: new RegExp(`\\b(?:${pattern})(?![\\w-])`, 'gi') };
});

/** Traits that a prompt names, some of them to say that they are not there. */
interface Reading {
  stated: Set<TraitName>;
  denied: Set<TraitName>;
}

/** What a prompt states and what it denies; what it says in other words is in neither. A trait that is both counts as stated. */
export function readPrompt(prompt: string): Reading {
  const stated = new Set<TraitName>();
  const denied = new Set<TraitName>();
  for (const { trait, pattern } of compiled)
    for (const match of prompt.matchAll(pattern)) {
      const no = negation.test(prompt.slice(0, match.index).toLowerCase());
      (no ? denied : stated).add(trait.name as TraitName);
    }
  for (const name of stated) denied.delete(name);
  // "not smiling" is a trait of its own
  if (stated.has('No_Smile')) denied.delete('Smiling');
  return { stated, denied };
}

/** The prompt without the words that deny a trait, where they can be cut out and all else stays; undefined otherwise. */
function withoutDenial(prompt: string, name: TraitName, { stated, denied }: Reading): string | undefined {
  const { pattern } = compiled.find(({ trait }) => trait.name === name)!;
  for (const match of prompt.matchAll(pattern)) {
    const before = negation.exec(prompt.slice(0, match.index).toLowerCase());
    if (!before) continue;
    const [head, tail] = [prompt.slice(0, before.index), prompt.slice(match.index + match[0].length)];
    const cut = `${head.replace(/[\s,;]*(?:\b(?:and|but)\s+)?$/, '')}${tail}`.trim();
    const left = readPrompt(cut);
    const others = new Set([...denied].filter((other) => other !== name));
    if (same(left.stated, stated) && same(left.denied, others)) return cut;
  }
  return undefined;
}

const series = (items: readonly string[]): string =>
  items.length < 3 ? items.join(' and ') : `${items.slice(0, -1).join(', ')}, and ${items.at(-1)}`;

const withArticle = (phrase: string): string => `${/^[aeiou]/.test(phrase) ? 'an' : 'a'} ${phrase}`;

const joined = ({ of, words }: Trait): string => {
  if (!of) return words;
  return of === 'nose' ? withArticle(`${words} nose`) : `${words} ${of}`;
};

/** How a prompt denies traits: "not young-looking", "without a hat or bangs". */
function denials(names: ReadonlySet<TraitName>): string[] {
  const chosen: Trait[] = traits.filter(({ name }) => names.has(name));
  const nots = chosen.filter(({ role }) => role === 'adjective').map(({ words }) => `not ${words}`);
  const things = chosen.filter(({ role }) => role === 'have' || role === 'wear').map(joined);
  return things.length > 0 ? [...nots, `without ${things.join(' or ')}`] : nots;
}

/** A prompt that states these traits, e.g. "a smiling woman with wavy blond hair and bangs, wearing earrings". */
function writePrompt({ stated, denied }: Reading): string {
  const chosen: Trait[] = traits.filter(({ name }) => stated.has(name));
  const not = denials(denied);
  if (chosen.length + not.length === 0) return '';
  const withRole = (role: Trait['role']) => chosen.filter((trait) => trait.role === role);
  const noun = withRole('noun')[0]?.words ?? 'person';
  const head = withArticle([...withRole('adjective').map(({ words }) => words), noun].join(' '));
  const parts = new Map<string, string>();
  for (const { of, words } of withRole('have')) {
    if (!of) parts.set(words, words);
    else parts.set(of, parts.has(of) ? `${parts.get(of)} ${words}` : words);
  }
  const have = [...parts].map(([key, words]) => {
    if (key === words) return words;
    return key === 'nose' ? withArticle(`${words} nose`) : `${words} ${key}`;
  });
  const wear = withRole('wear').map(({ words }) => words);
  const clauses = [
    ...(have.length > 0 ? [`with ${series(have)}`] : []),
    ...(wear.length > 0 ? [`wearing ${series(wear)}`] : []),
    ...withRole('tail').map(({ words }) => words),
    ...not,
  ];
  return [head, clauses.join(', ')].filter((part) => part !== '').join(' ');
}

const same = (a: ReadonlySet<string>, b: ReadonlySet<string>) =>
  a.size === b.size && [...a].every((name) => b.has(name));

/**
 * The prompt with a trait said or no longer said; others of its kind give way, and so does what denied it. Words that are not
 * ours stay where adding a phrase is enough; otherwise the prompt is written anew from all that it states and denies.
 */
export function withTrait(prompt: string, name: TraitName, on: boolean): string {
  const { stated, denied } = readPrompt(prompt);
  const wanted: Reading = { stated: new Set(stated), denied: new Set(denied) };
  const trait = traitOf(name);
  if (on) {
    for (const other of stated) if (trait.kind && traitOf(other).kind === trait.kind) wanted.stated.delete(other);
    wanted.stated.add(name);
    wanted.denied.delete(name);
  } else wanted.stated.delete(name);
  if (on && denied.has(name)) {
    const cut = withoutDenial(prompt, name, { stated, denied });
    return cut === undefined ? writePrompt(wanted) : withTrait(cut, name, true);
  }
  const ours = prompt.trim() === '' || prompt.trim() === writePrompt({ stated, denied });
  const { role } = trait;
  if (!ours && on && role !== 'noun' && role !== 'adjective') {
    const lead = { have: 'with ', wear: 'wearing ', tail: '' }[role];
    const appended = `${prompt.trim().replace(/[.,;]+$/, '')}, ${lead}${joined(trait)}`;
    const read = readPrompt(appended);
    if (same(read.stated, wanted.stated) && same(read.denied, wanted.denied)) return appended;
  }
  return writePrompt(wanted);
}
