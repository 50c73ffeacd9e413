/** KeychainService: keys for TCP-AO. Secrets go in and never come out. */
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type KeychainService,
  type KeychainSpec,
  ListKeychainsRequestSchema,
} from "../gen/cairn/v1/keychain_service_pb.ts";
import type { ServiceContext } from "./context.ts";
import { kindHandlers } from "./objects.ts";

export function keychainService(services: ServiceContext): ServiceImpl<typeof KeychainService> {
  const keychains = kindHandlers<KeychainSpec, typeof ListKeychainsRequestSchema>(
    services,
    "Keychain",
    ListKeychainsRequestSchema,
  );
  return {
    async listKeychains(request) {
      const { items, page } = await keychains.list(request);
      return { keychains: items, ...page };
    },
    getKeychain: (request) => ({ keychain: keychains.get(request.name) }),
    setKeychain: keychains.set,
    deleteKeychain: keychains.delete,
  };
}
