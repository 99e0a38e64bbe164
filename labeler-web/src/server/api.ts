/** The labelling project's server. Every call throws `ServerError` (it said no) or `Unreachable` (it said nothing). */
import { decodeDelta, encodeDelta } from "./delta";
import type { Delta } from "./delta";
import type * as T from "./types";

export class ServerError extends Error {
  constructor(readonly status: number, readonly body: T.ErrorBody) {
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

/** What a tool's answer says beside the changed voxels. */
export interface StepHeader {
  count: number;
  name: string;
  kind: string;
  /** Notebooks that changed with it: `evidence`, `boxes`, `measurements`. */
  notes: string[];
  state: T.DraftState;
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
    return (await (await this.request(path, call)).json()) as Answer;
  }

  private async delta(path: string, call: Call): Promise<Delta<StepHeader>> {
    const answer = await this.request(path, call);
    try {
      return decodeDelta<StepHeader>(await answer.arrayBuffer());
    } catch (reason) {
      if (reason instanceof TypeError) throw new Unreachable();
      throw reason;
    }
  }

  session = (): Promise<T.Session> => this.json("/api/session");
  cases = (): Promise<T.CaseList> => this.json("/api/cases");
  nextCase = (after: string): Promise<{ id: string | null }> => this.json(`/api/cases/next?after=${part(after)}`);
  setState = (id: string, state: T.CaseState): Promise<T.CaseRow> =>
    this.json(`/api/cases/${part(id)}/state`, { method: "PUT", json: { state } });

  case = (id: string): Promise<T.CaseInfo> => this.json(`/api/cases/${part(id)}`);
  windows = (id: string): Promise<Record<T.Phase, [number, number] | null>> => this.json(`/api/cases/${part(id)}/windows`);
  report = (id: string): Promise<{ status: string; parts: { name: string; text: string }[] }> =>
    this.json(`/api/cases/${part(id)}/report`);

  async slab(id: string, phase: T.Phase, z0: number, n: number, signal: AbortSignal): Promise<Int16Array> {
    const answer = await this.request(`/api/cases/${part(id)}/volumes/${phase}?z0=${z0}&n=${n}`, { signal });
    return new Int16Array(await answer.arrayBuffer());
  }

  async mask(id: string, ref: string): Promise<Uint8Array> {
    return new Uint8Array(await (await this.request(`/api/cases/${part(id)}/masks/${part(ref)}`)).arrayBuffer());
  }

  lesions = (id: string, ref: string): Promise<T.LesionList> =>
    this.json(`/api/cases/${part(id)}/lesions?ref=${part(ref)}`);
  component = (id: string, ref: string, at: T.Point): Promise<{ label: number; voxels: number; volume_ml: number; first: number }> =>
    this.json(`/api/cases/${part(id)}/component?ref=${part(ref)}&z=${at[0]}&y=${at[1]}&x=${at[2]}`);

  openDraft = (id: string, request: Record<string, unknown>): Promise<T.DraftState> =>
    this.json(`/api/cases/${part(id)}/drafts`, { method: "POST", json: request });
  draft = (id: string, draft: string): Promise<T.DraftState> => this.json(this.draftPath(id, draft));

  async edit(id: string, draft: string, n: number, delta: Delta): Promise<T.DraftState> {
    const answer = await this.json<{ state: T.DraftState }>(`${this.draftPath(id, draft)}/edits?steps=1`, {
      method: "POST",
      body: encodeDelta(delta),
      type: "application/vnd.livercascade.delta",
      match: String(n),
    });
    return answer.state;
  }

  step = (id: string, draft: string, n: number, act: string, json?: unknown): Promise<Delta<StepHeader>> =>
    this.delta(`${this.draftPath(id, draft)}/${act}?steps=1`, {
      method: "POST",
      match: String(n),
      ...(json === undefined ? {} : { json }),
    });

  save = (id: string, draft: string, n: number, json: { note: string; beside: boolean }): Promise<T.Version> =>
    this.json(`${this.draftPath(id, draft)}/save`, { method: "POST", match: String(n), json });

  versions = (id: string): Promise<{ head: string; versions: T.Version[] }> => this.json(`/api/cases/${part(id)}/versions`);
  restore = (id: string, ref: string, head: string): Promise<T.Version> =>
    this.json(`/api/cases/${part(id)}/restore`, { method: "POST", json: { ref, note: "" }, match: head });
  history = (id: string): Promise<{ events: T.HistoryEvent[] }> => this.json(`/api/cases/${part(id)}/history`);

  differences = (id: string, old: string, fresh: string): Promise<T.DifferenceList> =>
    this.json(`/api/cases/${part(id)}/differences?old=${part(old)}&new=${part(fresh)}&min_ml=0`);
  reviews = (id: string): Promise<{ reviews: T.Review[] }> => this.json(`/api/cases/${part(id)}/reviews`);

  boxes = (id: string): Promise<{ boxes: T.BoxSeed[] }> => this.json(`/api/cases/${part(id)}/boxes`);
  measurements = (id: string): Promise<{ measurements: T.Measurement[] }> =>
    this.json(`/api/cases/${part(id)}/measurements`);

  importFile = (id: string, format: "nifti" | "dicom-seg", file: Blob, map?: string): Promise<T.Version> =>
    this.json(`/api/cases/${part(id)}/imports?format=${format}${map ? `&map=${part(map)}` : ""}`, {
      method: "POST",
      body: file,
      type: "application/octet-stream",
    });
  importSource = (id: string, ref: string): Promise<T.Version> =>
    this.json(`/api/cases/${part(id)}/imports/${part(ref)}`, { method: "POST" });
  exportFile = async (id: string, ref: string, ending: "nii.gz" | "dcm"): Promise<Blob> =>
    (await this.request(`/api/cases/${part(id)}/export/${part(ref)}.${ending}`)).blob();

  private draftPath(id: string, draft: string): string {
    return `/api/cases/${part(id)}/drafts/${part(draft)}`;
  }
}

async function errorBody(answer: Response): Promise<T.ErrorBody> {
  try {
    return ((await answer.json()) as { error: T.ErrorBody }).error;
  } catch {
    return { code: `HTTP_${answer.status}`, message: `The server answered ${answer.status}.` };
  }
}
