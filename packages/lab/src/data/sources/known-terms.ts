import type { SourceTerms } from '../export/data-card.ts';
import type { SourceKind } from './open-source.ts';

/** Terms under which known data sets are published; a folder in their layout is taken for them unless other terms are given. */
export const knownTerms: Partial<Record<SourceKind, Omit<SourceTerms, 'name'>>> = {
  celeba: {
    terms: 'non-commercial research only; the images may not be passed on',
    url: 'https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html',
    citation: 'Liu, Luo, Wang, Tang: Deep Learning Face Attributes in the Wild, ICCV 2015',
  },
  utkface: {
    terms: 'non-commercial research only',
    url: 'https://susanqq.github.io/UTKFace/',
    citation: 'Zhang, Song, Qi: Age Progression/Regression by Conditional Adversarial Autoencoder, CVPR 2017',
  },
  celebvhq: {
    terms: 'non-commercial research only; neither videos nor what is derived from them may be passed on',
    url: 'https://celebv-hq.github.io/',
    citation: 'Zhu et al.: CelebV-HQ: A Large-Scale Video Facial Attributes Dataset, ECCV 2022',
  },
  ffhq: {
    terms: 'CC BY-NC-SA 4.0; each photo under the licence its author chose',
    url: 'https://github.com/NVlabs/ffhq-dataset',
    citation:
      'Karras, Laine, Aila: A Style-Based Generator Architecture for Generative Adversarial Networks, CVPR 2019',
  },
};
