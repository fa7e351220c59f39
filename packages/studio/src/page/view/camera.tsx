import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';

interface CameraProps {
  onPhoto(photo: Blob): void;
  onClose(): void;
}

const asLine = (error: unknown): string =>
  error instanceof DOMException && error.name === 'NotAllowedError'
    ? 'camera: expected permission, got none; allow it in the address bar or drop a photo'
    : 'camera: expected one that is free, got none; drop a photo instead';

/** The camera's picture and a shutter; the stream ends with it. */
export function Camera({ onPhoto, onClose }: CameraProps) {
  const video = useRef<HTMLVideoElement>(null);
  const problem = useSignal('');
  const ready = useSignal(false);
  useEffect(() => {
    let stream: MediaStream | undefined;
    let gone = false;
    const open = async () => {
      if (!navigator.mediaDevices) throw new Error('no media devices outside of a secure page');
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'user' }, audio: false });
      if (gone) for (const track of stream.getTracks()) track.stop();
      else video.current!.srcObject = stream;
    };
    open().catch((error: unknown) => {
      problem.value = asLine(error);
    });
    return () => {
      gone = true;
      for (const track of stream?.getTracks() ?? []) track.stop();
    };
  }, [problem]);
  const shoot = async () => {
    const { videoWidth, videoHeight } = video.current!;
    const canvas = new OffscreenCanvas(videoWidth, videoHeight);
    canvas.getContext('2d')!.drawImage(video.current!, 0, 0);
    onPhoto(await canvas.convertToBlob({ type: 'image/jpeg', quality: 0.95 }));
  };
  return (
    <div class="camera">
      {problem.value ? (
        <p class="problem" role="alert">
          {problem.value}
        </p>
      ) : (
        <video
          ref={video}
          autoplay
          playsInline
          muted
          onLoadedMetadata={() => {
            ready.value = true;
          }}
        />
      )}
      <div class="go">
        <button type="button" class="primary" disabled={!ready.value} onClick={() => void shoot()}>
          Take the photo
        </button>
        <button type="button" class="quiet" onClick={onClose}>
          Close the camera
        </button>
      </div>
    </div>
  );
}
