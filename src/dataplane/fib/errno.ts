/** Names of the errnos with which Linux refuses routes. */
const names: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  3: "ESRCH",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  22: "EINVAL",
  28: "ENOSPC",
  34: "ERANGE",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  99: "EADDRNOTAVAIL",
  100: "ENETDOWN",
  101: "ENETUNREACH",
  105: "ENOBUFS",
  113: "EHOSTUNREACH",
};

/** What an operator can make of one. */
const meanings: Readonly<Record<number, string>> = {
  1: "cairnd needs the capability CAP_NET_ADMIN",
  12: "the kernel has no memory for it",
  13: "cairnd needs the capability CAP_NET_ADMIN",
  19: "a link is gone",
  28: "the kernel's table is full",
  100: "a link is down",
  101: "a gateway is not on the link that leads to it",
  105: "the kernel has no buffers for it",
  113: "a gateway cannot be reached by the kernel",
};

/** A clause for people; empty where there is nothing to say beside the name. */
export function errnoMeaning(errno: number): string {
  return meanings[errno] ?? "";
}

/** @param errno positive */
export function errnoText(errno: number): string {
  return names[errno] ?? `errno ${errno}`;
}
