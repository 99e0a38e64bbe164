import fc from "fast-check";
import { expect, test } from "vitest";
import { PhaseVolume } from "../src/model/phaseVolume";
import { type Api, ServerError } from "../src/server/api";
import { straight } from "./grids";

/** What a phase volume asks of the server. */
type Slabs = Pick<Api, "slab">;

/** A server that gives every voxel its flat index, and remembers what it was asked for. */
class CountingServer implements Slabs {
  readonly asked: [number, number][] = [];

  constructor(private readonly perSlice: number) {}

  async slab(_case: string, _phase: string, z0: number, n: number): Promise<Int16Array> {
    this.asked.push([z0, n]);
    return Int16Array.from({ length: n * this.perSlice }, (_, k) => z0 * this.perSlice + k);
  }
}

test("every slice arrives once, in its place, those near the wanted one first", async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 90 }), fc.integer({ min: -5, max: 95 }), async (slices, wanted) => {
      const grid = straight([slices, 2, 3]);
      const server = new CountingServer(6);
      const volume = new PhaseVolume(server, "case", "VP", grid, () => undefined);
      volume.want(wanted);
      await volume.load(async () => undefined);
      expect(volume.complete).toBe(true);
      expect(volume.share).toBe(1);
      expect(volume.values).toEqual(Int16Array.from({ length: grid.size }, (_, k) => k));
      const covered = server.asked.flatMap(([z0, n]) => Array.from({ length: n }, (_, k) => z0 + k));
      expect([...covered].sort((a, b) => a - b)).toEqual(Array.from({ length: slices }, (_, k) => k));
      const [first, count] = server.asked[0];
      const inside = Math.min(slices - 1, Math.max(0, wanted));
      expect(first <= inside && inside < first + count).toBe(true);
    }),
  );
});

test("a slice is there when its slab has come", async () => {
  const seen: number[][] = [];
  const server = new CountingServer(6);
  const volume: PhaseVolume = new PhaseVolume(server, "case", "VP", straight([40, 2, 3]), (one) =>
    seen.push(Array.from({ length: 40 }, (_, z) => z).filter((z) => one.has(z))),
  );
  volume.want(20);
  await volume.load(async () => undefined);
  expect(seen[0].length).toBe(4);
  expect(seen[0]).toContain(20);
  for (let k = 1; k < seen.length; k++) expect(seen[k]).toEqual(expect.arrayContaining(seen[k - 1]));
});

test("a refusal of the server ends loading and says why", async () => {
  const error = { code: "BAD_VALUES", message: "No HU.", remedy: "Export it again." };
  const refusing: Slabs = { slab: () => Promise.reject(new ServerError(422, error)) };
  const volume = new PhaseVolume(refusing, "case", "VP", straight([4, 2, 3]), () => undefined);
  await volume.load(async () => undefined);
  expect(volume.complete).toBe(false);
  expect(volume.error).toEqual(error);
});

test("what is urgent comes before the bulk", async () => {
  const server = new CountingServer(6);
  let urgent = -1;
  const volume = new PhaseVolume(server, "case", "VP", straight([90, 2, 3]), () => undefined);
  await volume.load(async () => {
    if (urgent < 0) urgent = server.asked.length;
  });
  expect(urgent).toBe(2);
});

test("coronal and sagittal pictures wait for the whole volume", async () => {
  const grid = straight([30, 2, 3]);
  const volume = new PhaseVolume(new CountingServer(6), "case", "VP", grid, () => undefined);
  const [axial, coronal] = [volume.slices("axial"), volume.slices("coronal")];
  expect(axial.has(3) || coronal.has(0)).toBe(false);
  await volume.load(async () => undefined);
  expect(axial.has(3) && coronal.has(0)).toBe(true);
  expect(axial.pixels(3)).toEqual(volume.values.subarray(18, 24));
  expect([coronal.width, coronal.height, coronal.count]).toEqual([3, 30, 2]);
});
