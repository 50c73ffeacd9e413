/** completions SHELL, and the hidden __complete that the scripts call for values only the daemon knows. */
import { completionScript } from "../completion-script.ts";
import { usageError } from "../exit.ts";
import { listAll } from "../paging.ts";
import type { Command, ValueSource } from "../tree.ts";

const shells = ["bash", "zsh", "fish"] as const;

export const completionsCommand: Command = {
  name: "completions",
  summary: "Completion script for a shell",
  args: [{ name: "SHELL", help: shells.join(", "), from: shells }],
  examples: [
    ["source <(cairnctl completions bash)", "in ~/.bashrc"],
    ["cairnctl completions zsh > ~/.zfunc/_cairnctl", "with ~/.zfunc in fpath"],
    ["cairnctl completions fish > ~/.config/fish/completions/cairnctl.fish", ""],
  ],
  run: async (context, invocation) => {
    const shell = shells.find((known) => known === invocation.arg("SHELL"));
    if (!shell)
      throw usageError(`no completions for "${invocation.arg("SHELL")}"`, `one of: ${shells.join(", ")}`);
    const { rootCommand } = await import("../root.ts");
    context.out.write(await completionScript(rootCommand, shell));
  },
};

export const completeCommand: Command = {
  name: "__complete",
  summary: "Values for the completion scripts",
  hidden: true,
  args: [{ name: "SOURCE", help: "neighbor, group, policy, family or a kind of set" }],
  run: async (context, invocation) => {
    const client = await context.client();
    for (const value of await valuesOf(invocation.arg("SOURCE") as ValueSource & string))
      context.out.line(value);

    async function valuesOf(source: string): Promise<string[]> {
      if (source === "family") {
        const { RibService } = await import("../../gen/cairn/v1/rib_service_pb.ts");
        const { families } = await client.call(RibService.method.getRibSummary, {});
        return families.map(({ family }) => family);
      }
      if (source === "neighbor") {
        const { NeighborService } = await import("../../gen/cairn/v1/neighbor_service_pb.ts");
        const { neighbors } = await listAll(client, NeighborService.method.listNeighbors, {});
        return neighbors.map(({ spec }) => spec?.address ?? "");
      }
      if (source === "group") {
        const { PeerGroupService } = await import("../../gen/cairn/v1/peer_group_service_pb.ts");
        const { peerGroups } = await listAll(client, PeerGroupService.method.listPeerGroups, {});
        return peerGroups.map(({ spec }) => spec?.name ?? "");
      }
      if (source === "dynamic-range") {
        const { NeighborService } = await import("../../gen/cairn/v1/neighbor_service_pb.ts");
        return names((await listAll(client, NeighborService.method.listDynamicRanges, {})).dynamicRanges);
      }
      if (source === "rpki-cache") {
        const { RpkiService } = await import("../../gen/cairn/v1/rpki_service_pb.ts");
        return names((await listAll(client, RpkiService.method.listRpkiCaches, {})).caches);
      }
      if (source === "bmp-collector") {
        const { BmpService } = await import("../../gen/cairn/v1/bmp_service_pb.ts");
        return names((await listAll(client, BmpService.method.listBmpCollectors, {})).collectors);
      }
      if (source === "egress-policy") {
        const { EgressRoutePolicyService } = await import("../../gen/cairn/v1/egress_service_pb.ts");
        const { method } = EgressRoutePolicyService;
        return names((await listAll(client, method.listEgressRoutePolicies, {})).policies);
      }
      if (source === "keychain") {
        const { KeychainService } = await import("../../gen/cairn/v1/keychain_service_pb.ts");
        return names((await listAll(client, KeychainService.method.listKeychains, {})).keychains);
      }
      if (source === "kind" || source === "object") {
        const { ResourceService } = await import("../../gen/cairn/v1/resource_service_pb.ts");
        const { kinds } = await client.call(ResourceService.method.listKinds, {});
        if (source === "kind") return kinds.map(({ kind }) => kind);
        const lists = kinds
          .filter(({ objects }) => objects > 0)
          .map(({ kind }) => listAll(client, ResourceService.method.listResources, { kind }));
        return (await Promise.all(lists)).flatMap(({ resources }) =>
          resources.map(({ metadata }) => `${metadata?.kind}/${metadata?.name}`),
        );
      }
      if (source === "mrt-dump") {
        const { MrtService } = await import("../../gen/cairn/v1/mrt_service_pb.ts");
        return names((await listAll(client, MrtService.method.listMrtDumps, {})).mrtDumps);
      }
      const { PolicyService } = await import("../../gen/cairn/v1/policy_service_pb.ts");
      const { method } = PolicyService;
      switch (source) {
        case "policy": {
          const { policies } = await listAll(client, method.listPolicies, {});
          return ["accept-all", "reject-all", ...policies.map(({ spec }) => spec?.name ?? "")];
        }
        case "prefix-set":
          return names((await listAll(client, method.listPrefixSets, {})).prefixSets);
        case "aspath-set":
          return names((await listAll(client, method.listAsPathSets, {})).asPathSets);
        case "community-set":
          return names((await listAll(client, method.listCommunitySets, {})).communitySets);
        case "neighbor-set":
          return names((await listAll(client, method.listNeighborSets, {})).neighborSets);
        case "asn-set":
          return names((await listAll(client, method.listAsnSets, {})).asnSets);
        case "nexthop-set":
          return names((await listAll(client, method.listNextHopSets, {})).nextHopSets);
        default:
          return [];
      }
    }
  },
};

function names(sets: readonly { readonly spec?: { readonly name: string } }[]): string[] {
  return sets.map(({ spec }) => spec?.name ?? "");
}
