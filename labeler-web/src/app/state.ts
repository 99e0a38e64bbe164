/** What the page knows and shows. Signals only; the acts that change them are in the modules beside. */
import { computed, signal } from "@preact/signals";
import type { Grid, Plane } from "../model/grid";
import type { PhaseVolume } from "../model/phaseVolume";
import type { Api } from "../server/api";
import type { Phase, Point } from "../server/names";
import type {
  BoxRecord,
  CaseInfo,
  DifferenceList,
  HistoryEvent,
  LabelInfo,
  LesionListing,
  MeasurementRecord,
  ReportTexts,
  ReviewRow,
  SessionInfo,
  UnknownSegment,
  VersionList,
  WorkList,
} from "../server/types";
import type { View, Viewer, Window } from "../viewer/viewer";
import type { Draft } from "./draft";

export type Mode = "edit" | "compare";
export type Layout = "four" | "one-three" | "mpr";
export type Tab = "lesions" | "differences" | "report" | "history";
export type Tool =
  | "navigate"
  | "brush"
  | "eraser"
  | "ball"
  | "threshold"
  | "fill"
  | "interpolate"
  | "pick"
  | "split"
  | "ruler"
  | "circle"
  | "box";
export const OVERLAYS = ["both", "contour", "fill"] as const;
export type Overlay = (typeof OVERLAYS)[number];
export type Dialog = "help" | "worklist" | "user" | "recovery" | "conflict" | "import" | "save" | undefined;

/** One open case: what is loaded of it, and the drafts on it. */
export interface OpenCase {
  readonly info: CaseInfo;
  readonly grid: Grid;
  readonly volumes: Map<Phase, PhaseVolume>;
}

export interface Services {
  readonly api: Api;
  readonly viewer: Viewer;
}

let started: Services | undefined;

export function setServices(services: Services): void {
  started = services;
}

/** The server and the drawing engine, once the page has started. */
export function services(): Services {
  if (!started) throw new Error("the page has not started");
  return started;
}

export const session = signal<SessionInfo | undefined>(undefined);
export const caseList = signal<WorkList | undefined>(undefined);
export const open = signal<OpenCase | undefined>(undefined);
/** The case that was asked for; `open` follows when it has come, or `notShown` says why it cannot. */
export const caseId = signal("");
export const notShown = signal<string | undefined>(undefined);
export const user = signal("");
export const fatal = signal<string | undefined>(undefined);
/** An end of the session that only a new log-in mends. */
export const loggedOut = signal(false);

export const mode = signal<Mode>("edit");
export const layout = signal<Layout>("four");
export const enlarged = signal<string | undefined>(undefined);
export const tab = signal<Tab>("lesions");
export const dialog = signal<Dialog>(undefined);
export const menuOpen = signal(false);

/** The linked position on the case's grid, and the voxel under the pointer while it is over a pane. */
export const cursor = signal<Point>([0, 0, 0]);
export const hover = signal<{ pane: string; plane: Plane; point: Point } | undefined>(undefined);
export const activePhase = signal<Phase>("VP");
/** The phase of the large pane, or of the three planes. */
export const mainPhase = signal<Phase>("VP");
export const activePlane = signal<Plane>("axial");
export const views = signal<Partial<Record<Plane, View>>>({});
export const windows = signal<Partial<Record<Phase, Window>>>({});
/** Raised when slabs of a phase arrive. */
export const loaded = signal(0);

export const tool = signal<Tool>("navigate");
export const brushLabel = signal(1);
export const brushMm = signal(6);
export const threshold = signal<[number, number]>([20, 110]);
/** Fill takes the HU around the click, not the range above. */
export const fillAround = signal(true);
export const overlay = signal<Overlay>("both");
export const opacity = signal(0.3);
export const overlayHidden = signal(false);
export const organsShown = signal(false);
export const spaceHeld = signal(false);
export const eraseHeld = signal(false);

/** The draft on which edits act: `edit`, or in Compare the review of the two masks. */
export const draft = signal<Draft | undefined>(undefined);
/** Raised with every change of a mask that is shown. */
export const maskRevision = signal(0);
export const lesions = signal<LesionListing | undefined>(undefined);
export const lesionsStale = signal(false);
/** `first` index of each selected lesion. */
export const selected = signal<readonly number[]>([]);
export const reference = signal<{ ref: string; mask: Uint8Array } | undefined>(undefined);
export const clipboard = signal<{ from: string; at: Point; slice: number; label: number } | undefined>(undefined);
export const splitLine = signal<{ at: Point; line: [[number, number], [number, number]]; slice: number } | undefined>(
  undefined,
);

export const compareRefs = signal<{ old: string; fresh: string } | undefined>(undefined);
export const compareMasks = signal<{ old: Uint8Array; fresh: Uint8Array } | undefined>(undefined);
export const differences = signal<DifferenceList | undefined>(undefined);
export const difference = signal<string | undefined>(undefined);
export const differenceFilter = signal<string>("open");
export const reviews = signal<ReviewRow[]>([]);
export const blink = signal<"both" | "old" | "new">("both");

export const report = signal<ReportTexts | undefined>(undefined);
export const versions = signal<VersionList | undefined>(undefined);
export const history = signal<HistoryEvent[]>([]);
export const measurements = signal<MeasurementRecord[]>([]);
export const boxes = signal<BoxRecord[]>([]);

/** A DICOM SEG whose segments must first be given types. */
export const segmentsToMap = signal<{ file: File; segments: UnknownSegment[] } | undefined>(undefined);

/** The last act in words, and whether it was a refusal. */
export const status = signal<{ text: string; bad: boolean }>({ text: "", bad: false });
export const savedAt = signal<{ ref: string; time: string } | undefined>(undefined);
/** When the server last confirmed an edit. */
export const confirmedAt = signal<string | undefined>(undefined);

export function say(text: string, bad = false): void {
  status.value = { text, bad };
}

const NO_LABEL: LabelInfo = { value: 0, name: "background", group: "background", letter: "", color: "#000000" };
export const labels = computed(() => session.value?.labels ?? []);
export function labelInfo(value: number): LabelInfo {
  return labels.value.find((one) => one.value === value) ?? NO_LABEL;
}
