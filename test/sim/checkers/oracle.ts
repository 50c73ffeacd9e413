export function checkOracle(_speaker: unknown): void {}
