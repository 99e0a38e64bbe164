/**
 * Outlines of the labels of one slice, along pixel edges.
 *
 * Coordinates are pixels from the corner of the first one, so that a single pixel at (0, 0) has the outline
 * (0,0) (1,0) (1,1) (0,1). Outlines are closed and unbroken, so that they can be dashed.
 */

/** Corner coordinates `x0, y0, x1, y1, ...` of one closed outline. */
export type Outline = number[];

// Directions: 0 right, 1 down, 2 left, 3 up. An edge runs with its pixel on the right-hand side.
const DX = [1, 0, -1, 0] as const;
const DY = [0, 1, 0, -1] as const;

/** Outlines by label of all non-zero labels of a slice. */
export function outlinesOf(labels: Uint8Array, width: number, height: number): Map<number, Outline[]> {
  const corners = width + 1;
  const edges = new Map<number, Map<number, number>>();
  const add = (label: number, x: number, y: number, direction: number): void => {
    const mine = edges.get(label) ?? new Map<number, number>();
    edges.set(label, mine);
    const at = y * corners + x;
    mine.set(at, (mine.get(at) ?? 0) | (1 << direction));
  };
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < width; x++) {
      const label = labels[row + x];
      if (label === 0) continue;
      if (y === 0 || labels[row - width + x] !== label) add(label, x, y, 0);
      if (x === width - 1 || labels[row + x + 1] !== label) add(label, x + 1, y, 1);
      if (y === height - 1 || labels[row + width + x] !== label) add(label, x + 1, y + 1, 2);
      if (x === 0 || labels[row + x - 1] !== label) add(label, x, y + 1, 3);
    }
  }
  const outlines = new Map<number, Outline[]>();
  for (const [label, mine] of edges) outlines.set(label, chained(mine, corners));
  return outlines;
}

/** Columns and rows that an outline spans, half-open. */
export function boundsOf(outline: Outline): { columns: [number, number]; rows: [number, number] } {
  const columns: [number, number] = [Infinity, -Infinity];
  const rows: [number, number] = [Infinity, -Infinity];
  for (let k = 0; k < outline.length; k++) {
    const range = k % 2 === 0 ? columns : rows;
    range[0] = Math.min(range[0], outline[k]);
    range[1] = Math.max(range[1], outline[k]);
  }
  return { columns, rows };
}

function chained(edges: Map<number, number>, corners: number): Outline[] {
  const outlines: Outline[] = [];
  for (const start of edges.keys()) {
    while (edges.get(start)) {
      const outline: Outline = [];
      let at = start;
      let last = -1;
      do {
        const open = edges.get(at) ?? 0;
        const direction = turn(open, last);
        edges.set(at, open & ~(1 << direction));
        const x = at % corners;
        const y = (at - x) / corners;
        if (direction !== last) outline.push(x, y);
        last = direction;
        at = (y + DY[direction]) * corners + x + DX[direction];
      } while (at !== start || (edges.get(at) ?? 0) & (1 << ((last + 1) % 4)));
      outlines.push(outline);
    }
  }
  return outlines;
}

/** The next edge at a corner: right turn first, which keeps pixels that touch only by a corner apart. */
function turn(open: number, last: number): number {
  if (last >= 0) {
    for (const step of [1, 0, 3]) {
      const direction = (last + step) % 4;
      if (open & (1 << direction)) return direction;
    }
  }
  return Math.log2(open & -open);
}
