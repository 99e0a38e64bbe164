/** The labelling project's server. Every call throws `ServerError` (it said no) or `Unreachable` (it said nothing). */

import type { Delta } from "./delta";
import { decodeDelta, encodeDelta } from "./delta";
import type { CaseState, Phase, Point } from "./names";
import type * as T from "./types";

export class ServerError extends Error {
  constructor(
    readonly status: number,
    readonly body: T.ErrorDetail,
  ) {
    super(body.remedy ? `${body.message} ${body.remedy}` : body.message);
  }
  get code(): string {
    return this.body.code;
  }
}

export class Unreachable extends Error {
  constructor() {
    super("The labeler's server does not answer.");
  }
}

/** Body of each act on a draft that the server answers with a delta. */
export interface StepBodies {
  undo: undefined;
  redo: undefined;
  goto: T.GotoRequest;
  "tools/relabel": T.RelabelRequest;
  "tools/delete": T.DeleteRequest;
  "tools/copy": T.CopyRequest;
  "tools/grow": T.GrowRequest;
  "tools/interpolate": T.InterpolateRequest;
  "tools/fill_holes": T.FillHolesRequest;
  "tools/split": T.SplitRequest;
  "tools/box": T.SeedBoxRequest;
  "tools/verdict": T.VerdictRequest;
  "tools/evidence": T.EvidenceRequest;
  "tools/draw_box": T.DrawBoxRequest;
  "tools/remove_box": T.RemoveNoteRequest;
  "tools/measure": T.MeasureRequest;
  "tools/remove_measurement": T.RemoveNoteRequest;
}

interface Call {
  method?: string;
  json?: unknown;
  body?: BodyInit;
  type?: string;
  match?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

const part = encodeURIComponent;

export class Api {
  /** Name of the reader, sent with every request. */
  user = "";
  /** Called when the server does not know this page any more. */
  refusedLogin: () => void = () => undefined;

  async request(path: string, call: Call = {}): Promise<Response> {
    const method = call.method ?? "GET";
    const headers: Record<string, string> = { ...call.headers };
    if (this.user) headers["X-Livercascade-User"] = part(this.user);
    if (method !== "GET") headers["X-Livercascade"] = "1";
    if (call.match !== undefined) headers["If-Match"] = `"${call.match}"`;
    let body = call.body;
    if (call.json !== undefined) {
      body = JSON.stringify(call.json);
      headers["Content-Type"] = "application/json";
    } else if (call.type) headers["Content-Type"] = call.type;
    const init: RequestInit = { method, headers, cache: "no-store" };
    if (body !== undefined) init.body = body;
    if (call.signal) init.signal = call.signal;
    let answer: Response;
    try {
      answer = await fetch(path, init);
    } catch (reason) {
      if (reason instanceof DOMException && reason.name === "AbortError") throw reason;
      throw new Unreachable();
    }
    if (answer.status === 401) this.refusedLogin();
    if (!answer.ok) throw new ServerError(answer.status, await errorBody(answer));
    return answer;
  }

  private async json<Answer>(path: string, call?: Call): Promise<Answer> {
    return (await this.request(path, call)).json();
  }

  private async delta(path: string, call: Call): Promise<Delta<T.StepAnswer>> {
    const answer = await this.request(path, call);
    try {
      return decodeDelta<T.StepAnswer>(await answer.arrayBuffer());
    } catch (reason) {
      if (reason instanceof TypeError) throw new Unreachable();
      throw reason;
    }
  }

  session = (): Promise<T.SessionInfo> => this.json("/api/session");
  cases = (): Promise<T.WorkList> => this.json("/api/cases");
  nextCase = (after: string): Promise<T.NextCase> => this.json(`/api/cases/next?after=${part(after)}`);
  setState = (id: string, state: CaseState): Promise<T.CaseRow> =>
    this.json(`/api/cases/${part(id)}/state`, { method: "PUT", json: { state } });

  case = (id: string): Promise<T.CaseInfo> => this.json(`/api/cases/${part(id)}`);
  windows = (id: string): Promise<Record<Phase, [number, number] | null>> =>
    this.json(`/api/cases/${part(id)}/windows`);
  report = (id: string): Promise<T.ReportTexts> => this.json(`/api/cases/${part(id)}/report`);

  async slab(id: string, phase: Phase, z0: number, n: number, signal: AbortSignal): Promise<Int16Array> {
    const answer = await this.request(`/api/cases/${part(id)}/volumes/${phase}?z0=${z0}&n=${n}`, { signal });
    return new Int16Array(await answer.arrayBuffer());
  }

  async mask(id: string, ref: string): Promise<Uint8Array> {
    return new Uint8Array(await (await this.request(`/api/cases/${part(id)}/masks/${part(ref)}`)).arrayBuffer());
  }

  lesions = (id: string, ref: string): Promise<T.LesionListing> =>
    this.json(`/api/cases/${part(id)}/lesions?ref=${part(ref)}`);
  component = (id: string, ref: string, at: Point): Promise<T.ComponentInfo> =>
    this.json(`/api/cases/${part(id)}/component?ref=${part(ref)}&z=${at[0]}&y=${at[1]}&x=${at[2]}`);

  openDraft = (id: string, request: T.OpenDraftRequest): Promise<T.DraftState> =>
    this.json(`/api/cases/${part(id)}/drafts`, { method: "POST", json: request });
  draft = (id: string, draft: string): Promise<T.DraftState> => this.json(this.draftPath(id, draft));

  async edit(id: string, draft: string, n: number, delta: Delta): Promise<T.DraftState> {
    const answer = await this.json<T.StepAnswer>(`${this.draftPath(id, draft)}/edits?steps=1`, {
      method: "POST",
      body: encodeDelta(delta),
      type: "application/vnd.livercascade.delta",
      match: String(n),
    });
    return answer.state;
  }

  step = <Act extends keyof StepBodies>(
    id: string,
    draft: string,
    n: number,
    act: Act,
    json: StepBodies[Act],
  ): Promise<Delta<T.StepAnswer>> =>
    this.delta(`${this.draftPath(id, draft)}/${act}?steps=1`, {
      method: "POST",
      match: String(n),
      ...(json === undefined ? {} : { json }),
    });

  save = (id: string, draft: string, n: number, json: T.SaveRequest): Promise<T.SavedVersion> =>
    this.json(`${this.draftPath(id, draft)}/save`, { method: "POST", match: String(n), json });

  versions = (id: string): Promise<T.VersionList> => this.json(`/api/cases/${part(id)}/versions`);
  restore = (id: string, ref: string, head: string): Promise<T.VersionInfo> =>
    this.json(`/api/cases/${part(id)}/restore`, { method: "POST", json: { ref, note: "" }, match: head });
  history = (id: string): Promise<T.History> => this.json(`/api/cases/${part(id)}/history`);

  differences = (id: string, old: string, fresh: string): Promise<T.DifferenceList> =>
    this.json(`/api/cases/${part(id)}/differences?old=${part(old)}&new=${part(fresh)}&min_ml=0`);
  reviews = (id: string): Promise<T.ReviewList> => this.json(`/api/cases/${part(id)}/reviews`);

  boxes = (id: string): Promise<T.BoxList> => this.json(`/api/cases/${part(id)}/boxes`);
  measurements = (id: string): Promise<T.MeasurementList> => this.json(`/api/cases/${part(id)}/measurements`);

  importFile = (id: string, format: "nifti" | "dicom-seg", file: Blob, map?: string): Promise<T.VersionInfo> =>
    this.json(`/api/cases/${part(id)}/imports?format=${format}${map ? `&map=${part(map)}` : ""}`, {
      method: "POST",
      body: file,
      type: "application/octet-stream",
    });
  importSource = (id: string, ref: string): Promise<T.VersionInfo> =>
    this.json(`/api/cases/${part(id)}/imports/${part(ref)}`, { method: "POST" });
  exportFile = async (id: string, ref: string, ending: "nii.gz" | "dcm"): Promise<Blob> =>
    (await this.request(`/api/cases/${part(id)}/export/${part(ref)}.${ending}`)).blob();

  private draftPath(id: string, draft: string): string {
    return `/api/cases/${part(id)}/drafts/${part(draft)}`;
  }
}

async function errorBody(answer: Response): Promise<T.ErrorDetail> {
  try {
    const body: T.ErrorAnswer = await answer.json();
    return body.error;
  } catch {
    return { code: `HTTP_${answer.status}`, message: `The server answered ${answer.status}.`, remedy: "" };
  }
}
