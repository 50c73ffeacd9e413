/**
 * Announces a route through cairnd with plain @grpc/grpc-js and the .proto files: nothing of cairn's own code.
 *
 *   node examples/clients/grpc-js.ts unix:///tmp/left/grpc.sock 198.51.100.0/24 65001:7
 */
import { join } from "node:path";
import * as grpc from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";

/** What we use of InjectionService.AddPath. */
interface AddPathResponse {
  readonly generation: string;
  readonly receipt: {
    readonly prefix: string;
    readonly accepted: boolean;
    readonly selected: boolean;
    readonly changed: boolean;
  };
}

const [address, prefix, ...communities] = process.argv.slice(2);
if (!address || !prefix) {
  console.error("usage: grpc-js.ts ADDRESS PREFIX [COMMUNITY...]");
  process.exit(2);
}

const root = join(import.meta.dirname, "../..");
const definition = loadSync("cairn/v1/injection_service.proto", {
  includeDirs: [join(root, "proto")],
  keepCase: true, // field names as in the .proto files
  longs: String,
  defaults: true,
});
const api = grpc.loadPackageDefinition(definition) as unknown as {
  cairn: { v1: { InjectionService: grpc.ServiceClientConstructor } };
};
const client = new api.cairn.v1.InjectionService(address, grpc.credentials.createInsecure());

const request = {
  path: { prefix, communities, owner: "example" },
  reason: "an example",
  request_id: crypto.randomUUID(), // sent again with the same id, the change is made once
};
const deadline = Date.now() + 5_000;
client.AddPath(request, { deadline }, (error: grpc.ServiceError | null, response: AddPathResponse) => {
  client.close();
  if (error) {
    // Every violation of a bad request is in the details (google.rpc.Status in "grpc-status-details-bin").
    console.error(`${grpc.status[error.code]}: ${error.details}`);
    process.exitCode = 1;
    return;
  }
  console.log(JSON.stringify(response.receipt));
});
