import fc from "fast-check";
import { expect, test } from "vitest";
import { PLANES } from "../src/model/grid";
import { straight, voxels } from "./grids";

test("flat index and voxel are inverses", () => {
  fc.assert(
    fc.property(voxels, ({ grid, at }) => {
      expect(grid.point(grid.flat(at))).toEqual(at);
      expect(grid.inside(at)).toBe(true);
      expect(grid.flat(at)).toBeLessThan(grid.size);
    }),
  );
});

test("pixel of a plane and voxel are inverses, in every plane", () => {
  fc.assert(
    fc.property(voxels, fc.constantFrom(...PLANES), ({ grid, at }, plane) => {
      const [column, row, slice] = grid.toPixel(plane, at);
      const [width, height, count] = grid.extent(plane);
      expect(grid.fromPixel(plane, column, row, slice)).toEqual(at);
      expect(grid.sliceOf(plane, at)).toBe(slice);
      expect(column >= 0 && column < width && row >= 0 && row < height && slice >= 0 && slice < count).toBe(true);
    }),
  );
});

test("millimetres and voxels are inverses", () => {
  fc.assert(
    fc.property(voxels, ({ grid, at }) => {
      for (const [axis, value] of grid.fromMm(grid.toMm(at)).entries()) expect(value).toBeCloseTo(at[axis], 6);
    }),
  );
});

test("neighbours lie one spacing apart", () => {
  fc.assert(
    fc.property(voxels, fc.constantFrom(0, 1, 2), ({ grid, at }, axis) => {
      const next: [number, number, number] = [...at];
      next[axis] += 1;
      const [a, b] = [grid.toMm(at), grid.toMm(next)];
      expect(Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2])).toBeCloseTo(grid.spacing[axis], 6);
    }),
  );
});

test("a cut holds the voxels of its slice where toPixel puts them", () => {
  fc.assert(
    fc.property(voxels, fc.constantFrom(...PLANES), ({ grid, at }, plane) => {
      const labels = Uint8Array.from({ length: grid.size }, (_, k) => (k * 7) % 251);
      const [column, row, slice] = grid.toPixel(plane, at);
      const [width] = grid.extent(plane);
      expect(grid.cut(labels, plane, slice)[row * width + column]).toBe(labels[grid.flat(at)]);
      const hu = Int16Array.from(labels, (value) => -value);
      expect(grid.cut(hu, plane, slice)[row * width + column]).toBe(hu[grid.flat(at)]);
    }),
  );
});

test("clamping brings every point inside and leaves voxels where they are", () => {
  const wild = fc.double({ min: -50, max: 50, noNaN: true });
  fc.assert(
    fc.property(voxels, wild, wild, wild, ({ grid, at }, z, y, x) => {
      expect(grid.clamp(at)).toEqual(at);
      expect(grid.inside(grid.clamp([z, y, x]))).toBe(true);
    }),
  );
});

test("the head is up and the patient's left on the right", () => {
  const grid = straight([4, 5, 6]);
  expect(grid.toPixel("coronal", [3, 0, 0])).toEqual([0, 0, 0]);
  expect(grid.toPixel("sagittal", [0, 2, 1])).toEqual([2, 3, 1]);
  expect(grid.toPixel("axial", [1, 2, 3])).toEqual([3, 2, 1]);
});
