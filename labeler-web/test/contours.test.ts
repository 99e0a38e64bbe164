import fc from "fast-check";
import { expect, test } from "vitest";
import type { Outline } from "../src/model/contours";
import { boundsOf, outlinesOf } from "../src/model/contours";

const WIDTH = 7;
const HEIGHT = 6;
const slices = fc.uint8Array({ minLength: WIDTH * HEIGHT, maxLength: WIDTH * HEIGHT, max: 3 });

/** Area that an outline encloses: positive with the pixels on its right-hand side. */
function area(outline: Outline): number {
  let twice = 0;
  for (let k = 0; k < outline.length; k += 2) {
    const [x, y] = [outline[k], outline[k + 1]];
    const next = (k + 2) % outline.length;
    twice += x * outline[next + 1] - outline[next] * y;
  }
  return twice / 2;
}

test("the outlines of a label enclose as many pixels as have it", () => {
  fc.assert(
    fc.property(slices, (labels) => {
      const found = outlinesOf(labels, WIDTH, HEIGHT);
      for (const label of [1, 2, 3]) {
        const pixels = labels.filter((value) => value === label).length;
        const enclosed = (found.get(label) ?? []).reduce((sum, outline) => sum + area(outline), 0);
        expect(enclosed).toBe(pixels);
      }
      expect(found.has(0)).toBe(false);
    }),
  );
});

test("every edge of an outline parts a pixel of the label from one that is none", () => {
  fc.assert(
    fc.property(slices, (labels) => {
      const at = (x: number, y: number): number =>
        x < 0 || y < 0 || x >= WIDTH || y >= HEIGHT ? 0 : labels[y * WIDTH + x];
      for (const [label, outlines] of outlinesOf(labels, WIDTH, HEIGHT)) {
        for (const outline of outlines) {
          for (let k = 0; k < outline.length; k += 2) {
            const next = (k + 2) % outline.length;
            const [dx, dy] = [Math.sign(outline[next] - outline[k]), Math.sign(outline[next + 1] - outline[k + 1])];
            expect(Math.abs(dx) + Math.abs(dy)).toBe(1);
            // Middle of the first pixel edge of the run, and half a pixel to its right and left.
            const [mx, my] = [outline[k] + dx / 2, outline[k + 1] + dy / 2];
            expect(at(Math.floor(mx - dy / 2), Math.floor(my + dx / 2))).toBe(label);
            expect(at(Math.floor(mx + dy / 2), Math.floor(my - dx / 2))).not.toBe(label);
          }
        }
      }
    }),
  );
});

test("bounds hold every corner", () => {
  fc.assert(
    fc.property(slices, (labels) => {
      for (const outlines of outlinesOf(labels, WIDTH, HEIGHT).values()) {
        for (const outline of outlines) {
          const { columns, rows } = boundsOf(outline);
          expect(columns).toEqual([
            Math.min(...outline.filter((_, k) => k % 2 === 0)),
            Math.max(...outline.filter((_, k) => k % 2 === 0)),
          ]);
          expect(rows[0] >= 0 && rows[1] <= HEIGHT && rows[0] < rows[1]).toBe(true);
        }
      }
    }),
  );
});

test("a single pixel has the outline of its four corners", () => {
  const labels = new Uint8Array(4);
  labels[0] = 5;
  expect(outlinesOf(labels, 2, 2).get(5)).toEqual([[0, 0, 1, 0, 1, 1, 0, 1]]);
});
