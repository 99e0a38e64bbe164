/** Shapes of the HTTP interface (docs/labeler-api.md). Indices and points are `[z, y, x]`, lengths mm, volumes ml. */

export type Phase = "NC" | "AP" | "VP" | "DP";
export const PHASES: readonly Phase[] = ["NC", "AP", "VP", "DP"];

export type Point = [number, number, number];
export type Box = [[number, number], [number, number], [number, number]];
export type CaseState = "new" | "in_progress" | "done";

export interface ErrorBody {
  code: string;
  message: string;
  remedy?: string;
  state?: DraftState;
  head?: string;
  parent?: string;
  segments?: { number: number; label: string; type: string }[];
}

export interface LabelInfo {
  value: number;
  name: string;
  group: "background" | "lesion" | "organ";
  letter: string;
  color: string;
  malignant?: boolean;
}

export interface Session {
  version: string;
  project: string;
  user: string;
  users: string[];
  predictions: boolean;
  labels: LabelInfo[];
  windows: Record<string, [number, number]>;
}

export interface CaseRow {
  id: string;
  state: CaseState;
  phases: Phase[];
  head: string;
  versions: number;
  user: string | null;
  time: string | null;
  report: boolean;
  second_reader: number;
}

export interface CaseList {
  cases: CaseRow[];
  counts: Record<CaseState, number>;
  skipped: { name: string; code: string; message: string }[];
}

export interface GridInfo {
  shape: Point;
  spacing: Point;
  affine: number[][];
  stored: string;
  oblique_deg: number;
  letters: { left: string; right: string; top: string; bottom: string };
}

export interface PhaseInfo {
  status: "ok" | "missing" | "bad";
  title?: string;
  grid?: GridInfo | null;
  window?: [number, number] | null;
  error?: ErrorBody;
}

export interface CaseInfo {
  id: string;
  state: CaseState;
  head: string;
  /** Null if no phase can be read. */
  grid: GridInfo | null;
  reference: Phase;
  phases: Record<Phase, PhaseInfo>;
  masks: { ref: string; status?: "ok" | "bad"; error?: ErrorBody }[];
  report: { status: "ok" | "missing"; files?: string[] };
  dicom: boolean;
  erase_label: number;
  notices: { code: string; message: string }[];
  boxes: number;
  measurements: number;
}

export interface Evidence {
  at: Point;
  evidence: "pathology" | "report" | "imaging" | "none";
  note: string;
  user: string;
  time: string;
}

export interface Lesion {
  number: number;
  label: number;
  voxels: number;
  volume_ml: number;
  diameter_mm: number;
  slices: [number, number];
  slice: number;
  at: Point;
  box: Box;
  first: number;
  evidence: Evidence | null;
}

export interface LesionList {
  ref: string;
  lesions: Lesion[];
  totals: Record<string, { count: number; volume_ml: number }>;
  organs: Record<string, number>;
}

export interface Step {
  number: number;
  name: string;
  kind: string;
  voxels: number;
  time: string;
  verdict: unknown;
}

export interface DraftState {
  draft: string;
  case: string;
  user: string;
  base: string;
  parent: string;
  head: string;
  n: number;
  position: number;
  steps?: Step[];
  steps_count?: number;
  saved_position: number;
  dirty: boolean;
  recovery: { steps: number; time: string } | null;
  mask_sha256?: string;
  undo: string | null;
  redo: string | null;
}

export interface Version {
  ref: string;
  parent: string | null;
  user: string;
  time: string;
  what: string;
  note: string;
  beside: boolean;
  steps: string[];
  voxels_changed: number;
  mask_sha256: string;
  verdicts?: Record<string, number>;
  draft?: DraftState;
}

export type DifferenceKind = "added" | "removed" | "relabelled" | "split" | "merged" | "boundary" | "same";
export type VerdictName = "accept" | "keep" | "relabel" | "second_reader" | "edited" | "clear";

export interface Difference {
  id: string;
  kind: DifferenceKind;
  old: { label: number; voxels: number; volume_ml: number }[];
  new: { label: number; voxels: number; volume_ml: number }[];
  old_ml: number;
  new_ml: number;
  changed_ml: number;
  dice: number;
  box: Box;
  at: Point;
  slices: [number, number];
  verdict: { verdict: VerdictName; label: number | null; time: string } | null;
}

export interface DifferenceList {
  old: string;
  new: string;
  counts: Record<DifferenceKind, number>;
  open: number;
  of: number;
  differences: Difference[];
}

export interface Review {
  draft: string;
  old: string;
  new: string;
  user: string;
  done: number;
  of: number;
  dirty: boolean;
}

export interface BoxSeed {
  id: string;
  box: Box;
  label: number | null;
  evidence: Evidence["evidence"];
  note: string;
  status: "open" | "seeded" | "needs_drawing";
  user: string;
  time: string;
}

export interface Measurement {
  id: string;
  kind: "ruler" | "circle";
  phase: Phase;
  from?: Point;
  to?: Point;
  centre?: Point;
  radius_mm?: number;
  mm?: number;
  mean?: number;
  sd?: number;
  min?: number;
  max?: number;
  pixels?: number;
  area_mm2?: number;
}

export interface HistoryEvent {
  time: string;
  user: string;
  event: string;
  ref: string | null;
  text: string;
}
