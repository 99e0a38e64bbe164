/** Names of parts of the interface's shapes, and the phases in their order. */
import type {
  BoxRecord,
  CaseStateRequest,
  DifferenceRow,
  EvidenceRequest,
  GridInfo,
  GrowRequest,
  VerdictRequest,
} from "./types";

export type Phase = GrowRequest["phase"];
export const PHASES: readonly Phase[] = ["NC", "AP", "VP", "DP"];

/** A voxel or a place between voxels, `[z, y, x]`. */
export type Point = GridInfo["spacing"];
/** Half-open ranges of z, y, x. */
export type Box = BoxRecord["box"];
export type CaseState = CaseStateRequest["state"];
export type DifferenceKind = DifferenceRow["kind"];
export type EvidenceKind = EvidenceRequest["evidence"];
export type VerdictName = VerdictRequest["verdict"];
