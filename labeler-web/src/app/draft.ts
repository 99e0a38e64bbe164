/**
 * A reader's working state of one case: the mask in the page, and the queue of edits on their way to the server's journal.
 *
 * Every change is one named step. Strokes are drawn here first and confirmed by the server; tools, undo and redo are done
 * by the server, which answers with the voxels that changed. Requests go one after another, so that `If-Match` always
 * names the journal's true length. When the server cannot be reached, the queue waits and tries again.
 */

import type { Signal } from "@preact/signals";
import { signal } from "@preact/signals";
import type { StepBodies } from "../server/api";
import { type Api, ServerError, Unreachable } from "../server/api";
import type { Delta } from "../server/delta";
import type { DraftState, OpenDraftRequest, VersionInfo } from "../server/types";

const RETRY_MS = 1000;

export interface DraftEvents {
  /** Voxels of the mask changed. */
  changed(): void;
  /** Evidence, boxes or measurements changed. */
  noted(): Promise<void>;
  /** The server refused a request, or the mask had to be read anew. */
  refused(message: string): void;
}

export class Draft {
  /** What is shown: the working mask on the case's grid. */
  mask: Uint8Array;
  readonly state: Signal<DraftState>;
  /** Requests not yet answered. */
  readonly pending = signal(0);
  /** True while the server does not answer. */
  readonly stalled = signal(false);
  private queue: Promise<unknown> = Promise.resolve();
  private closed = false;

  private constructor(
    private readonly api: Api,
    readonly caseId: string,
    state: DraftState,
    mask: Uint8Array,
    private readonly events: DraftEvents,
  ) {
    this.state = signal(state);
    this.mask = mask;
  }

  static async open(api: Api, caseId: string, request: OpenDraftRequest, events: DraftEvents): Promise<Draft> {
    const state = await api.openDraft(caseId, request);
    const mask = await api.mask(caseId, `draft.${state.draft}`);
    return new Draft(api, caseId, state, mask, events);
  }

  get name(): string {
    return this.state.value.draft;
  }

  get ref(): string {
    return `draft.${this.name}`;
  }

  /** Stops retrying; what was confirmed stays on the server. */
  close(): void {
    this.closed = true;
  }

  /** Waits until nothing is on its way. */
  async settled(): Promise<void> {
    await this.queue;
  }

  /** Sends a stroke that the mask already shows. */
  commit(delta: Delta): Promise<boolean> {
    return this.enqueue(async () => {
      const n = this.state.value.n;
      try {
        this.state.value = await this.api.edit(this.caseId, this.name, n, delta);
      } catch (reason) {
        if (!(await this.wasWritten(reason, n, String(delta.header.name)))) throw reason;
      }
    });
  }

  /** Runs a tool, undo, redo or goto on the server and shows what it changed; resolves to the step's name, or undefined. */
  async step<Act extends keyof StepBodies>(act: Act, json: StepBodies[Act]): Promise<string | undefined> {
    let name: string | undefined;
    const done = await this.enqueue(async () => {
      const n = this.state.value.n;
      try {
        const delta = await this.api.step(this.caseId, this.name, n, act, json);
        for (let k = 0; k < delta.indices.length; k++) this.mask[delta.indices[k]] = delta.after[k];
        this.state.value = delta.header.state;
        name = delta.header.name;
        if (delta.indices.length > 0 || delta.header.notes.includes("evidence")) this.events.changed();
        if (delta.header.notes.length > 0) await this.events.noted();
      } catch (reason) {
        if (!(await this.wasWritten(reason, n))) throw reason;
        await this.reload();
        name = "done";
      }
    });
    return done ? name : undefined;
  }

  /** Saves a version; throws `ServerError` with `VERSION_CONFLICT` when someone else saved in between. */
  async save(note: string, beside: boolean): Promise<VersionInfo> {
    await this.settled();
    const version = await this.api.save(this.caseId, this.name, this.state.value.n, { note, beside });
    this.state.value = version.draft;
    return version;
  }

  async reload(): Promise<void> {
    this.state.value = await this.api.draft(this.caseId, this.name);
    this.mask = await this.api.mask(this.caseId, this.ref);
    this.events.changed();
    await this.events.noted();
  }

  /** The answer to a request may have been lost after it was written: the journal is then one longer, by our step. */
  private async wasWritten(reason: unknown, n: number, name?: string): Promise<boolean> {
    if (!(reason instanceof ServerError) || reason.code !== "DRAFT_MOVED" || !this.retried) return false;
    const state = await this.api.draft(this.caseId, this.name);
    const last = state.steps?.[state.position - 1];
    if (state.n !== n + 1 || (name !== undefined && last?.name !== name)) return false;
    this.state.value = state;
    return true;
  }

  private retried = false;

  private enqueue(task: () => Promise<void>): Promise<boolean> {
    this.pending.value++;
    const run = this.queue.then(() => this.attempt(task));
    this.queue = run;
    return run.finally(() => this.pending.value--);
  }

  private async attempt(task: () => Promise<void>): Promise<boolean> {
    this.retried = false;
    for (;;) {
      try {
        await task();
        this.stalled.value = false;
        return true;
      } catch (reason) {
        if (this.closed) return false;
        if (reason instanceof Unreachable) {
          this.retried = true;
          this.stalled.value = true;
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
          continue;
        }
        this.stalled.value = false;
        await this.refuse(reason);
        return false;
      }
    }
  }

  private async refuse(reason: unknown): Promise<void> {
    const moved = reason instanceof ServerError && (reason.code === "DRAFT_MOVED" || reason.code === "OUT_OF_STEP");
    if (moved || !(reason instanceof ServerError) || reason.code === "BAD_LABEL") {
      try {
        await this.reload();
      } catch {
        // The next request meets the same trouble and is told of it.
      }
    }
    this.events.refused(
      moved
        ? "This case was also edited in another window. Its edits are shown now; your last one was not applied."
        : reason instanceof Error
          ? reason.message
          : String(reason),
    );
  }
}
