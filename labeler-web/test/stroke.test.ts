import fc from "fast-check";
import { expect, test } from "vitest";
import { cover, Stroke } from "../src/model/stroke";
import { straight } from "./grids";

const labels = fc.uint8Array({ minLength: 20, maxLength: 20, max: 13 });
const touches = fc.array(fc.tuple(fc.nat(19), fc.nat(13)), { maxLength: 60 });

test("a finished stroke turns the mask before into the mask after, and back", () => {
  fc.assert(
    fc.property(labels, touches, (before, list) => {
      const mask = before.slice();
      const stroke = new Stroke(mask);
      for (const [index, label] of list) stroke.set(index, label);
      const change = stroke.finish();
      const [there, back] = [before.slice(), mask.slice()];
      for (const [k, index] of change.indices.entries()) {
        there[index] = change.after[k];
        back[index] = change.before[k];
      }
      expect(there).toEqual(mask);
      expect(back).toEqual(before);
    }),
  );
});

test("indices of a stroke increase and name changed voxels alone", () => {
  fc.assert(
    fc.property(labels, touches, (mask, list) => {
      const stroke = new Stroke(mask);
      for (const [index, label] of list) stroke.set(index, label);
      const { indices, before, after } = stroke.finish();
      for (const k of indices.keys()) {
        expect(before[k]).not.toBe(after[k]);
        if (k > 0) expect(indices[k]).toBeGreaterThan(indices[k - 1]);
      }
    }),
  );
});

test("a brush covers exactly the voxels whose centre lies within its radius of the path, and the one under it", () => {
  const place = fc.tuple(fc.double({ min: 0, max: 11, noNaN: true }), fc.double({ min: 0, max: 9, noNaN: true }));
  fc.assert(
    fc.property(place, place, fc.double({ min: 0.2, max: 6, noNaN: true }), fc.boolean(), (from, to, radius, ball) => {
      const grid = straight([5, 10, 12], [2, 1, 0.5]);
      const found = new Set<number>();
      cover(grid, { plane: "axial", slice: 2, from, to }, radius, ball, (index) => found.add(index));
      for (let index = 0; index < grid.size; index++) {
        const [z, y, x] = grid.point(index);
        const distance = Math.hypot(nearest(x * 0.5, y, [from[0] * 0.5, from[1]], [to[0] * 0.5, to[1]]), (z - 2) * 2);
        const under = [from, to].some(([c, r]) => z === 2 && x === Math.round(c) && y === Math.round(r));
        if (distance < radius - 1e-6 && (ball || z === 2)) expect(found.has(index)).toBe(true);
        if ((distance > radius + 1e-6 || (!ball && z !== 2)) && !under) expect(found.has(index)).toBe(false);
        if (under) expect(found.has(index)).toBe(true);
      }
    }),
    { numRuns: 40 },
  );
});

/** Distance of a point to a segment, by its foot on the line. */
function nearest(x: number, y: number, [x0, y0]: readonly number[], [x1, y1]: readonly number[]): number {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length));
  return Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
}
