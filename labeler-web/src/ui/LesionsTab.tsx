import { useState } from "preact/hooks";
import * as acts from "../app/acts";
import { attempt } from "../app/attempt";
import { show } from "../app/navigate";
import * as S from "../app/state";
import { oneOf } from "../model/choice";
import { rounded } from "../model/grid";
import type { EvidenceKind } from "../server/names";
import type { BoxRecord, ListedLesion } from "../server/types";

const EVIDENCE_KINDS: readonly EvidenceKind[] = ["none", "pathology", "report", "imaging"];

export const LESION_TYPES = [1, 2, 3, 4, 5, 6] as const;

/** Letter and colour of a label, so that colour is never alone. */
export function Badge({ label }: { label: number }) {
  const info = S.labelInfo(label);
  return (
    <span class="badge" style={{ borderColor: info.color, color: info.color }} title={info.name}>
      {info.letter || label}
    </span>
  );
}

/** Buttons of the six types, with their keys. */
export function TypeButtons({
  pressed,
  onPick,
  verb,
}: {
  pressed?: number | undefined;
  onPick: (label: number) => void;
  verb: string;
}) {
  return (
    <div class="types" role="group" aria-label={verb}>
      {LESION_TYPES.map((label) => (
        <button
          key={label}
          type="button"
          aria-pressed={pressed === label}
          title={`${S.labelInfo(label).name} (${label})`}
          onClick={() => onPick(label)}
        >
          <i class="swatch" style={{ background: S.labelInfo(label).color }} aria-hidden="true" />
          {S.labelInfo(label).name}
        </button>
      ))}
    </div>
  );
}

export function LesionsTab() {
  const list = S.lesions.value;
  if (!list) return <p class="hint">{S.draft.value ? "Counting lesions …" : "The mask is loading …"}</p>;
  const chosen = acts.selectedLesions();
  const total = list.lesions.reduce((sum, one) => sum + one.volume_ml, 0);
  return (
    <div class="tab-body">
      <p class="hint">
        {list.lesions.length === 0
          ? "No lesions in this mask."
          : `${list.lesions.length} lesion${list.lesions.length === 1 ? "" : "s"}, ${total.toFixed(1)} ml`}
        {Object.entries(list.totals)
          .filter(([, sum]) => sum.count > 0)
          .map(([label, sum]) => (
            <span key={label} class="sum">
              {" "}
              <Badge label={Number(label)} /> {sum.count}
            </span>
          ))}
      </p>
      <div class="scroll grow">
        <table class="rows" aria-label="Lesions" aria-busy={S.lesionsStale.value}>
          <thead>
            <tr>
              <th scope="col">#</th>
              <th scope="col">Type</th>
              <th scope="col" class="number">
                ml
              </th>
              <th scope="col" class="number">
                mm
              </th>
              <th scope="col" class="number">
                Slices
              </th>
              <th scope="col" title="Evidence">
                Ev.
              </th>
            </tr>
          </thead>
          <tbody>
            {list.lesions.map((one) => (
              <LesionRow key={one.first} lesion={one} />
            ))}
          </tbody>
        </table>
      </div>
      {chosen.length > 0 ? (
        <Selection chosen={chosen} />
      ) : (
        <p class="hint">Click a lesion in a picture or here. Ctrl-click selects several.</p>
      )}
      <Boxes />
      <Measurements />
    </div>
  );
}

function LesionRow({ lesion }: { lesion: ListedLesion }) {
  const chosen = S.selected.value.includes(lesion.first);
  const go = (event: MouseEvent): void => {
    acts.selectLesion(lesion, event.ctrlKey || event.shiftKey || event.metaKey);
    show(lesion.at);
  };
  return (
    <tr class={chosen ? "chosen" : ""} aria-selected={chosen} onClick={go}>
      <td>
        <button type="button" class="plain" aria-label={`Go to lesion ${lesion.number}`} aria-pressed={chosen}>
          L{lesion.number}
        </button>
      </td>
      <td>
        <Badge label={lesion.label} /> {S.labelInfo(lesion.label).name}
      </td>
      <td class="number">{lesion.volume_ml.toFixed(2)}</td>
      <td class="number">{lesion.diameter_mm.toFixed(0)}</td>
      <td class="number">
        {lesion.slices[0] + 1}–{lesion.slices[1] + 1}
      </td>
      <td title={lesion.evidence ? `${lesion.evidence.evidence}: ${lesion.evidence.note}` : "no evidence noted"}>
        {lesion.evidence && lesion.evidence.evidence !== "none" ? lesion.evidence.evidence.slice(0, 4) : ""}
      </td>
    </tr>
  );
}

function Selection({ chosen }: { chosen: readonly ListedLesion[] }) {
  const first = chosen[0];
  return (
    <section class="card" aria-label="Selected lesions">
      <h3>{chosen.length === 1 ? `Lesion L${first.number}` : `${chosen.length} lesions`}</h3>
      <TypeButtons
        verb="Type of the selected lesions"
        pressed={chosen.every((one) => one.label === first.label) ? first.label : undefined}
        onPick={(label) => attempt(() => acts.giveType(label))}
      />
      <div class="buttons">
        <button type="button" class="danger" title="Delete (0)" onClick={() => attempt(acts.deleteLesions)}>
          Delete
        </button>
        <button
          type="button"
          title="Interpolate between drawn slices (I)"
          disabled={chosen.length > 1}
          onClick={() => attempt(() => acts.interpolate(undefined))}
        >
          Interpolate
        </button>
        <button type="button" disabled={chosen.length > 1} onClick={() => attempt(acts.fillHoles)}>
          Fill holes
        </button>
      </div>
      {chosen.length === 1 && <EvidenceFields key={`${first.first} ${first.evidence?.time}`} lesion={first} />}
    </section>
  );
}

function EvidenceFields({ lesion }: { lesion: ListedLesion }) {
  const [note, setNote] = useState(lesion.evidence?.note ?? "");
  const kind = lesion.evidence?.evidence ?? "none";
  return (
    <div class="evidence">
      <label class="field">
        <span>Evidence</span>
        <select
          value={kind}
          onChange={(event) =>
            attempt(() => acts.setEvidence(lesion, oneOf(EVIDENCE_KINDS, event.currentTarget.value) ?? "none", note))
          }
        >
          <option value="none">none noted</option>
          <option value="pathology">pathology</option>
          <option value="report">report</option>
          <option value="imaging">imaging</option>
        </select>
      </label>
      <input
        type="text"
        aria-label="Note on the evidence"
        placeholder="note, e.g. biopsy 3 May"
        maxLength={400}
        value={note}
        onInput={(event) => setNote(event.currentTarget.value)}
        onChange={() => attempt(() => acts.setEvidence(lesion, kind, note))}
      />
    </div>
  );
}

const middleOf = ([first, end]: readonly [number, number]): number => Math.floor((first + end) / 2);

const BOX_STATES: Record<BoxRecord["status"], string> = {
  open: "open",
  seeded: "lesion made",
  needs_drawing: "draw it by hand",
};

function Boxes() {
  if (S.boxes.value.length === 0) return null;
  return (
    <section class="card" aria-label="Boxes of proven lesions">
      <h3>
        Boxes <span class="faint">(mask 00)</span>
      </h3>
      {S.boxes.value.map((one) => (
        <BoxRow key={one.id} seed={one} />
      ))}
    </section>
  );
}

function BoxRow({ seed }: { seed: BoxRecord }) {
  const [label, setLabel] = useState(seed.label ?? 1);
  const middle = rounded([middleOf(seed.box[0]), middleOf(seed.box[1]), middleOf(seed.box[2])]);
  return (
    <div class="box-row">
      <button type="button" class="plain" title={`Go to box ${seed.id}`} onClick={() => show(middle)}>
        Slices {seed.box[0][0] + 1}–{seed.box[0][1]}
      </button>
      <span class="faint">{BOX_STATES[seed.status]}</span>
      <span class="spring" />
      <button
        type="button"
        class="plain"
        aria-label={`Remove box ${seed.id}`}
        onClick={() => attempt(() => acts.removeBox(seed.id))}
      >
        ×
      </button>
      <select
        aria-label={`Type of box ${seed.id}`}
        value={label}
        onChange={(event) => setLabel(Number(event.currentTarget.value))}
      >
        {LESION_TYPES.map((type) => (
          <option key={type} value={type}>
            {S.labelInfo(type).name}
          </option>
        ))}
      </select>
      <button
        type="button"
        title="The predicted lesion inside the box"
        disabled={seed.status === "seeded"}
        onClick={() => attempt(() => acts.seedFromBox(seed.id, "prediction", label))}
      >
        Predicted
      </button>
      <button
        type="button"
        title="What in the box looks like its middle"
        disabled={seed.status === "seeded"}
        onClick={() => attempt(() => acts.seedFromBox(seed.id, "intensity", label))}
      >
        By HU
      </button>
    </div>
  );
}

function Measurements() {
  if (S.measurements.value.length === 0) return null;
  return (
    <section class="card" aria-label="Measurements">
      <h3>Measurements</h3>
      {S.measurements.value.map((one) => (
        <div class="box-row" key={one.id}>
          <button type="button" class="plain" title="Go there" onClick={() => acts.goToMeasurement(one)}>
            {one.kind === "ruler" ? "Ruler" : "Circle"} {one.phase}
          </button>
          <span>
            {one.kind === "ruler"
              ? `${(one.mm ?? 0).toFixed(1)} mm`
              : `${(one.mean ?? 0).toFixed(0)} ± ${(one.sd ?? 0).toFixed(0)} HU`}
          </span>
          <span class="spring" />
          <button
            type="button"
            class="plain"
            aria-label={`Remove measurement ${one.id}`}
            onClick={() => attempt(() => acts.removeMeasurement(one.id ?? ""))}
          >
            ×
          </button>
        </div>
      ))}
    </section>
  );
}
