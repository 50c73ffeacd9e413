/** All services on one router. */
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { BfdService } from "../gen/cairn/v1/bfd_service_pb.ts";
import { BmpService } from "../gen/cairn/v1/bmp_service_pb.ts";
import { ConfigService } from "../gen/cairn/v1/config_service_pb.ts";
import { ControlService } from "../gen/cairn/v1/control_service_pb.ts";
import { EgressRoutePolicyService } from "../gen/cairn/v1/egress_service_pb.ts";
import { EventService } from "../gen/cairn/v1/event_service_pb.ts";
import { FirewallService } from "../gen/cairn/v1/firewall_service_pb.ts";
import { GlobalService } from "../gen/cairn/v1/global_service_pb.ts";
import { InjectionService } from "../gen/cairn/v1/injection_service_pb.ts";
import { InterfaceService } from "../gen/cairn/v1/interface_service_pb.ts";
import { KeychainService } from "../gen/cairn/v1/keychain_service_pb.ts";
import { MrtService } from "../gen/cairn/v1/mrt_service_pb.ts";
import { Nat44RuleService } from "../gen/cairn/v1/nat_service_pb.ts";
import { NeighborService } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupService } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { PolicyService } from "../gen/cairn/v1/policy_service_pb.ts";
import { ResourceService } from "../gen/cairn/v1/resource_service_pb.ts";
import { RibService } from "../gen/cairn/v1/rib_service_pb.ts";
import { RpkiService } from "../gen/cairn/v1/rpki_service_pb.ts";
import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../gen/google/rpc/status_pb.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { bfdService } from "./bfd.ts";
import { bmpService } from "./bmp.ts";
import { configService } from "./config.ts";
import type { ServiceContext } from "./context.ts";
import { controlService } from "./control.ts";
import { egressService } from "./egress.ts";
import { eventService } from "./event.ts";
import { firewallService } from "./firewall.ts";
import { globalService } from "./global.ts";
import { healthService } from "./health.ts";
import { injectionService } from "./injection.ts";
import { interfaceService } from "./interface.ts";
import { keychainService } from "./keychain.ts";
import { mrtService } from "./mrt.ts";
import { natService } from "./nat.ts";
import { neighborService } from "./neighbor.ts";
import { peerGroupService } from "./peer-group.ts";
import { policyService } from "./policy.ts";
import { reflectionService } from "./reflection.ts";
import { resourceService } from "./resource.ts";
import { ribService } from "./rib.ts";
import { rpkiService } from "./rpki.ts";

/** Everything that is served, by name of package and service. */
export const servedServices: readonly DescService[] = [
  BfdService,
  BmpService,
  ConfigService,
  ControlService,
  EgressRoutePolicyService,
  EventService,
  FirewallService,
  GlobalService,
  InjectionService,
  InterfaceService,
  KeychainService,
  MrtService,
  Nat44RuleService,
  NeighborService,
  PeerGroupService,
  PolicyService,
  ResourceService,
  RibService,
  RpkiService,
  Health,
  ServerReflection,
];

/** Registers all services; works with real listeners and with a transport in the same process. */
export function serviceRoutes(services: ServiceContext): (router: ConnectRouter) => void {
  const files = [file_google_rpc_error_details, file_google_rpc_status];
  return (router) =>
    void router
      .service(BfdService, bfdService(services))
      .service(BmpService, bmpService(services))
      .service(ConfigService, configService(services))
      .service(ControlService, controlService(services))
      .service(EgressRoutePolicyService, egressService(services))
      .service(EventService, eventService(services))
      .service(FirewallService, firewallService(services))
      .service(GlobalService, globalService(services))
      .service(InjectionService, injectionService(services))
      .service(InterfaceService, interfaceService(services))
      .service(KeychainService, keychainService(services))
      .service(MrtService, mrtService(services))
      .service(Nat44RuleService, natService(services))
      .service(NeighborService, neighborService(services))
      .service(PeerGroupService, peerGroupService(services))
      .service(PolicyService, policyService(services))
      .service(ResourceService, resourceService(services))
      .service(RibService, ribService(services))
      .service(RpkiService, rpkiService(services))
      .service(Health, healthService(services, servedServices))
      .service(ServerReflection, reflectionService(servedServices, files));
}
