/** Growth of columns that come and go with a whole set of data at a time. */
import type { Column } from "../base/columns.ts";

/**
 * `column` with room for `capacity` rows; new rows are zero. The array given must not be used any more: its memory moves
 * to the new one, or is free at once. Half a million VRPs come within a second, and arrays that wait for the collector
 * would take more than what is kept.
 */
export function enlarged<T extends Column>(column: T, capacity: number): T {
  const { BYTES_PER_ELEMENT: size } = column;
  const buffer = (column.buffer as ArrayBuffer).transfer(capacity * size);
  return new (column.constructor as new (buffer: ArrayBuffer) => T)(buffer);
}
