/** All services on one router. */
import type { DescService } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { ConfigService } from "../gen/cairn/v1/config_service_pb.ts";
import { ControlService } from "../gen/cairn/v1/control_service_pb.ts";
import { EventService } from "../gen/cairn/v1/event_service_pb.ts";
import { GlobalService } from "../gen/cairn/v1/global_service_pb.ts";
import { InjectionService } from "../gen/cairn/v1/injection_service_pb.ts";
import { KeychainService } from "../gen/cairn/v1/keychain_service_pb.ts";
import { NeighborService } from "../gen/cairn/v1/neighbor_service_pb.ts";
import { PeerGroupService } from "../gen/cairn/v1/peer_group_service_pb.ts";
import { PolicyService } from "../gen/cairn/v1/policy_service_pb.ts";
import { RibService } from "../gen/cairn/v1/rib_service_pb.ts";
import { file_google_rpc_error_details } from "../gen/google/rpc/error_details_pb.ts";
import { file_google_rpc_status } from "../gen/google/rpc/status_pb.ts";
import { Health } from "../gen/grpc/health/v1/health_pb.ts";
import { ServerReflection } from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { configService } from "./config.ts";
import type { ServiceContext } from "./context.ts";
import { controlService } from "./control.ts";
import { eventService } from "./event.ts";
import { globalService } from "./global.ts";
import { healthService } from "./health.ts";
import { injectionService } from "./injection.ts";
import { keychainService } from "./keychain.ts";
import { neighborService } from "./neighbor.ts";
import { peerGroupService } from "./peer-group.ts";
import { policyService } from "./policy.ts";
import { reflectionService } from "./reflection.ts";
import { ribService } from "./rib.ts";

/** Everything that is served, by name of package and service. */
export const servedServices: readonly DescService[] = [
  ConfigService,
  ControlService,
  EventService,
  GlobalService,
  InjectionService,
  KeychainService,
  NeighborService,
  PeerGroupService,
  PolicyService,
  RibService,
  Health,
  ServerReflection,
];

/** Registers all services; works with real listeners and with a transport in the same process. */
export function serviceRoutes(services: ServiceContext): (router: ConnectRouter) => void {
  const files = [file_google_rpc_error_details, file_google_rpc_status];
  return (router) =>
    void router
      .service(ConfigService, configService(services))
      .service(ControlService, controlService(services))
      .service(EventService, eventService(services))
      .service(GlobalService, globalService(services))
      .service(InjectionService, injectionService(services))
      .service(KeychainService, keychainService(services))
      .service(NeighborService, neighborService(services))
      .service(PeerGroupService, peerGroupService(services))
      .service(PolicyService, policyService(services))
      .service(RibService, ribService(services))
      .service(Health, healthService(services, servedServices))
      .service(ServerReflection, reflectionService(servedServices, files));
}
