import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { attempt } from "../app/attempt";
import { openCase, reopenEdit } from "../app/casework";
import { compare } from "../app/compare";
import * as S from "../app/state";
import { save } from "../app/versions";
import { imported } from "./FileMenu";
import { Help } from "./Help";
import { Badge, LESION_TYPES } from "./LesionsTab";
import { clock } from "./TopBar";

/** A modal window: the focus stays inside, Escape closes it where closing decides nothing. */
function Modal({
  title,
  children,
  wide,
  onClose,
}: {
  title: string;
  children: ComponentChildren;
  wide?: boolean;
  onClose?: () => void;
}) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const shown = box.current;
    const before = document.activeElement;
    shown?.showModal();
    return () => {
      shown?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={wide ? "wide" : ""}
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose?.();
      }}
    >
      <div class="dialog-head">
        <h2>{title}</h2>
        {onClose && (
          <button type="button" class="plain" aria-label="Close" onClick={onClose}>
            ×
          </button>
        )}
      </div>
      {children}
    </dialog>
  );
}

const shut = (): void => {
  S.dialog.value = undefined;
};

export function Dialogs() {
  if (S.loggedOut.value) return <LoggedOut />;
  switch (S.dialog.value) {
    case "help":
      return (
        <Modal title="Help" wide onClose={shut}>
          <Help />
        </Modal>
      );
    case "worklist":
      return <WorkList />;
    case "user":
      return <Reader />;
    case "recovery":
      return <Recovery />;
    case "conflict":
      return <Conflict />;
    case "import":
      return <Segments />;
    default:
      return null;
  }
}

function LoggedOut() {
  return (
    <Modal title="Log in again">
      <p>The server no longer knows this page; perhaps it was restarted. Open the link that the terminal shows.</p>
      <p>Every edit that was confirmed lies on the server's disk and is offered again.</p>
    </Modal>
  );
}

function WorkList() {
  const [wanted, setWanted] = useState("");
  const [state, setState] = useState("any");
  const list = S.caseList.value;
  const rows = (list?.cases ?? []).filter(
    (one) => one.id.toLowerCase().includes(wanted.toLowerCase()) && (state === "any" || one.state === state),
  );
  const go = (id: string): void => {
    shut();
    attempt(() => openCase(id));
  };
  return (
    <Modal title="Work list" wide onClose={shut}>
      <div class="buttons">
        <input
          type="search"
          aria-label="Search cases"
          placeholder="search cases"
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
        <select aria-label="State" value={state} onChange={(event) => setState(event.currentTarget.value)}>
          <option value="any">all ({list?.cases.length ?? 0})</option>
          <option value="new">new ({list?.counts.new ?? 0})</option>
          <option value="in_progress">in progress ({list?.counts.in_progress ?? 0})</option>
          <option value="done">done ({list?.counts.done ?? 0})</option>
        </select>
      </div>
      <div class="scroll list" tabIndex={0} role="region" aria-label="Cases">
        <table class="rows">
          <thead>
            <tr>
              <th scope="col">Case</th>
              <th scope="col">State</th>
              <th scope="col">Phases</th>
              <th scope="col">Mask</th>
              <th scope="col">Last reader</th>
              <th scope="col">Report</th>
              <th scope="col">2nd reader</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => (
              <tr key={one.id} class={one.id === S.open.value?.info.id ? "chosen" : ""} onClick={() => go(one.id)}>
                <td>
                  <button type="button" class="plain">
                    {one.id}
                  </button>
                </td>
                <td>
                  <span class={`state ${one.state}`}>{one.state.replace("_", " ")}</span>
                </td>
                <td>{one.phases.join(" ")}</td>
                <td>{one.head}</td>
                <td>
                  {one.user ?? ""} <span class="faint">{one.time ? clock(one.time) : ""}</span>
                </td>
                <td>{one.report ? "yes" : ""}</td>
                <td>{one.second_reader || ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
        {rows.length === 0 && <p class="hint">No case fits.</p>}
      </div>
      {(list?.skipped.length ?? 0) > 0 && (
        <details>
          <summary>{list?.skipped.length} folders are no cases</summary>
          <ul>
            {list?.skipped.map((one) => (
              <li key={one.name}>
                {one.name}: {one.message}
              </li>
            ))}
          </ul>
        </details>
      )}
    </Modal>
  );
}

export const USER_KEY = "livercascade-reader";

function Reader() {
  const [name, setName] = useState(S.user.value);
  const fits = /^[\p{L}\p{N} ._-]{1,40}$/u.test(name.trim());
  const take = (chosen: string): void => {
    S.user.value = chosen.trim();
    S.services().api.user = S.user.value;
    localStorage.setItem(USER_KEY, S.user.value);
    shut();
    const opened = S.open.value;
    if (opened) attempt(() => openCase(opened.info.id));
  };
  return (
    <Modal title="Who is reading?" onClose={shut}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (fits) take(name);
        }}
      >
        <p>Your name stands beside every version, verdict and note. Each reader has a working mask of their own.</p>
        <div class="buttons">
          <input
            type="text"
            aria-label="Name of the reader"
            value={name}
            maxLength={40}
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit" class="primary" disabled={!fits}>
            Take this name
          </button>
        </div>
        {!fits && name !== "" && (
          <p class="hint warn">Letters, digits, space, dot, underscore and hyphen, at most 40.</p>
        )}
        <div class="buttons">
          {(S.session.value?.users ?? []).map((one) => (
            <button key={one} type="button" onClick={() => take(one)}>
              {one}
            </button>
          ))}
        </div>
      </form>
    </Modal>
  );
}

function Recovery() {
  const recovery = S.draft.value?.state.value.recovery;
  return (
    <Modal title="Unsaved work found" onClose={shut}>
      <p>
        {recovery?.steps ?? 0} step{recovery?.steps === 1 ? "" : "s"} from{" "}
        {recovery ? new Date(recovery.time).toLocaleString() : ""} were kept but not saved as a version. They are shown
        now.
      </p>
      <div class="buttons end">
        <button
          type="button"
          onClick={() => {
            shut();
            attempt(() => reopenEdit("discard"));
          }}
        >
          Set them aside
        </button>
        <button type="button" class="primary" onClick={shut}>
          Go on with them
        </button>
      </div>
    </Modal>
  );
}

function Conflict() {
  const versions = S.versions.value;
  const head = versions?.versions.find((one) => one.ref === versions.head);
  const besideAndCompare = async (): Promise<void> => {
    const other = versions?.head;
    await save(true);
    const mine = S.savedAt.value?.ref;
    if (other && mine) await compare(other, mine);
  };
  return (
    <Modal title="Someone saved in between" onClose={shut}>
      <p>
        {head ? `${head.user} saved ${head.ref} at ${clock(head.time)}` : "Another version was saved"} while you worked
        from {S.draft.value?.state.value.parent}. Nothing is lost and nothing was overwritten. Your mask can be saved
        beside it and compared, lesion by lesion.
      </p>
      <div class="buttons end">
        <button type="button" onClick={shut}>
          Not now
        </button>
        <button type="button" onClick={() => attempt(() => save(true))}>
          Save beside
        </button>
        <button type="button" class="primary" onClick={() => attempt(besideAndCompare)}>
          Save beside and compare
        </button>
      </div>
    </Modal>
  );
}

function Segments() {
  const waiting = S.segmentsToMap.value;
  const [chosen, setChosen] = useState<Record<number, number>>({});
  if (!waiting) return null;
  const go = async (): Promise<void> => {
    const opened = S.open.value;
    if (!opened) return;
    const map = waiting.segments.map((one) => `${one.number}:${chosen[one.number] ?? 5}`).join(",");
    await imported(opened.info.id, await S.services().api.importFile(opened.info.id, "dicom-seg", waiting.file, map));
    S.segmentsToMap.value = undefined;
    shut();
  };
  return (
    <Modal title="What are these segments?" onClose={shut}>
      {waiting.segments.map((one) => (
        <label class="field" key={one.number}>
          <span>
            {one.number}: {one.label || one.type}
          </span>
          <select
            value={chosen[one.number] ?? 5}
            onChange={(event) => setChosen({ ...chosen, [one.number]: Number(event.currentTarget.value) })}
          >
            {S.labels.value
              .filter((label) => label.value > 0)
              .map((label) => (
                <option key={label.value} value={label.value}>
                  {label.name}
                </option>
              ))}
          </select>
        </label>
      ))}
      <div class="types-legend">
        {LESION_TYPES.map((label) => (
          <Badge key={label} label={label} />
        ))}
      </div>
      <div class="buttons end">
        <button type="button" class="primary" onClick={() => attempt(go)}>
          Import
        </button>
      </div>
    </Modal>
  );
}
