/** Grids and points for tests of laws. */
import fc from "fast-check";
import { Grid } from "../src/model/grid";
import type { Point } from "../src/server/names";
import type { GridInfo } from "../src/server/types";

const side = fc.integer({ min: 1, max: 9 });
const mm = fc.double({ min: 0.3, max: 6, noNaN: true });
const angle = fc.double({ min: -0.6, max: 0.6, noNaN: true });
const offset = fc.double({ min: -300, max: 300, noNaN: true });

function info(shape: Point, spacing: Point, turn: number, origin: Point): GridInfo {
  const [c, s] = [Math.cos(turn), Math.sin(turn)];
  const [sz, sy, sx] = spacing;
  // Columns: what a step along z, y, x moves, in (x, y, z) of the patient; a gantry tilt turns y and z.
  return {
    shape,
    spacing,
    origin,
    direction: [
      [0, -s, c],
      [0, c, s],
      [1, 0, 0],
    ],
    affine: [
      [0, 0, sx, origin[0]],
      [-s * sz, c * sy, 0, origin[1]],
      [c * sz, s * sy, 0, origin[2]],
      [0, 0, 0, 1],
    ],
    stored: "LPS",
    oblique_deg: 0,
    letters: {},
  };
}

export const grids: fc.Arbitrary<Grid> = fc
  .tuple(fc.tuple(side, side, side), fc.tuple(mm, mm, mm), angle, fc.tuple(offset, offset, offset))
  .map(([shape, spacing, turn, origin]) => new Grid(info(shape, spacing, turn, origin)));

/** A grid and a voxel of it. */
export const voxels: fc.Arbitrary<{ grid: Grid; at: Point }> = grids.chain((grid) =>
  fc.tuple(...grid.shape.map((n) => fc.nat(n - 1))).map(([z, y, x]) => ({ grid, at: [z, y, x] satisfies Point })),
);

export const straight = (shape: Point, spacing: Point = [1, 1, 1]): Grid =>
  new Grid(info(shape, spacing, 0, [0, 0, 0]));
