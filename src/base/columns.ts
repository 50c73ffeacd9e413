/** Columns are typed arrays of equal capacity whose rows are named by 32-bit ids. Growth is by doubling, in one place. */
export type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** A copy of `column` with room for `capacity` rows; new rows are zero. */
export function grown<T extends Column>(column: T, capacity: number): T {
  const next = new (column.constructor as new (length: number) => T)(capacity);
  next.set(column as never);
  return next;
}
