/** Multipath settings of Global as the tables take them. */
import {
  Multipath_LinkBandwidth as LinkBandwidth,
  type Multipath,
} from "../gen/cairn/v1/global_service_pb.ts";
import { type BandwidthMode, type MultipathConfig, noMultipath } from "../rib/multipath.ts";
import type { Family } from "../wire/family.ts";

const modes: Readonly<Record<LinkBandwidth, BandwidthMode>> = {
  [LinkBandwidth.UNSPECIFIED]: "all",
  [LinkBandwidth.ALL]: "all",
  [LinkBandwidth.IGNORE]: "ignore",
  [LinkBandwidth.SKIP_MISSING]: "skip-missing",
  [LinkBandwidth.DEFAULT_WEIGHT]: "default-weight",
};

/** What is declared for a family, with defaults filled in. */
export function multipathConfig(entries: readonly Multipath[], { name }: Family): MultipathConfig {
  const entry = entries.find(({ family }) => family === name);
  if (!entry) return noMultipath;
  return {
    external: entry.ebgp ?? noMultipath.external,
    internal: entry.ibgp ?? noMultipath.internal,
    relaxAsPath: entry.relaxAsPath,
    bandwidth: modes[entry.linkBandwidth],
  };
}

/** True when the paths of a family that are used side by side, or their weights, may be others. */
export function multipathChanged(
  before: readonly Multipath[],
  after: readonly Multipath[],
  family: Family,
): boolean {
  const [a, b] = [multipathConfig(before, family), multipathConfig(after, family)];
  const isOff = ({ external, internal }: MultipathConfig): boolean => external === 1 && internal === 1;
  if (isOff(a) && isOff(b)) return false;
  return (
    a.external !== b.external ||
    a.internal !== b.internal ||
    a.relaxAsPath !== b.relaxAsPath ||
    a.bandwidth !== b.bandwidth
  );
}
