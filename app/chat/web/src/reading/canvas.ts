// Whether the browser returns what was drawn on a canvas.

const SIZE = 8;
const COLOUR = [60, 120, 150];
/** Some browsers change the lowest bits, which no model sees. */
const TOLERANCE = 16;

/** False where protection against fingerprinting returns noise, as in LibreWolf and the Tor Browser. */
export function canvasIsReadable(): boolean {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const drawing = canvas.getContext("2d")!;
  drawing.fillStyle = `rgb(${COLOUR.join()})`;
  drawing.fillRect(0, 0, SIZE, SIZE);
  const { data } = drawing.getImageData(0, 0, SIZE, SIZE);
  const wrong = data.reduce((sum, value, at) => sum + Math.abs(value - (COLOUR[at % 4] ?? 255)), 0);
  return wrong / data.length < TOLERANCE;
}
