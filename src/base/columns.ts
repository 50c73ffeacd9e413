/** Columns are typed arrays of equal capacity whose rows are named by 32-bit ids. How far they grow is told in one place. */
export type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** Rows beyond which columns double: copying them takes a millisecond each. */
const largeRows = 1 << 20;

/**
 * How many rows columns of `capacity` grow to. What was never written of a large array is address space and no memory, so
 * smaller columns grow fourfold: they are copied half as often, and the copies left to the garbage collector, which counts
 * them and marks the whole heap for them, are a third of the columns instead of as much as these.
 */
export function nextCapacity(capacity: number): number {
  return capacity < largeRows ? capacity * 4 : capacity * 2;
}

/**
 * `column` with room for `capacity` rows; new rows are zero. What it was is given back at once and is empty from then on, so
 * nobody may go on with it: waiting for the garbage collector, the columns of a full table would be there twice, and it
 * marks the whole heap each time that 64 MB of such have come together.
 */
export function grown<T extends Column>(column: T, capacity: number): T {
  const next = new (column.constructor as new (length: number) => T)(capacity);
  next.set(column as never);
  (column.buffer as ArrayBuffer).transfer(0);
  return next;
}
