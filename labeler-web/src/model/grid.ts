/** The case's grid: voxels `[z, y, x]`, planes through them, and where a phase of another grid lies on it. */
import type { Point } from "../server/names";
import type { GridInfo } from "../server/types";

type Row = readonly [number, number, number, number];
type Affine = readonly [Row, Row, Row];

/** A point whose coordinates are made one by one. */
export const mapped = (point: Point, make: (value: number, axis: 0 | 1 | 2) => number): Point => [
  make(point[0], 0),
  make(point[1], 1),
  make(point[2], 2),
];

/** The nearest voxel. */
export const rounded = (point: Point): Point => mapped(point, Math.round);

export type Plane = "axial" | "coronal" | "sagittal";
export const PLANES: readonly Plane[] = ["axial", "coronal", "sagittal"];

/** A plane's pixels: axis of `[z, y, x]` along the screen's right (`u`), down (`v`) and into it, and whether `v` is upside down. */
interface PlaneAxes {
  readonly u: 0 | 1 | 2;
  readonly v: 0 | 1 | 2;
  readonly through: 0 | 1 | 2;
  readonly flip: boolean;
}

// Radiological: the patient's left on the screen's right, the head up. The arrays run left, back and head-ward.
const AXES: Record<Plane, PlaneAxes> = {
  axial: { u: 2, v: 1, through: 0, flip: false },
  coronal: { u: 2, v: 0, through: 1, flip: true },
  sagittal: { u: 1, v: 0, through: 2, flip: true },
};

/** Letters at the left, right, top and bottom edge of each plane. */
export const LETTERS: Record<Plane, readonly [string, string, string, string]> = {
  axial: ["R", "L", "A", "P"],
  coronal: ["R", "L", "S", "I"],
  sagittal: ["A", "P", "S", "I"],
};

export class Grid {
  readonly shape: Point;
  readonly spacing: Point;
  readonly size: number;
  private readonly affine: Affine;
  private readonly inverse: Affine;

  constructor(info: GridInfo) {
    this.shape = info.shape;
    this.spacing = info.spacing;
    this.size = info.shape[0] * info.shape[1] * info.shape[2];
    const [a, b, c] = info.affine;
    this.affine = [a, b, c];
    this.inverse = inverted(this.affine);
  }

  /** Pixels of a slice in `plane`: width, height, number of slices. */
  extent(plane: Plane): [number, number, number] {
    const { u, v, through } = AXES[plane];
    return [this.shape[u], this.shape[v], this.shape[through]];
  }

  planeSpacing(plane: Plane): [number, number, number] {
    const { u, v, through } = AXES[plane];
    return [this.spacing[u], this.spacing[v], this.spacing[through]];
  }

  flat(point: Point): number {
    return (point[0] * this.shape[1] + point[1]) * this.shape[2] + point[2];
  }

  point(index: number): Point {
    const x = index % this.shape[2];
    const rest = (index - x) / this.shape[2];
    const y = rest % this.shape[1];
    return [(rest - y) / this.shape[1], y, x];
  }

  inside(point: Point): boolean {
    return point.every((value, axis) => value >= 0 && value < this.shape[axis]);
  }

  clamp(point: Point): Point {
    return mapped(point, (value, axis) => Math.min(this.shape[axis] - 1, Math.max(0, Math.round(value))));
  }

  /** Column, row and slice number of a voxel in `plane`; fractions stay. */
  toPixel(plane: Plane, point: Point): [number, number, number] {
    const { u, v, through, flip } = AXES[plane];
    return [point[u], flip ? this.shape[v] - 1 - point[v] : point[v], point[through]];
  }

  /** The voxel at a column, row and slice of `plane`; fractions stay. */
  fromPixel(plane: Plane, column: number, row: number, slice: number): Point {
    const { u, v, through, flip } = AXES[plane];
    const point: Point = [0, 0, 0];
    point[u] = column;
    point[v] = flip ? this.shape[v] - 1 - row : row;
    point[through] = slice;
    return point;
  }

  sliceOf(plane: Plane, point: Point): number {
    return point[AXES[plane].through];
  }

  withSlice(plane: Plane, point: Point, slice: number): Point {
    const moved: Point = [...point];
    moved[AXES[plane].through] = Math.min(this.shape[AXES[plane].through] - 1, Math.max(0, slice));
    return moved;
  }

  toMm(point: Point): Point {
    return transformed(this.affine, point);
  }

  fromMm(mm: Point): Point {
    return transformed(this.inverse, mm);
  }

  /** One slice of an array on this grid: a view for axial slices, a copy for the others. */
  cut(values: Int16Array, plane: Plane, slice: number): Int16Array;
  cut(values: Uint8Array, plane: Plane, slice: number): Uint8Array;
  cut(values: Int16Array | Uint8Array, plane: Plane, slice: number): Int16Array | Uint8Array {
    const [nz, ny, nx] = this.shape;
    if (plane === "axial") return values.subarray(slice * ny * nx, (slice + 1) * ny * nx);
    const width = plane === "coronal" ? nx : ny;
    const picture = values instanceof Int16Array ? new Int16Array(width * nz) : new Uint8Array(width * nz);
    for (let z = 0; z < nz; z++) {
      const row = (nz - 1 - z) * width;
      const from = z * ny * nx;
      if (plane === "coronal") picture.set(values.subarray(from + slice * nx, from + (slice + 1) * nx), row);
      else for (let y = 0; y < ny; y++) picture[row + y] = values[from + y * nx + slice];
    }
    return picture;
  }
}

function transformed(matrix: Affine, [a, b, c]: Point): Point {
  const along = ([p, q, r, s]: Row): number => p * a + q * b + r * c + s;
  return [along(matrix[0]), along(matrix[1]), along(matrix[2])];
}

function inverted([[a, b, c, p], [d, e, f, q], [g, h, i, r]]: Affine): Affine {
  const det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const row = (x: number, y: number, z: number): Row => [x / det, y / det, z / det, -(x * p + y * q + z * r) / det];
  return [
    row(e * i - f * h, c * h - b * i, b * f - c * e),
    row(f * g - d * i, a * i - c * g, c * d - a * f),
    row(d * h - e * g, b * g - a * h, a * e - b * d),
  ];
}
