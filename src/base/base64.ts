/** Base64 (RFC 4648, section 4) with padding, for keys: short, and strict about what it takes. */

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export function base64Text(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 3) {
    const left = bytes.length - at;
    const word = (bytes[at] << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    text += digits[word >>> 18] + digits[(word >>> 12) & 63];
    text += left > 1 ? digits[(word >>> 6) & 63] : "=";
    text += left > 2 ? digits[word & 63] : "=";
  }
  return text;
}

/** @returns undefined for what is not the one text of some bytes */
export function base64Value(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array((text.length / 4) * 3 - padding);
  for (let i = 0; i < text.length; i += 4) {
    let word = 0;
    for (let j = 0; j < 4; j++) word = (word << 6) | Math.max(0, digits.indexOf(text[i + j]));
    for (let j = 0; j < 3; j++) {
      const at = (i / 4) * 3 + j;
      if (at < bytes.length) bytes[at] = (word >>> (16 - 8 * j)) & 255;
    }
  }
  // Bits beyond the last byte must be zero, so that equal keys have equal texts.
  return base64Text(bytes) === text ? bytes : undefined;
}
