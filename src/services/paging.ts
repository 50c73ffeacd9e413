/**
 * Pages of lists. A token holds the place where the next page starts, how many entries came before it, and a keyed
 * hash of both and of the question: it is refused with another question, when it was made up, and after a restart,
 * when places mean something else.
 */
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
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

const sealBytes = 12;
const sealKey = randomBytes(32);

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
  const query = bytesOfQuery(desc, request);
  const start = pageToken === "" ? { position: "", before: 0 } : parseToken(pageToken, query);
  if (!start) {
    const message = "is not a token of this list, or of another query, or from before a restart";
    check.add({ code: "INVALID", path: "page_token", message, fix: "start again without a token" });
  }
  return {
    size: pageSize === 0 ? limits.pageSizeDefault : pageSize,
    position: start?.position ?? "",
    before: start?.before ?? 0,
    token(position, before) {
      const place = Buffer.from(`${before}:${position}`);
      return Buffer.concat([seal(query, place), place]).toString("base64url");
    },
  };
}

function parseToken(token: string, query: Uint8Array): { position: string; before: number } | undefined {
  const bytes = Buffer.from(token, "base64url");
  const place = bytes.subarray(sealBytes);
  if (place.length === 0 || bytes.toString("base64url") !== token) return undefined;
  if (!timingSafeEqual(bytes.subarray(0, sealBytes), seal(query, place))) return undefined;
  const text = place.toString();
  const colon = text.indexOf(":");
  return { before: Number(text.slice(0, colon)), position: text.slice(colon + 1) };
}

function seal(query: Uint8Array, place: Uint8Array): Buffer {
  return createHmac("sha256", sealKey).update(query).update(place).digest().subarray(0, sealBytes);
}

/** The question without its page, ended by its length so that it cannot run into what follows. */
function bytesOfQuery<Desc extends DescMessage>(desc: Desc, request: MessageShape<Desc>): Buffer {
  const query = clone(desc, request);
  const fields = reflect(desc, query);
  for (const field of desc.fields) {
    if (field.name === "page_size" || field.name === "page_token") fields.clear(field);
  }
  const bytes = toBinary(desc, query);
  return Buffer.concat([Buffer.from(desc.typeName), bytes, Buffer.from(`/${bytes.length}/`)]);
}
