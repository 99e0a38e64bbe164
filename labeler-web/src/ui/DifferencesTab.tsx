import { useState } from "preact/hooks";
import { giveType } from "../app/acts";
import { attempt } from "../app/attempt";
import * as C from "../app/compare";
import * as S from "../app/state";
import { maskRefs } from "../app/versions";
import type { DifferenceKind } from "../server/names";
import type { DifferenceRow } from "../server/types";
import { Badge, TypeButtons } from "./LesionsTab";

const KINDS: readonly DifferenceKind[] = ["added", "removed", "relabelled", "split", "merged", "boundary", "same"];

export function DifferencesTab() {
  return (
    <div class="tab-body">
      <Chooser />
      {S.mode.value === "compare" && S.differences.value && <Walk />}
    </div>
  );
}

function Chooser() {
  const refs = maskRefs();
  const newest = refs[0] ?? "labels";
  const [old, setOld] = useState(S.compareRefs.value?.old ?? newest);
  const [fresh, setFresh] = useState(
    S.compareRefs.value?.fresh ??
      refs.find((ref) => ref === "prediction") ??
      refs.find((ref) => ref !== newest) ??
      newest,
  );
  const pick = (label: string, value: string, set: (ref: string) => void) => (
    <label class="field">
      <span>{label}</span>
      <select aria-label={`${label} mask`} value={value} onChange={(event) => set(event.currentTarget.value)}>
        {refs.map((ref) => (
          <option key={ref} value={ref}>
            {ref}
          </option>
        ))}
      </select>
    </label>
  );
  return (
    <section class="card chooser" aria-label="Masks to compare">
      <div class="buttons">
        {pick("Old", old, setOld)}
        {pick("New", fresh, setFresh)}
        <button
          type="button"
          class={S.mode.value === "compare" ? "" : "primary"}
          onClick={() => attempt(() => C.compare(old, fresh))}
        >
          Compare
        </button>
      </div>
      {S.mode.value === "edit" &&
        S.reviews.value.map((one) => (
          <p class="hint" key={`${one.draft} ${one.user}`}>
            {one.user}: {one.old} with {one.new}, {one.done} of {one.of} decided{" "}
            {one.user === S.user.value && (
              <button
                type="button"
                onClick={() => {
                  setOld(one.old);
                  setFresh(one.new);
                  attempt(() => C.compare(one.old, one.new));
                }}
              >
                Go on
              </button>
            )}
          </p>
        ))}
      {S.mode.value === "edit" && (
        <p class="hint">
          Two masks are compared lesion by lesion; you accept, keep or retype each difference, and save the merged mask.
        </p>
      )}
    </section>
  );
}

function Walk() {
  const list = S.differences.value;
  if (!list) return null;
  const rows = C.listed(list.differences);
  const current = C.currentDifference();
  return (
    <>
      <div class="progress" role="group" aria-label="Progress">
        <progress max={Math.max(1, list.of)} value={list.of - list.open} aria-label="Differences decided" />
        <span>
          {list.of - list.open} of {list.of} decided
        </span>
      </div>
      <label class="field">
        <span>Show</span>
        <select
          value={S.differenceFilter.value}
          onChange={(event) => (S.differenceFilter.value = event.currentTarget.value)}
        >
          <option value="open">open ({list.open})</option>
          <option value="all">all ({list.of})</option>
          <option value="second">for a second reader</option>
          {KINDS.map((kind) => (
            <option key={kind} value={kind}>
              {kind} ({list.counts[kind] ?? 0})
            </option>
          ))}
        </select>
      </label>
      <div class="scroll grow">
        <table class="rows" aria-label="Differences">
          <thead>
            <tr>
              <th scope="col">What</th>
              <th scope="col">Old → new</th>
              <th scope="col" class="number">
                ml
              </th>
              <th scope="col" class="number">
                Dice
              </th>
              <th scope="col">Verdict</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => (
              <Row key={one.id} one={one} />
            ))}
          </tbody>
        </table>
        {rows.length === 0 && (
          <p class="hint">
            {list.open === 0 ? "Every difference is decided. Save the merged mask with Ctrl+S." : "None of this kind."}
          </p>
        )}
      </div>
      {current && <Verdict one={current} />}
    </>
  );
}

function Side({ side }: { side: DifferenceRow["old"] }) {
  return (
    <>
      {side.length === 0 ? <span class="faint">none</span> : side.map((one, k) => <Badge key={k} label={one.label} />)}
    </>
  );
}

function Row({ one }: { one: DifferenceRow }) {
  const chosen = one.id === S.difference.value;
  return (
    <tr
      class={`${chosen ? "chosen" : ""} ${one.verdict ? "decided" : ""}`}
      aria-selected={chosen}
      onClick={() => C.goToDifference(one)}
    >
      <td>
        <button type="button" class="plain" aria-pressed={chosen}>
          {one.id === "organs" ? "organs" : one.kind}
        </button>
      </td>
      <td>
        {one.id === "organs" ? (
          ""
        ) : (
          <>
            <Side side={one.old} /> → <Side side={one.new} />
          </>
        )}
      </td>
      <td class="number">{Math.max(one.old_ml, one.new_ml).toFixed(2)}</td>
      <td class="number">{one.dice.toFixed(2)}</td>
      <td>{C.verdictWords(one)}</td>
    </tr>
  );
}

function Verdict({ one }: { one: DifferenceRow }) {
  const pressed = one.verdict?.verdict;
  const button = (verdict: Parameters<typeof C.giveVerdict>[0], words: string, key: string) => (
    <button
      type="button"
      aria-pressed={pressed === verdict}
      title={`${words} (${key})`}
      onClick={() => attempt(() => C.giveVerdict(verdict))}
    >
      {words} <kbd>{key}</kbd>
    </button>
  );
  return (
    <section class="card" aria-label="Verdict on this difference">
      <h3>
        {one.id === "organs" ? "Organs" : one.kind}{" "}
        <span class="faint">
          {one.old_ml.toFixed(2)} → {one.new_ml.toFixed(2)} ml, {one.changed_ml.toFixed(2)} ml differ
        </span>
      </h3>
      <div class="verdicts">
        {button("accept", "Accept new", "A")}
        {button("keep", "Keep old", "R")}
        {button("second_reader", "Second reader", "M")}
        {button("edited", "Drawn by hand", "K")}
      </div>
      {one.id !== "organs" && (
        <TypeButtons
          verb="Accept the shape with this type"
          pressed={pressed === "relabel" ? (one.verdict?.label ?? undefined) : undefined}
          onPick={(label) => attempt(() => giveType(label))}
        />
      )}
      <div class="buttons">
        <button type="button" onClick={() => C.walkDifferences(-1)}>
          Previous <kbd>P</kbd>
        </button>
        <button type="button" onClick={() => C.walkDifferences(1)}>
          Next <kbd>N</kbd>
        </button>
        <button type="button" class="primary" onClick={() => attempt(C.acceptAndGoOn)}>
          Accept, go on <kbd>↵</kbd>
        </button>
      </div>
      <p class="hint legend">
        <i class="dash" aria-hidden="true" /> old <i class="line" aria-hidden="true" /> new. X shows one of them. Tools
        draw on the merged mask.
      </p>
    </section>
  );
}
