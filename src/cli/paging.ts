/** Lists are read to their end, always. */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import type { Client } from "./client.ts";
import type { Context } from "./context.ts";
import { eachElement, jsonTranscoder } from "./json-transcode.ts";

/** Rows a page, unless the request says otherwise; the most that the API gives. */
const pageSize = 10_000;

interface Paged {
  nextPageToken: string;
}

/** All pages of a list merged into one response, as if it had been one page. */
export async function listAll<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): Promise<MessageShape<O>> {
  const items = itemsField(method.output);
  const merged = create(method.output) as MessageShape<O> & Record<string, unknown[]>;
  for await (const bytes of pages(client, method, request)) {
    const page = fromBinary(method.output, bytes) as MessageShape<O> & Record<string, unknown[]>;
    const all = merged[items.localName];
    for (const item of page[items.localName]) all.push(item);
    Object.assign(merged, { ...page, [items.localName]: all, nextPageToken: "" });
  }
  return merged;
}

/** The pages of a list, one at a time, for lists too long to hold. */
export async function* listPages<I extends DescMessage, O extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
): AsyncGenerator<MessageShape<O>> {
  for await (const bytes of pages(client, method, request)) yield fromBinary(method.output, bytes);
}

/**
 * Writes a list in json, yaml or ndjson without holding it: the next page is on its way while one is written.
 */
export async function writeList<I extends DescMessage>(
  context: Context,
  method: DescMethodUnary<I, DescMessage>,
  request: MessageInitShape<I>,
): Promise<void> {
  const { out, format } = context;
  const client = await context.client();
  const items = itemsField(method.output);
  const transcode = jsonTranscoder(items.message);
  if (format === "yaml") {
    await context.message(method.output, await listAll(client, method, request));
    return;
  }
  const lines = format === "ndjson";
  let count = 0;
  let rest: Buffer = Buffer.alloc(0);
  for await (const bytes of pages(client, method, request)) {
    rest = eachElement(bytes, items.number, (from, to) => {
      if (!lines) out.buffer.text(count === 0 ? `{"${items.jsonName}":[\n` : ",\n");
      transcode(bytes, from, to, out.buffer);
      if (lines) out.buffer.text("\n");
      count++;
    });
    await out.flowing();
  }
  if (lines) return;
  const tail = toJson(
    method.output,
    Object.assign(fromBinary(method.output, rest), { nextPageToken: "" }),
  ) as object;
  const members = JSON.stringify(tail).slice(1, -1);
  const head = count === 0 ? "{" : "\n]";
  out.write(`${head}${members === "" ? "" : `${count === 0 ? "" : ","}${members}`}}\n`);
}

/** Raw pages; asks for the next one before handing one out. */
async function* pages<I extends DescMessage>(
  client: Client,
  method: DescMethodUnary<I, DescMessage>,
  request: MessageInitShape<I>,
): AsyncGenerator<Buffer> {
  const ask = (pageToken: string) =>
    client.callRaw(method, Object.assign({ pageSize }, request, { pageToken }));
  let next: Promise<Buffer> | undefined = ask("");
  try {
    while (next) {
      const bytes: Buffer = await next;
      const token = pageTokenOf(method.output, bytes);
      next = token === "" ? undefined : ask(token);
      next?.catch(() => {}); // told when it is awaited
      yield bytes;
    }
  } finally {
    next = undefined;
  }
}

function pageTokenOf(output: DescMessage, bytes: Buffer): string {
  const items = itemsField(output);
  const rest = eachElement(bytes, items.number, () => {});
  return (fromBinary(output, rest) as MessageShape<DescMessage> & Paged).nextPageToken;
}

function itemsField(output: DescMessage) {
  const field = output.fields.find((candidate) => candidate.fieldKind === "list");
  if (field?.fieldKind !== "list" || field.listKind !== "message")
    throw new Error(`${output.typeName} is no list`);
  return field;
}
