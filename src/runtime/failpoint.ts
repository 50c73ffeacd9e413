/**
 * Where a test ends the daemon as kill -9 does, from outside: `CAIRN_FAILPOINT=kernel:7` when the kernel has carried out
 * seven changes asked for over netlink, be the others of the same batch on their way or not; `CAIRN_FAILPOINT=ledger:2` when
 * the ledger was written for the second time, before anybody hears of it.
 */
import type { StoreRow } from "../state/rows.ts";

export class Failpoint {
  private readonly step: string;
  private left: number;
  private readonly ledgerWrites = new Set<number>();

  /** @param text empty for none */
  constructor(text: string = process.env.CAIRN_FAILPOINT ?? "") {
    const [step, count] = text.split(":");
    this.step = step;
    this.left = Number(count) || 0;
  }

  /** How many of so many changes may go to the kernel; when fewer, `changed` must follow. */
  allowed(changes: number): number {
    return this.step === "kernel" ? Math.min(changes, this.left) : changes;
  }

  /** So many changes were carried out. */
  changed(count: number): void {
    if (this.step === "kernel") this.pass(count);
  }

  /** These rows were given to the store. */
  persisted(seq: number, rows: readonly StoreRow[]): void {
    if (this.step === "ledger" && rows.some(({ table }) => table === "ledger")) this.ledgerWrites.add(seq);
  }

  /** Rows up to this number are durable. */
  committed(seq: number): void {
    for (const write of this.ledgerWrites) {
      if (write > seq) return;
      this.ledgerWrites.delete(write);
      this.pass(1);
    }
  }

  private pass(count: number): void {
    this.left -= count;
    if (count > 0 && this.left <= 0) process.kill(process.pid, "SIGKILL");
  }
}
