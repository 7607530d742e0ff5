// What a file contains, by its first bytes: names and types that a browser reports can be wrong.

export type Kind = "pdf" | "image" | "heic" | "archive" | "other";

const starts = (bytes: Uint8Array, signature: string, at = 0): boolean =>
  [...signature].every((letter, index) => bytes[at + index] === letter.charCodeAt(0));

const HEIC = ["heic", "heix", "hevc", "hevx", "mif1", "msf1"];
/** A PDF may have other bytes before its header. */
const PDF_HEADER_WITHIN = 1024;

export function kindOf(bytes: Uint8Array): Kind {
  if (starts(bytes, "\x89PNG\r\n") || starts(bytes, "\xff\xd8\xff") || starts(bytes, "GIF8")) return "image";
  if (starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)) return "image";
  if (starts(bytes, "BM") && bytes[6] === 0 && bytes[7] === 0) return "image";
  if (starts(bytes, "ftyp", 4)) {
    const brand = String.fromCharCode(...bytes.subarray(8, 12));
    if (brand === "avif" || brand === "avis") return "image";
    if (HEIC.includes(brand)) return "heic";
  }
  if (starts(bytes, "PK\x03\x04") || starts(bytes, "\x1f\x8b") || starts(bytes, "7z\xbc\xaf")) return "archive";
  const head = String.fromCharCode(...bytes.subarray(0, PDF_HEADER_WITHIN));
  return head.includes("%PDF-") ? "pdf" : "other";
}
