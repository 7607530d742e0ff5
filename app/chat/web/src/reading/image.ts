// Reads images: scaled down, as JPEG, without metadata such as the place where a photo was taken.
import { canvasIsReadable } from "./canvas";
import { Unreadable } from "./unreadable";

/** Projectors of vision models scale larger images down themselves. */
const LONGEST_SIDE = 1536;
/** Small enough that ten images fit in one request. */
const MAX_BYTES = 400_000;
/** Decoding takes four bytes of memory for each pixel. */
const MAX_PIXELS = 100_000_000;
const QUALITIES = [0.88, 0.75, 0.6, 0.4];

export interface ReadImage {
  /** A data URL of a JPEG. */
  url: string;
  width: number;
  height: number;
}

export async function readImage(file: Blob): Promise<ReadImage> {
  if (!canvasIsReadable()) {
    throw new Unreadable(
      "cannot be read: your browser's protection against fingerprinting hides images from this page",
    );
  }
  const source = URL.createObjectURL(file);
  try {
    return await scaled(await loaded(source));
  } finally {
    URL.revokeObjectURL(source);
  }
}

async function loaded(source: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = source;
  try {
    await new Promise((resolve, reject) => {
      image.onload = resolve;
      image.onerror = reject;
    });
  } catch {
    throw new Unreadable("is damaged, or an image that this browser cannot open");
  }
  // Browsers report the size before they decode the pixels.
  const pixels = image.naturalWidth * image.naturalHeight;
  if (pixels === 0) throw new Unreadable("is an empty image");
  if (pixels > MAX_PIXELS) {
    const million = Math.round(pixels / 1e6).toLocaleString("en");
    throw new Unreadable(`has ${million} million pixels; the limit is ${MAX_PIXELS / 1e6} million`);
  }
  return image;
}

async function scaled(image: HTMLImageElement): Promise<ReadImage> {
  const { naturalWidth, naturalHeight } = image;
  const factor = Math.min(1, LONGEST_SIDE / Math.max(naturalWidth, naturalHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(naturalWidth * factor));
  canvas.height = Math.max(1, Math.round(naturalHeight * factor));
  const drawing = canvas.getContext("2d")!;
  // JPEG has no transparency.
  drawing.fillStyle = "#fff";
  drawing.fillRect(0, 0, canvas.width, canvas.height);
  drawing.imageSmoothingQuality = "high";
  try {
    drawing.drawImage(image, 0, 0, canvas.width, canvas.height);
  } catch {
    throw new Unreadable("is damaged, or an image that this browser cannot open");
  }
  for (const quality of QUALITIES) {
    const url = canvas.toDataURL("image/jpeg", quality);
    if (url.length * 0.75 <= MAX_BYTES || quality === QUALITIES.at(-1)) {
      return { url, width: canvas.width, height: canvas.height };
    }
  }
  throw new Unreadable("is an image that this browser cannot convert");
}
