/**
 * Pages of lists. A token holds the place where the next page starts, how many entries came before it, and a hash of
 * the question, so that it is refused when used with another one.
 */
import { createHash } from "node:crypto";
import { clone, type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import { limits } from "../base/limits.ts";
import type { RequestCheck } from "./request.ts";

export interface Page {
  /** Entries wanted. */
  readonly size: number;
  /** Where to go on; empty at the start. */
  readonly position: string;
  /** Entries on the pages before. */
  readonly before: number;
  /** Token for a page that starts at `position` after `before` entries. */
  token(position: string, before: number): string;
}

interface PagedRequest {
  readonly pageSize: number;
  readonly pageToken: string;
}

const hashBytes = 8;

/** Reads `page_size` and `page_token` of a list request. */
export function readPage<Desc extends DescMessage>(
  check: RequestCheck,
  desc: Desc,
  request: MessageShape<Desc> & PagedRequest,
): Page {
  const { pageSize, pageToken } = request;
  if (pageSize > limits.pageSizeMax) {
    const message = `is ${pageSize}, at most ${limits.pageSizeMax} are possible`;
    check.add({ code: "INVALID", path: "page_size", message, value: String(pageSize) });
  }
  const hash = hashOfQuery(desc, request);
  const start = pageToken === "" ? { position: "", before: 0 } : parseToken(pageToken, hash);
  if (typeof start === "string") check.add({ code: "INVALID", path: "page_token", message: start });
  return {
    size: pageSize === 0 ? limits.pageSizeDefault : pageSize,
    position: typeof start === "string" ? "" : start.position,
    before: typeof start === "string" ? 0 : start.before,
    token: (position, before) =>
      Buffer.concat([hash, Buffer.from(`${before}:${position}`)]).toString("base64url"),
  };
}

function parseToken(token: string, hash: Buffer): { position: string; before: number } | string {
  const bytes = Buffer.from(token, "base64url");
  const malformed = "is not a token of this list";
  if (bytes.length <= hashBytes || bytes.toString("base64url") !== token) return malformed;
  if (!bytes.subarray(0, hashBytes).equals(hash)) return "belongs to another query";
  const match = /^([0-9]{1,15}):(.*)$/s.exec(bytes.subarray(hashBytes).toString());
  return match ? { before: Number(match[1]), position: match[2] } : malformed;
}

function hashOfQuery<Desc extends DescMessage>(desc: Desc, request: MessageShape<Desc>): Buffer {
  const query = clone(desc, request);
  const fields = reflect(desc, query);
  for (const field of desc.fields)
    if (field.name === "page_size" || field.name === "page_token") fields.clear(field);
  return createHash("sha256")
    .update(desc.typeName)
    .update(toBinary(desc, query))
    .digest()
    .subarray(0, hashBytes);
}
