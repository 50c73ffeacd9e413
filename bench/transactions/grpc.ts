/** A gRPC client that costs little: unary calls over one HTTP/2 connection on a Unix socket, nothing else. */
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import {
  create,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";

type Unary = DescMethodUnary;

export class GrpcClient {
  private readonly session: http2.ClientHttp2Session;

  private constructor(session: http2.ClientHttp2Session) {
    this.session = session;
  }

  static async connect(socketPath: string): Promise<GrpcClient> {
    const session = http2.connect("http://cairn", { createConnection: () => net.connect(socketPath) });
    session.on("error", () => {});
    await once(session, "connect");
    return new GrpcClient(session);
  }

  /** @throws Error with the gRPC status when it is not OK */
  async call<M extends Unary>(
    method: M,
    request: MessageInitShape<M["input"]>,
  ): Promise<MessageShape<M["output"]>> {
    const message = create(method.input, request);
    const bytes = await this.raw(method, toBinary(method.input, message));
    return fromBinary(method.output, bytes) as MessageShape<M["output"]>;
  }

  /** The same with a message that is encoded already. */
  raw(method: Unary, message: Uint8Array): Promise<Uint8Array> {
    const stream = this.session.request({
      ":method": "POST",
      ":path": `/${method.parent.typeName}/${method.name}`,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    stream.end(Buffer.concat([head, message]));
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let status: string | undefined;
      let text = "";
      const note = (headers: http2.IncomingHttpHeaders): void => {
        if (headers["grpc-status"] === undefined) return;
        status = String(headers["grpc-status"]);
        text = String(headers["grpc-message"] ?? "");
      };
      stream.on("response", note);
      stream.on("trailers", note);
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", reject);
      stream.on("close", () => {
        if (status === "0") resolve(Buffer.concat(chunks).subarray(5));
        else reject(new Error(`${method.name}: gRPC status ${status}: ${text}`));
      });
    });
  }

  close(): void {
    this.session.close();
  }
}
