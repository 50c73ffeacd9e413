/** FirewallService: the firewall as a whole. */
import type { ServiceImpl } from "@connectrpc/connect";
import type { FirewallService } from "../gen/cairn/v1/firewall_service_pb.ts";
import type { ServiceContext } from "./context.ts";

export function firewallService({ owner }: ServiceContext): ServiceImpl<typeof FirewallService> {
  return { getFirewall: () => owner.view.firewall() };
}
