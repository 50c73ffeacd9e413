import assert from "node:assert/strict";
import { suite, test } from "node:test";
import fc from "fast-check";
import { AttributeBlock } from "../wire/scratch.ts";
import { AttributeStore } from "./attribute-store.ts";
import { RibFixture, sequence } from "./rib-fixture.ts";

/** Blocks of one opaque attribute each: few enough to meet again, of sizes around the arena's steps. */
const blocks = Array.from({ length: 40 }, (_, i) => {
  const size = [0, 1, 4, 5, 6, 12, 13, 255, 256, 3000][i % 10];
  const extended = size > 255;
  const head = extended ? [0xd0, 100 + i, size >> 8, size & 255] : [0xc0, 100 + i, size];
  return Uint8Array.from([...head, ...new Array(size).fill(i)]);
});

suite("AttributeStore", () => {
  test("against a map of texts: ids, references, bytes and epochs over random holds and releases", () => {
    const step = fc.record({
      what: fc.constantFrom("intern", "retain", "release", "release"),
      block: fc.nat(blocks.length - 1),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300, size: "max" }), (steps) => {
        const store = new AttributeStore();
        const held = new Map<number, { id: number; references: number; epoch: number }>();
        const out = new AttributeBlock();
        for (const { what, block } of steps) {
          const bytes = blocks[block];
          const known = held.get(block);
          if (what === "intern") {
            const id = store.intern(bytes, 0, bytes.length);
            assert(id > 0);
            if (known) {
              assert.equal(id, known.id);
              known.references++;
            } else held.set(block, { id, references: 1, epoch: store.epoch[id] });
          } else if (known && what === "retain") {
            store.retain(known.id);
            known.references++;
          } else if (known) {
            store.release(known.id);
            if (--known.references === 0) {
              held.delete(block);
              assert.notEqual(store.epoch[known.id], known.epoch, "a freed id names nothing any more");
            }
          }
          assert.equal(store.count, held.size);
          assert.equal(new Set([...held.values()].map(({ id }) => id)).size, held.size, "ids are unique");
        }
        for (const [block, { id, references, epoch }] of held) {
          store.block(id, out);
          assert.deepEqual(out.bytes.slice(out.start, out.end), blocks[block]);
          assert.equal(store.references(id), references);
          assert.equal(store.epoch[id], epoch, "an id keeps its epoch while it is held");
          for (let i = 0; i < references; i++) store.release(id);
        }
        assert.equal(store.count, 0);
      }),
    );
  });

  test("grows and shrinks over many sets without losing one, and freed space is used again", () => {
    const store = new AttributeStore();
    const bytes = Uint8Array.from([0xc0, 99, 4, 0, 0, 0, 0]);
    const intern = (i: number): number => {
      new DataView(bytes.buffer).setUint32(3, i);
      return store.intern(bytes, 0, bytes.length);
    };
    const ids = Array.from({ length: 20_000 }, (_, i) => intern(i));
    assert.equal(new Set(ids).size, ids.length);
    const memory = store.memoryBytes();
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < ids.length; i += 2) store.release(ids[i]);
      assert.equal(store.count, ids.length / 2);
      for (let i = 1; i < ids.length; i += 2) {
        assert.equal(intern(i), ids[i]);
        store.release(ids[i]);
      }
      for (let i = 0; i < ids.length; i += 2) ids[i] = intern(i);
      assert.equal(store.memoryBytes(), memory);
    }
    for (const id of ids) store.release(id);
    assert.equal(store.count, 0);
  });

  test("columns say what the attributes say", () => {
    const { attributes, intern } = bound(new RibFixture());
    const id = intern({ asPath: sequence(100, 200, 300), med: 7, localPref: 50, origin: 2, originatorId: 9 });
    const { pathLength, neighborAs, originAs, med, localPref, origin, originatorId } = attributes;
    assert.deepEqual(
      [pathLength, neighborAs, originAs, med, localPref, origin, originatorId].map((column) => column[id]),
      [3, 100, 300, 7, 50, 2, 9],
    );
    assert.throws(() => attributes.retain(id + 1), /freed/);
  });
});

function bound(rib: RibFixture): { attributes: AttributeStore; intern: RibFixture["intern"] } {
  return { attributes: rib.attributes, intern: (attributes) => rib.intern(attributes) };
}
