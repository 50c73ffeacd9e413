/** Who asks for what. Two objects may ask for the same artifact: the one whose name comes first has it, always. */
import { type Artifact, type ArtifactName, artifactText, sameFacts } from "./artifact.ts";

export interface Claim {
  /** KIND/NAME */
  readonly owner: string;
  readonly artifact: Artifact;
}

export class Claims {
  private readonly byOwner = new Map<string, readonly Artifact[]>();
  /** Claims of each artifact, the winner first. */
  private readonly byText = new Map<string, Claim[]>();
  /** Owners that the ledger names, and of whom nothing was heard since the start. */
  private readonly silent = new Set<string>();
  private readonly unknowns = new Set<string>();

  /** @returns artifacts that are asked for anew, otherwise than before, or no longer */
  set(owner: string, artifacts: readonly Artifact[]): ArtifactName[] {
    this.silent.delete(owner);
    this.unknowns.delete(owner);
    const before = new Map((this.byOwner.get(owner) ?? []).map((each) => [artifactText(each), each]));
    const changed: ArtifactName[] = [];
    for (const artifact of artifacts) {
      const text = artifactText(artifact);
      const old = before.get(text);
      before.delete(text);
      if (old && sameRequest(old, artifact)) continue;
      if (old) this.remove(owner, text);
      this.add({ owner, artifact });
      changed.push(artifact);
    }
    for (const [text, artifact] of before) {
      this.remove(owner, text);
      changed.push(artifact);
    }
    if (artifacts.length > 0) this.byOwner.set(owner, artifacts);
    else this.byOwner.delete(owner);
    return changed;
  }

  /** The ledger names this owner. */
  remember(owner: string): void {
    this.silent.add(owner);
  }

  /** It cannot be known at the moment what this object asks for. */
  unknown(owner: string): void {
    this.silent.delete(owner);
    this.unknowns.add(owner);
  }

  isUnknown(owner: string): boolean {
    return this.unknowns.has(owner) || this.silent.has(owner);
  }

  /**
   * Ends the start: owners of whom nothing was heard do not exist.
   * @returns these
   */
  settle(): string[] {
    const silent = [...this.silent];
    this.silent.clear();
    return silent;
  }

  asked(text: string): boolean {
    return this.byText.has(text);
  }

  winner(text: string): Claim | undefined {
    return this.byText.get(text)?.[0];
  }

  /** Who would have it if these owners asked for something else. */
  winnerAmong(text: string, instead: ReadonlyMap<string, readonly Artifact[]>): Claim | undefined {
    const claims = (this.byText.get(text) ?? []).filter(({ owner }) => !instead.has(owner));
    for (const [owner, artifacts] of instead) {
      const artifact = artifacts.find((each) => artifactText(each) === text);
      if (artifact) claims.push({ owner, artifact });
    }
    return claims.sort((a, b) => (a.owner < b.owner ? -1 : 1))[0];
  }

  /** All of a class that would be asked for if these owners asked for something else. */
  ofClassAmong(name: string, instead: ReadonlyMap<string, readonly Artifact[]>): Artifact[] {
    const found = new Map<string, Claim>();
    for (const [text, claims] of this.byText) {
      const claim = claims[0].artifact.class === name && claims.find(({ owner }) => !instead.has(owner));
      if (claim) found.set(text, claim);
    }
    for (const [owner, artifacts] of instead) {
      for (const artifact of artifacts) {
        if (artifact.class !== name) continue;
        const text = artifactText(artifact);
        const other = found.get(text);
        if (!other || owner < other.owner) found.set(text, { owner, artifact });
      }
    }
    return [...found.values()].map(({ artifact }) => artifact);
  }

  of(owner: string): readonly Artifact[] {
    return this.byOwner.get(owner) ?? [];
  }

  *ofClass(name: string): Iterable<Artifact> {
    for (const [claim] of this.byText.values()) if (claim.artifact.class === name) yield claim.artifact;
  }

  private add(claim: Claim): void {
    const text = artifactText(claim.artifact);
    const claims = this.byText.get(text);
    if (!claims) {
      this.byText.set(text, [claim]);
      return;
    }
    claims.push(claim);
    claims.sort((a, b) => (a.owner < b.owner ? -1 : 1));
  }

  private remove(owner: string, text: string): void {
    const left = (this.byText.get(text) ?? []).filter((claim) => claim.owner !== owner);
    if (left.length > 0) this.byText.set(text, left);
    else this.byText.delete(text);
  }
}

function sameRequest(a: Artifact, b: Artifact): boolean {
  return (
    a.adopt === b.adopt && a.repair === b.repair && a.optional === b.optional && sameFacts(a.facts, b.facts)
  );
}
