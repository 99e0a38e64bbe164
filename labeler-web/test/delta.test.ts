import fc from "fast-check";
import { expect, test } from "vitest";
import { decodeDelta, encodeDelta } from "../src/server/delta";

const changes = fc
  .uniqueArray(fc.tuple(fc.nat(1e6), fc.nat(13), fc.nat(13)), { selector: ([index]) => index, maxLength: 50 })
  .map((list) => [...list].sort((a, b) => a[0] - b[0]));

test("a change survives the way through its bytes", () => {
  fc.assert(
    fc.property(changes, fc.string(), (list, name) => {
      const delta = {
        header: { name, kind: "brush" },
        indices: Uint32Array.from(list, ([index]) => index),
        before: Uint8Array.from(list, ([, before]) => before),
        after: Uint8Array.from(list, ([, , after]) => after),
      };
      const back = decodeDelta<{ name: string; count: number }>(encodeDelta(delta).buffer);
      expect(back.header).toEqual({ name, kind: "brush", count: list.length });
      expect([...back.indices]).toEqual([...delta.indices]);
      expect([...back.before]).toEqual([...delta.before]);
      expect([...back.after]).toEqual([...delta.after]);
    }),
  );
});

test("what is no change, or is cut off, is refused", () => {
  const delta = { header: {}, indices: new Uint32Array([3]), before: new Uint8Array([0]), after: new Uint8Array([1]) };
  const bytes = encodeDelta(delta);
  expect(() => decodeDelta(bytes.buffer.slice(0, bytes.length - 1))).toThrow("cut off");
  expect(() => decodeDelta(new ArrayBuffer(4))).toThrow("no mask change");
});
