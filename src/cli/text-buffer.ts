/** Text on its way out, as UTF-8 bytes. Most of what lists bring is short and ASCII, so it is written byte by byte. */
const firstBytes = 1 << 16;

export class TextBuffer {
  bytes: Buffer = Buffer.allocUnsafeSlow(firstBytes);
  /** Bytes in use; may be set back to undo what was written since. */
  length = 0;

  byte(value: number): void {
    if (this.length === this.bytes.length) this.grow(1);
    this.bytes[this.length++] = value;
  }

  /** Appends a few bytes. */
  copy(part: Uint8Array): void {
    const { length } = part;
    if (this.length + length > this.bytes.length) this.grow(length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < length; i++) bytes[at++] = part[i];
    this.length = at;
  }

  /** A short text of ASCII characters. */
  ascii(text: string): void {
    const { length } = text;
    if (this.length + length > this.bytes.length) this.grow(length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  text(text: string): void {
    const room = text.length * 3; // UTF-8 takes no more for a UTF-16 unit
    if (this.length + room > this.bytes.length) this.grow(room);
    this.length += this.bytes.write(text, this.length);
  }

  /** A whole number that is not negative, in decimal digits. */
  number(value: number): void {
    if (value > 0xffff_ffff) {
      this.ascii(String(value));
      return;
    }
    if (this.length + 10 > this.bytes.length) this.grow(10);
    const { bytes } = this;
    let digits = 1;
    for (let bound = 10; value >= bound && digits < 10; bound *= 10) digits++;
    let rest = value;
    for (let i = this.length + digits - 1; i >= this.length; i--) {
      const tenth = Math.floor(rest / 10);
      bytes[i] = 0x30 + rest - tenth * 10;
      rest = tenth;
    }
    this.length += digits;
  }

  /** Appends from[start, end) as a JSON string. @returns false, and nothing, when it has more than plain ASCII */
  quoteAscii(from: Uint8Array, start: number, end: number): boolean {
    const room = end - start + 2;
    if (this.length + room > this.bytes.length) this.grow(room);
    const { bytes } = this;
    let at = this.length;
    bytes[at++] = 0x22;
    for (let i = start; i < end; i++) {
      const byte = from[i];
      if (byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c) return false;
      bytes[at++] = byte;
    }
    bytes[at++] = 0x22;
    this.length = at;
    return true;
  }

  /** Hands the bytes over and is empty again. */
  take(): Buffer {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = Buffer.allocUnsafeSlow(this.bytes.length);
    this.length = 0;
    return taken;
  }

  private grow(room: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(this.bytes.length * 2, this.length + room));
    this.bytes.copy(grown, 0, 0, this.length);
    this.bytes = grown;
  }
}
