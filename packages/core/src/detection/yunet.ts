import { float32, type Runtime, type Session } from '@unif2ace/graph';
import type { PixelImage } from '../image/pixels.ts';
import {
  type DetectedFace,
  type FaceDetector,
  type FaceLandmarks,
  largestFirst,
  type Point,
  suppressOverlaps,
} from './detector.ts';
import { fitLongerSide, padded } from './resample.ts';

// H', W' cells of a stride

export interface YunetOptions {
  /** Longer side of the picture that the network sees, in pixels; larger finds smaller faces. Default 640. */
  maxSide?: number;
  /** Least score of a face. Default 0.6. */
  minScore?: number;
  /** Boxes that overlap more are one face. Default 0.3. */
  maxOverlap?: number;
}

const strides = [8, 16, 32] as const;
const multiple = 32;

/**
 * YuNet (Wu et al. 2023, libfacedetection.train): one convolutional network for boxes and five points, anchor-free, on
 * strides 8, 16 and 32. Its weights are Apache-2.0 and come as an ONNX file that the user brings.
 * @param file path or bytes of an ONNX file with dynamic sides: input BGR 0–255 [1, 3, H, W], outputs cls, obj, bbox and
 *   kps of every stride, [1, H'·W', 1 | 1 | 4 | 10].
 */
export async function loadYunet(
  runtime: Runtime,
  file: Uint8Array | string,
  options: YunetOptions = {},
): Promise<FaceDetector> {
  const { maxSide = 640, minScore = 0.6, maxOverlap = 0.3 } = options;
  const session = await runtime.loadSession(file);
  return {
    detect: (image) => detect(session, image, maxSide, minScore, maxOverlap),
    close: () => session.release(),
  };
}

async function detect(
  session: Session,
  photo: PixelImage,
  maxSide: number,
  minScore: number,
  maxOverlap: number,
): Promise<DetectedFace[]> {
  const longer = Math.max(photo.width, photo.height);
  const small = longer > maxSide ? fitLongerSide(photo, maxSide) : photo;
  const up = (size: number) => Math.ceil(size / multiple) * multiple;
  const input = padded(small, up(small.width), up(small.height));
  const outputs = await session.run({
    [session.inputNames[0]!]: float32(blueFirst(input), [1, 3, input.height, input.width]),
  });
  const [scaleX, scaleY] = [photo.width / small.width, photo.height / small.height];
  const faces = strides.flatMap((stride) => {
    const [cls, obj, bbox, kps] = ['cls', 'obj', 'bbox', 'kps'].map(
      (kind) => outputs[`${kind}_${stride}`]!.data as Float32Array,
    ) as [Float32Array, Float32Array, Float32Array, Float32Array];
    const columns = input.width / stride;
    const found: DetectedFace[] = [];
    for (let cell = 0; cell < cls.length; cell++) {
      const score = Math.sqrt(unit(cls[cell]!) * unit(obj[cell]!));
      if (!(score >= minScore)) continue;
      const [column, row] = [cell % columns, Math.floor(cell / columns)];
      const at = (x: number, y: number): Point => ({
        x: (column + x) * stride * scaleX,
        y: (row + y) * stride * scaleY,
      });
      const centre = at(bbox[4 * cell]!, bbox[4 * cell + 1]!);
      const width = Math.exp(bbox[4 * cell + 2]!) * stride * scaleX;
      const height = Math.exp(bbox[4 * cell + 3]!) * stride * scaleY;
      const points = Array.from({ length: 5 }, (_, i) => at(kps[10 * cell + 2 * i]!, kps[10 * cell + 2 * i + 1]!));
      found.push({
        box: { x: centre.x - width / 2, y: centre.y - height / 2, width, height },
        landmarks: points as unknown as FaceLandmarks,
        score,
      });
    }
    return found;
  });
  return largestFirst(suppressOverlaps(faces, maxOverlap));
}

function unit(value: number): number {
  return Math.min(1, Math.max(0, value));
}

/** BGR 0–255, [3, H, W]. */
function blueFirst({ data, width, height }: PixelImage): Float32Array {
  const area = width * height;
  const x_CHW = new Float32Array(3 * area);
  for (let i = 0; i < area; i++)
    for (let channel = 0; channel < 3; channel++) x_CHW[channel * area + i] = data[3 * i + 2 - channel]!;
  return x_CHW;
}
