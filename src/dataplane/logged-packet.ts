/** How rules name themselves in the packets that they log. */

/** The group of NFLOG that cairn's rules log to. */
export const packetLogGroup = 67;

/** What a rule of ours says with a packet: what becomes of it, and by whom. */
export interface LogMark {
  /** accept, drop or reject. */
  readonly action: string;
  /** KIND/NAME */
  readonly owner: string;
}

/** The text of a mark; nftables takes 127 characters, and names have at most 63. */
export function logPrefix({ action, owner }: LogMark): string {
  return `${action} ${owner}`;
}

/** @returns undefined for text that is none of ours: anybody may log to the group */
export function parseLogPrefix(text: string): LogMark | undefined {
  const parts = /^(accept|drop|reject) (\w+\/[\w.-]+)$/.exec(text);
  return parts ? { action: parts[1], owner: parts[2] } : undefined;
}
