/**
 * Address families as records (RFC 4760). A family is one row here plus its NLRI codec; everything else finds it by
 * index, by code or by name.
 */
export interface Family {
  /** Position in `families`; also the bit in family masks and the number of its table. */
  readonly index: number;
  readonly afi: number;
  readonly safi: number;
  /** Name in configuration and API. */
  readonly name: string;
  /** Bytes of a full address. */
  readonly addressBytes: 4 | 16;
  /** What its NLRI is: prefixes (RFC 4271 4.3), or rules that say which packets are meant (RFC 8955, 8956). */
  readonly nlri: "prefix" | "flow";
}

export const ipv4Unicast: Family = {
  ...{ index: 0, afi: 1, safi: 1, name: "ipv4-unicast", addressBytes: 4, nlri: "prefix" },
};
export const ipv6Unicast: Family = {
  ...{ index: 1, afi: 2, safi: 1, name: "ipv6-unicast", addressBytes: 16, nlri: "prefix" },
};
export const ipv4Flowspec: Family = {
  ...{ index: 2, afi: 1, safi: 133, name: "ipv4-flowspec", addressBytes: 4, nlri: "flow" },
};
export const ipv6Flowspec: Family = {
  ...{ index: 3, afi: 2, safi: 133, name: "ipv6-flowspec", addressBytes: 16, nlri: "flow" },
};

/** All families that cairn can negotiate, by index. */
export const families: readonly Family[] = [ipv4Unicast, ipv6Unicast, ipv4Flowspec, ipv6Flowspec];

export function familyByName(name: string): Family | undefined {
  return families.find((family) => family.name === name);
}

export function familyByCode(afi: number, safi: number): Family | undefined {
  return byCode.get(afi * 256 + safi);
}

const byCode: ReadonlyMap<number, Family> = new Map(
  families.map((family) => [family.afi * 256 + family.safi, family]),
);

/** Families whose NLRI are prefixes. */
export const prefixFamilies: readonly Family[] = [ipv4Unicast, ipv6Unicast];

/** The family of unicast prefixes with this address size. */
export function unicastFamily(addressBytes: number): Family {
  return addressBytes === 4 ? ipv4Unicast : ipv6Unicast;
}

/** The family of rules about packets with this address size. */
export function flowFamily(addressBytes: number): Family {
  return addressBytes === 4 ? ipv4Flowspec : ipv6Flowspec;
}
