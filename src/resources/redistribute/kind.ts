/** Redistribute: routes of the kernel in BGP. It asks for no artifacts: the routes are state/redistribute. */
import type { Message } from "@bufbuild/protobuf";
import type { Problem } from "../../base/problem.ts";
import { kernelProtocol, ownBgpProtocol, ownProtocol } from "../../dataplane/kernel-model.ts";
import { mainTable } from "../../dataplane/netlink/route-wire.ts";
import type { RouteScope } from "../../dataplane/redistribute/messages.ts";
import { type RedistributeSpec, RouteSource } from "../../gen/cairn/v1/redistribute_kinds_pb.ts";
import { type Derivation, invalid, type ResourceKind } from "../kind.ts";

const bootProtocol = 3;
const staticProtocol = 4;
const maxRoutesDefault = 10_000;
/** The table of addresses of the host itself, and the one that names no table. */
const localTable = 255;

export const redistributeKind: ResourceKind = {
  kind: "Redistribute",
  check(message: Message): Problem[] {
    const spec = message as RedistributeSpec;
    const problems: Problem[] = [];
    spec.families.forEach((family, i) => {
      if (family === "ipv4-unicast" || family === "ipv6-unicast") return;
      const fix = "use ipv4-unicast or ipv6-unicast";
      problems.push(invalid(`families[${i}]`, `the kernel has no ${family} routes`, fix));
    });
    spec.protocols.forEach((protocol, i) => {
      if (protocol !== ownProtocol && protocol !== ownBgpProtocol) return;
      problems.push(
        invalid(`protocols[${i}]`, `${protocol} marks cairn's own routes: they would come back as ours`),
      );
    });
    spec.sources.forEach((source, i) => {
      if (source === RouteSource.UNSPECIFIED) problems.push(invalid(`sources[${i}]`, "is no source"));
    });
    const table = spec.table ?? mainTable;
    if (table === mainTable && spec.sources.length + spec.protocols.length === 0)
      problems.push(
        invalid("sources", "says nothing", "name sources or protocols: of main not all can be taken"),
      );
    if (table === localTable)
      problems.push(invalid("table", "255 holds the addresses of this host, and no routes"));
    return problems;
  },
  derive: (): Derivation => ({ artifacts: [] }),
};

/** The routes that an object takes. @param id names the object between core and shell */
export function scopeOf(spec: RedistributeSpec, id: number): RouteScope {
  const protocols = new Set(spec.protocols);
  if (spec.sources.includes(RouteSource.CONNECTED)) protocols.add(kernelProtocol);
  if (spec.sources.includes(RouteSource.STATIC)) protocols.add(bootProtocol).add(staticProtocol);
  const takes = (family: string): boolean => spec.families.length === 0 || spec.families.includes(family);
  return {
    id,
    table: spec.table ?? mainTable,
    protocols: [...protocols].sort((a, b) => a - b),
    ipv4: takes("ipv4-unicast"),
    ipv6: takes("ipv6-unicast"),
    defaultRoute: spec.defaultRoute,
    max: spec.maxRoutes ?? maxRoutesDefault,
  };
}
