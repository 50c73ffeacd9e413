/**
 * An RPKI cache for tests: it answers queries out of a set of records with a history of differences, and can be made to
 * restart, to lie and to fall silent. It knows bytes only; what carries them is the test's.
 */
import { parsePrefix, readIp4 } from "../../src/base/ip.ts";
import {
  encodeAspa,
  encodeCacheReset,
  encodeCacheResponse,
  encodeEndOfData,
  encodeErrorReport,
  encodePrefix,
  encodeSerialNotify,
  PduType,
  RtrError,
} from "../../src/rpki/pdu.ts";

/** `PREFIX MAX ASN`, or `aspa CUSTOMER PROVIDER ...`. */
export type RecordText = string;

export class FakeCache {
  maxVersion = 2;
  session = 4711;
  serial = 1;
  intervals = { refreshS: 3600, retryS: 600, expireS: 7200 };
  /** Takes queries and answers nothing. */
  mute = false;
  /** Has nothing yet. */
  empty = false;
  /** Error Reports that came: code and text. */
  readonly errors: { code: number; text: string }[] = [];
  /** Queries that came, for example `reset` or `serial 4711 3`. */
  readonly queries: string[] = [];
  private records = new Set<RecordText>();
  /** Differences by the serial that they lead to. */
  private readonly history = new Map<number, { readonly put: RecordText[]; readonly drop: RecordText[] }>();
  private version = 2;
  private inbox = new Uint8Array();

  constructor(records: readonly RecordText[] = []) {
    for (const record of records) this.records.add(record);
  }

  /** The next serial has these and not those. */
  change(put: readonly RecordText[], drop: readonly RecordText[] = []): void {
    for (const record of drop) this.records.delete(record);
    for (const record of put) this.records.add(record);
    this.serial = (this.serial + 1) >>> 0;
    this.history.set(this.serial, { put: [...put], drop: [...drop] });
  }

  /** Another process: another session, no history. */
  restart(session: number, serial: number): void {
    this.session = session;
    this.serial = serial;
    this.history.clear();
    this.inbox = new Uint8Array();
  }

  /** Another connection. */
  connected(): void {
    this.inbox = new Uint8Array();
  }

  notify(): Uint8Array {
    return encodeSerialNotify(this.version, this.session, this.serial);
  }

  /** What the cache says to these bytes. */
  receive(bytes: Uint8Array): Uint8Array[] {
    this.inbox = Buffer.concat([this.inbox, bytes]);
    const answers: Uint8Array[] = [];
    while (this.inbox.length >= 8 && this.inbox.length >= readIp4(this.inbox, 4)) {
      const length = readIp4(this.inbox, 4);
      const pdu = this.inbox.subarray(0, length);
      this.inbox = this.inbox.slice(length);
      answers.push(...this.answer(pdu));
    }
    return answers;
  }

  private answer(pdu: Uint8Array): Uint8Array[] {
    const type = pdu[1];
    if (type === PduType.errorReport) {
      const pduBytes = readIp4(pdu, 8);
      const text = new TextDecoder().decode(pdu.subarray(16 + pduBytes));
      this.errors.push({ code: (pdu[2] << 8) | pdu[3], text });
      return [];
    }
    if (pdu[0] > this.maxVersion) {
      const text = "unsupported version";
      return this.mute ? [] : [encodeErrorReport(this.maxVersion, RtrError.unsupportedVersion, pdu, text)];
    }
    this.version = pdu[0];
    const asked = type === PduType.serialQuery ? readIp4(pdu, 8) : undefined;
    this.queries.push(asked === undefined ? "reset" : `serial ${(pdu[2] << 8) | pdu[3]} ${asked}`);
    if (this.mute) return [];
    if (this.empty) return [encodeErrorReport(this.version, RtrError.noDataAvailable, pdu, "")];
    if (asked === undefined) return this.full();
    if (((pdu[2] << 8) | pdu[3]) !== this.session) return [encodeCacheReset(this.version)];
    return this.difference(asked) ?? [encodeCacheReset(this.version)];
  }

  full(): Uint8Array[] {
    return [this.begin(), ...this.pdus([...this.records], true), this.end()];
  }

  private difference(since: number): Uint8Array[] | undefined {
    const pdus: Uint8Array[] = [];
    for (let serial = since; serial !== this.serial; ) {
      serial = (serial + 1) >>> 0;
      const step = this.history.get(serial);
      if (!step) return undefined;
      pdus.push(...this.pdus(step.drop, false), ...this.pdus(step.put, true));
    }
    return [this.begin(), ...pdus, this.end()];
  }

  begin(): Uint8Array {
    return encodeCacheResponse(this.version, this.session);
  }

  end(serial = this.serial): Uint8Array {
    return encodeEndOfData(this.version, this.session, serial, this.intervals);
  }

  pdus(records: readonly RecordText[], announced: boolean): Uint8Array[] {
    return records.flatMap((record) => {
      if (!record.startsWith("aspa")) return [vrpPdu(this.version, record, announced)];
      const [, customer, ...providers] = record.split(" ");
      return this.version < 2 ? [] : [encodeAspa(Number(customer), announced ? providers.map(Number) : [])];
    });
  }
}

/** The PDU of one VRP. */
export function vrpPdu(version: number, record: RecordText, announced: boolean): Uint8Array {
  const [text, max, asn] = record.split(" ");
  const prefix = parsePrefix(text);
  if (typeof prefix === "string") throw new Error(prefix);
  return encodePrefix(version, announced, prefix.bytes, prefix.length, Number(max), Number(asn));
}
