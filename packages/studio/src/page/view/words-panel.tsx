import { readPrompt, type TraitName, traitOf, withTrait } from '../state/words.ts';
import { Segments, Slider } from './parts.tsx';

interface WordsProps {
  prompt: string;
  onPrompt(prompt: string): void;
}

const more: readonly [string, readonly TraitName[]][] = [
  [
    'Wears',
    [
      'Eyeglasses',
      'Wearing_Hat',
      'Wearing_Earrings',
      'Wearing_Necklace',
      'Wearing_Necktie',
      'Wearing_Lipstick',
      'Heavy_Makeup',
    ],
  ],
  ['Hair', ['Straight_Hair', 'Wavy_Hair', 'Bangs', 'Receding_Hairline']],
  ['Beard', ['No_Beard', '5_o_Clock_Shadow', 'Beard', 'Goatee', 'Mustache', 'Sideburns']],
  ['Eyes', ['Bushy_Eyebrows', 'Arched_Eyebrows', 'Narrow_Eyes', 'Bags_Under_Eyes']],
  [
    'Face',
    [
      'Oval_Face',
      'High_Cheekbones',
      'Rosy_Cheeks',
      'Chubby',
      'Double_Chin',
      'Big_Nose',
      'Pointy_Nose',
      'Big_Lips',
      'Mouth_Slightly_Open',
    ],
  ],
];
const alwaysShown = 1;

const hairColours: readonly { value: TraitName | 'any'; label: string }[] = [
  { value: 'any', label: 'any' },
  { value: 'Black_Hair', label: 'black' },
  { value: 'Brown_Hair', label: 'brown' },
  { value: 'Blond_Hair', label: 'blond' },
  { value: 'Gray_Hair', label: 'gray' },
  { value: 'Bald', label: 'bald' },
];

/** Toggles for some traits. */
export function TraitChips({
  prompt,
  onPrompt,
  names,
  legend,
}: WordsProps & { names: readonly TraitName[]; legend: string }) {
  const { stated, denied } = readPrompt(prompt);
  return (
    <fieldset class="chips">
      <legend>{legend}</legend>
      <div>
        {names.map((name) => (
          <button
            key={name}
            type="button"
            class={`chip ${denied.has(name) ? 'is-denied' : ''}`}
            aria-pressed={stated.has(name)}
            title={denied.has(name) ? 'The words say without' : undefined}
            onClick={() => onPrompt(withTrait(prompt, name, !stated.has(name)))}
          >
            {traitOf(name).label}
          </button>
        ))}
      </div>
    </fieldset>
  );
}

/** Switches that write the prompt and follow it. */
export function WordsPanel({ prompt, onPrompt }: WordsProps) {
  const { stated } = readPrompt(prompt);
  /** A slider of three stops between two traits. */
  const between = (label: string, low: TraitName, high: TraitName) => {
    const value = stated.has(low) ? -1 : stated.has(high) ? 1 : 0;
    return (
      <Slider
        label={label}
        min={-1}
        max={1}
        value={value}
        text={value < 0 ? traitOf(low).label : value > 0 ? traitOf(high).label : 'any'}
        onValue={(next) =>
          onPrompt(
            next === 0
              ? withTrait(prompt, value < 0 ? low : high, false)
              : withTrait(prompt, next < 0 ? low : high, true),
          )
        }
      />
    );
  };
  const oneOf = (names: readonly TraitName[]) => names.find((name) => stated.has(name)) ?? 'any';
  const choose = (names: readonly TraitName[]) => (value: TraitName | 'any') => {
    const before = oneOf(names);
    if (value !== 'any') onPrompt(withTrait(prompt, value, true));
    else if (before !== 'any') onPrompt(withTrait(prompt, before, false));
  };
  const who: readonly TraitName[] = ['Woman', 'Male'];
  const colours = hairColours.flatMap(({ value }) => (value === 'any' ? [] : [value]));
  return (
    <section class="words" aria-label="Words that write the prompt">
      <Segments
        legend="Who"
        hideLegend
        value={oneOf(who)}
        options={[
          { value: 'any', label: 'anyone' },
          { value: 'Woman', label: 'woman' },
          { value: 'Male', label: 'man' },
        ]}
        onValue={choose(who)}
      />
      {between('Age', 'Young', 'Old')}
      {between('Smile', 'No_Smile', 'Smiling')}
      <Segments
        legend="Hair colour"
        class="swatches"
        value={oneOf(colours)}
        options={hairColours}
        onValue={choose(colours)}
      />
      {more.slice(0, alwaysShown).map(([legend, names]) => (
        <TraitChips key={legend} legend={legend} names={names} prompt={prompt} onPrompt={onPrompt} />
      ))}
      <details>
        <summary>More features</summary>
        {more.slice(alwaysShown).map(([legend, names]) => (
          <TraitChips key={legend} legend={legend} names={names} prompt={prompt} onPrompt={onPrompt} />
        ))}
      </details>
    </section>
  );
}
