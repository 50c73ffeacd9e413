/**
 * `node bench/flowspec.ts [RULES]`: so many FlowSpec rules over a real session into a real cairnd, validated against unicast
 * routes, and listed over the API in order. Prints milliseconds, also those of CPU: the goal for 10,000 is one second.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { parseAddress } from "../src/cli/address.ts";
import { Client } from "../src/cli/client.ts";
import { RibService } from "../src/gen/cairn/v1/rib_service_pb.ts";
import { encodeBlock } from "../src/wire/block.ts";
import { ipv4Flowspec } from "../src/wire/family.ts";
import { parseFlow } from "../src/wire/flowspec/text.ts";
import { keepaliveBytes } from "../src/wire/keepalive.ts";
import { MessageWriter } from "../src/wire/message-writer.ts";
import { encodeOpen } from "../src/wire/open.ts";
import { emptyAttributes, SegmentType } from "../src/wire/path-attributes.ts";
import { UpdateEncoder } from "../src/wire/update-encode.ts";

const count = Number(process.argv[2] ?? 10_000);
const port = 17_900 + (process.pid % 1000);
const folder = mkdtempSync(path.join(tmpdir(), "cairn-flowspec-"));
const config = path.join(folder, "cairn.toml");
writeFileSync(
  config,
  `[global]
asn = 65001
router_id = "10.0.0.1"
listen = ["127.0.0.1:${port}"]
[[neighbors]]
address = "127.0.0.1"
remote_asn = 65002
passive = true
families = ["ipv4-unicast", "ipv4-flowspec"]
import = ["accept-all"]
export = ["accept-all"]
`,
);
const daemon = spawn(
  path.join(import.meta.dirname, "../bin/cairnd"),
  [config, "--state-dir", `${folder}/state`],
  {
    stdio: "ignore",
  },
);
try {
  await measure();
} finally {
  daemon.kill();
  rmSync(folder, { recursive: true, force: true });
}

async function measure(): Promise<void> {
  const socket = `${folder}/state/grpc.sock`;
  while (!existsSync(socket)) await pause(20);
  const client = new Client(parseAddress(`unix://${socket}`), { timeoutMs: 30_000, streamDeadline: false });
  const list = (pageSize: number) => client.call(RibService.method.listFlowSpecRoutes, { pageSize });
  const peer = net.connect(port, "127.0.0.1");
  peer.on("data", () => {});
  const capabilities = [
    { kind: "multiprotocol", afi: 1, safi: 1 } as const,
    { kind: "multiprotocol", afi: 1, safi: 133 } as const,
    { kind: "four-octet-as", asn: 65_002 } as const,
  ];
  peer.write(encodeOpen({ asn: 65_002, holdTimeS: 90, routerId: 0x0a000002, capabilities }));
  peer.write(keepaliveBytes);
  peer.write(unicast());
  while ((await client.call(RibService.method.listBestRoutes, {})).totalSize === 0n) await pause(20);
  const bytes = rules();

  const cpu = cpuMs();
  const started = performance.now();
  peer.write(bytes);
  while ((await list(1)).totalSize !== BigInt(count)) await pause(20);
  const received = performance.now();
  const cpuReceived = cpuMs();
  let listed = 0;
  for (let pageToken = ""; ; ) {
    const page = await client.call(RibService.method.listFlowSpecRoutes, { pageSize: 10_000, pageToken });
    listed += page.routes.length;
    pageToken = page.nextPageToken;
    if (pageToken === "") break;
  }
  const ended = performance.now();
  if (listed !== count) throw new Error(`${listed} rules were listed`);
  console.log(`${count} rules: received and validated ${ms(received - started, cpuReceived - cpu)}`);
  const cpuEnded = cpuMs();
  console.log(`${count} rules: listed ${ms(ended - received, cpuEnded - cpuReceived)}`);
  console.log(`${count} rules: together ${ms(ended - started, cpuEnded - cpu)}`);
  peer.destroy();
}

function ms(wall: number, cpu: number): string {
  return `${wall.toFixed(0)} ms (${cpu} ms of CPU)`;
}

/** CPU time of the daemon, all threads. */
function cpuMs(): number {
  const fields = readFileSync(`/proc/${daemon.pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function attributes(withNextHop: boolean): MessageWriter {
  const values = emptyAttributes();
  values.asPath = [{ type: SegmentType.sequence, asns: [65_002] }];
  if (withNextHop) values.nextHop = Uint8Array.of(192, 0, 2, 1);
  else values.extendedCommunities = ["8006000000000000"];
  const out = new MessageWriter(64);
  encodeBlock(values, out);
  return out;
}

/** Routes that bear the rules out. */
function unicast(): Uint8Array {
  const encoder = new UpdateEncoder();
  encoder.reset({ fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 });
  const block = attributes(true);
  encoder.beginUpdate4(block.bytes, 0, block.at);
  for (let i = 0; i < 200; i++) encoder.prefix4(((10 << 24) | (i << 16)) >>> 0, 16);
  encoder.finish();
  return encoder.bytes.slice();
}

function rules(): Uint8Array {
  const encoder = new UpdateEncoder();
  encoder.reset({ fourOctetAs: true, addPath: 0, maxMessageBytes: 4096 });
  const block = attributes(false);
  encoder.beginUpdateMp(ipv4Flowspec, block.bytes, 0, block.at);
  for (let n = 0; n < count; n++) {
    const i = (n * 7919) % count;
    const parsed = parseFlow(
      `dst 10.${i % 200}.${(i / 200) & 255}.${i & 255}/32 proto udp dst-port ${1 + (i % 60_000)}`,
    );
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
    encoder.flow(parsed.value.flow);
  }
  encoder.finish();
  return encoder.bytes.slice();
}
