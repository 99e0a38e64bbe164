import { useEffect, useRef, useState } from "preact/hooks";
import type { PaneSpec } from "../app/navigate";
import { activate, DOWN, enlarge, scrollTo, setMainPhase } from "../app/navigate";
import { PaneController, panes } from "../app/pane";
import * as S from "../app/state";
import type { Plane } from "../model/grid";
import { watchSize } from "./paneSizes";

const TITLES = { NC: "non-contrast", AP: "arterial", VP: "venous", DP: "delayed" } as const;

/** A phase in a plane, with its corner texts and its slice slider; or the reason why there is none. */
export function Pane({ spec, size }: { spec: PaneSpec; size: "large" | "small" | "plain" }) {
  const opened = S.open.value;
  const volume = opened?.volumes.get(spec.phase);
  const active = S.activePhase.value === spec.phase && S.activePlane.value === spec.plane;
  const name = `${spec.phase} ${TITLES[spec.phase]}${spec.plane === "axial" ? "" : `, ${spec.plane}`}`;
  S.loaded.value;
  const error = volume?.error ?? (volume ? undefined : opened?.info.phases[spec.phase].error);
  return (
    <section class={`pane ${size} ${active ? "active" : ""}`} data-pane={spec.id} aria-label={name}>
      {volume && opened && !error ? (
        <Picture key={`${opened.info.id}/${spec.id}`} spec={spec} name={name} size={size} />
      ) : (
        <div class="no-picture">
          <strong>{name}</strong>
          <p>{error?.message ?? "This phase is missing."}</p>
          {error?.remedy && <p class="faint">{error.remedy}</p>}
        </div>
      )}
    </section>
  );
}

function Picture({ spec, name, size }: { spec: PaneSpec; name: string; size: string }) {
  const element = useRef<HTMLDivElement>(null);
  const overlay = useRef<HTMLCanvasElement>(null);
  const [controller, setController] = useState<PaneController | undefined>();
  useEffect(() => {
    const opened = S.open.value;
    const volume = opened?.volumes.get(spec.phase);
    if (!opened || !volume || !element.current || !overlay.current) return;
    const made = new PaneController(spec, element.current, overlay.current, volume, opened.grid);
    panes.set(spec.id, made);
    setController(made);
    const ignore = watchSize(element.current);
    return () => {
      ignore();
      panes.delete(spec.id);
      made.destroy();
    };
  }, [spec.id]);
  const tool = S.tool.value;
  return (
    <>
      <div
        ref={element}
        class={`picture tool-${tool}`}
        tabIndex={0}
        role="application"
        aria-roledescription="CT pane"
        aria-label={`${name}. Arrow keys change the slice, Alt and arrows move the cursor, F6 leaves.`}
        data-panes=""
        onFocus={() => activate(spec.phase, spec.plane)}
        onDblClick={() =>
          S.tool.value === "navigate" &&
          (size === "small" && S.layout.value === "one-three" ? setMainPhase(spec.phase) : enlarge(spec.id))
        }
      >
        <canvas ref={overlay} class="overlay" aria-hidden="true" />
      </div>
      <Corners spec={spec} name={name} controller={controller} />
      <SliceSlider spec={spec} name={name} />
    </>
  );
}

function Corners({ spec, name, controller }: { spec: PaneSpec; name: string; controller: PaneController | undefined }) {
  const opened = S.open.value;
  const volume = opened?.volumes.get(spec.phase);
  S.loaded.value;
  if (!opened || !volume) return null;
  const { grid } = volume;
  const window = S.windows.value[spec.phase];
  const slice = controller?.slice() ?? 0;
  const count = grid.extent(spec.plane)[2];
  const mm = grid.toMm(grid.fromPixel(spec.plane, 0, 0, slice))[{ axial: 2, coronal: 1, sagittal: 0 }[spec.plane]] ?? 0;
  const point = S.hover.value?.point ?? S.cursor.value;
  const value = controller?.valueAt(point);
  const here = slice >= 0 && slice < count && (spec.plane === "axial" ? volume.has(slice) : volume.complete);
  return (
    <>
      <div class="corner top-left">
        <b>{spec.phase}</b> <span class="faint">{name.slice(spec.phase.length + 1)}</span>
        <br />
        <span class="faint">W</span> {window?.width ?? "–"} <span class="faint">L</span> {window?.level ?? "–"}
        {volume.grid !== opened.grid && (
          <>
            <br />
            <span class="warn">own grid, no mask</span>
          </>
        )}
      </div>
      <div class="corner top-right">
        <span data-slice="">{slice + 1}</span>
        <span class="faint"> / {count}</span>
        <br />
        <span class="faint">{mm.toFixed(1)} mm</span>
      </div>
      <div class="corner bottom-left" data-hu="">
        {value === undefined ? "–" : value} <span class="faint">HU</span>
      </div>
      {!here && (
        <div class="loading" role="status">
          {slice < 0 || slice >= count ? "Outside this phase" : `Loading ${Math.round(volume.share * 100)} %`}
        </div>
      )}
    </>
  );
}

/** Slices from top to bottom as one scrolls, with a tick where each lesion is largest. */
function SliceSlider({ spec, name }: { spec: PaneSpec; name: string }) {
  const opened = S.open.value;
  if (!opened) return null;
  const { plane } = spec;
  const count = opened.grid.extent(plane)[2];
  const slice = opened.grid.sliceOf(plane, S.cursor.value);
  return (
    <div class="slider">
      <div class="ticks" aria-hidden="true">
        {ticks(plane).map(({ at, color, half }, k) => {
          const share = (DOWN[plane] > 0 ? at : count - 1 - at) / Math.max(1, count - 1);
          return <i key={k} style={{ top: `${share * 100}%`, background: color, height: `${Math.max(3, half)}px` }} />;
        })}
      </div>
      <input
        type="range"
        class={DOWN[plane] > 0 ? "downward" : "upward"}
        min={0}
        max={Math.max(0, count - 1)}
        value={slice}
        aria-label={`Slice of ${name}`}
        tabIndex={-1}
        onInput={(event) => {
          activate(spec.phase, plane);
          scrollTo(Number(event.currentTarget.value), plane);
        }}
      />
    </div>
  );
}

function ticks(plane: Plane): { at: number; color: string; half: number }[] {
  const grid = S.open.value?.grid;
  if (!grid) return [];
  if (S.mode.value === "compare") {
    return (S.differences.value?.differences ?? [])
      .filter((one) => one.kind !== "same")
      .map((one) => ({ at: grid.sliceOf(plane, one.at), color: one.verdict ? "#77807c" : "#f4f4f4", half: 3 }));
  }
  return (S.lesions.value?.lesions ?? []).map((one) => ({
    at: grid.sliceOf(plane, one.at),
    color: S.labelInfo(one.label).color,
    half: 4,
  }));
}
