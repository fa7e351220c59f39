import { z } from 'zod';

/** Words that a text about a face may not contain; words with an innocent sense beside hair or clothes are left to the prompt. */
const forbiddenWords =
  /\b(?:un)?attractive(?:ness)?\b|\b(?:beautiful|beauty|handsome|gorgeous|ugly)\b|\bpretty (?:face|woman|girl|man|boy)\b|\b(?:ethnic\w*|racial\w*|caucasian|asian|african|hispanic|latin[oa]|middle[- ]eastern)\b|\b(?:white|black|brown) (?:man|woman|person|boy|girl)\b|\bskin (?:colou?r|tone)\b/i;

const maxLetters = 4000;

/** A text about a face, as a model may write it. */
export const spokenText = z
  .string()
  .refine((text) => text.trim().length > 0, 'expected a text, got none')
  .refine((text) => text.length <= maxLetters, `expected at most ${maxLetters} letters`)
  .refine((text) => !forbiddenWords.test(text), 'must not mention race, ethnicity, skin color or attractiveness');
