import { FILL_HU, PAINTERS } from "../app/acts";
import { attempt } from "../app/attempt";
import { TOOLS, takeTool } from "../app/keys";
import * as S from "../app/state";
import { maskRefs, showReference } from "../app/versions";
import { oneOf } from "../model/choice";
import { ToolIcon } from "./icons";

export function ToolColumn() {
  const tool = S.tool.value;
  return (
    <nav class="tools" aria-label="Tools" data-region="">
      {TOOLS.map((one) => (
        <button
          key={one.id}
          type="button"
          aria-pressed={tool === one.id}
          aria-label={one.name}
          title={`${one.name} (${one.key}): ${one.does}`}
          onClick={() => takeTool(one.id)}
        >
          <ToolIcon tool={one.id} />
          <kbd>{one.key.replace("Shift+", "⇧")}</kbd>
        </button>
      ))}
    </nav>
  );
}

/** What the tool in hand needs: type, size, HU range; and how the masks are drawn. */
export function ToolOptions() {
  const tool = S.tool.value;
  const label = S.brushLabel.value;
  const paints = PAINTERS.has(tool);
  const [low, high] = S.threshold.value;
  const number = (text: string, was: number): number =>
    Number.isFinite(Number(text)) && text !== "" ? Number(text) : was;
  return (
    <div class="options" aria-label="Options of the tool" role="group" data-region="">
      <label class="field">
        <i class="swatch" style={{ background: S.labelInfo(label).color }} aria-hidden="true" />
        <span>Type</span>
        <select value={label} onChange={(event) => (S.brushLabel.value = Number(event.currentTarget.value))}>
          {S.labels.value
            .filter((one) => one.value > 0)
            .map((one) => (
              <option key={one.value} value={one.value}>
                {one.value} {one.name}
              </option>
            ))}
        </select>
      </label>
      {paints && (
        <label class="field">
          <span>Radius</span>
          <input
            type="range"
            min={0.5}
            max={40}
            step={0.5}
            value={S.brushMm.value}
            onInput={(event) => (S.brushMm.value = Number(event.currentTarget.value))}
          />
          <output>{S.brushMm.value} mm</output>
        </label>
      )}
      {tool === "fill" && (
        <label class="field">
          <input
            type="checkbox"
            checked={S.fillAround.value}
            onChange={(event) => (S.fillAround.value = event.currentTarget.checked)}
          />
          <span>HU of the click ± {FILL_HU}</span>
        </label>
      )}
      {(tool === "threshold" || (tool === "fill" && !S.fillAround.value)) && (
        <span class="field">
          <span>HU</span>
          <input
            type="number"
            aria-label="Lowest HU"
            value={low}
            onChange={(event) => (S.threshold.value = [number(event.currentTarget.value, low), high])}
          />
          <span>to</span>
          <input
            type="number"
            aria-label="Highest HU"
            value={high}
            onChange={(event) => (S.threshold.value = [low, number(event.currentTarget.value, high)])}
          />
        </span>
      )}
      <span class="spring" />
      <label class="field">
        <span>Masks</span>
        <select
          value={S.overlay.value}
          title="O"
          onChange={(event) => (S.overlay.value = oneOf(S.OVERLAYS, event.currentTarget.value) ?? "both")}
        >
          <option value="both">contour and fill</option>
          <option value="contour">contour</option>
          <option value="fill">fill</option>
        </select>
      </label>
      <label class="field">
        <span>Fill</span>
        <input
          type="range"
          class="short"
          min={0}
          max={1}
          step={0.05}
          value={S.opacity.value}
          onInput={(event) => (S.opacity.value = Number(event.currentTarget.value))}
        />
      </label>
      <label class="field">
        <input
          type="checkbox"
          checked={S.organsShown.value}
          onChange={(event) => (S.organsShown.value = event.currentTarget.checked)}
        />{" "}
        <span>Organs</span>
      </label>
      <Beside />
    </div>
  );
}

/** Another mask, in white dashes over the one that is edited. */
function Beside() {
  if (S.mode.value === "compare") return null;
  return (
    <label class="field">
      <span>Beside</span>
      <select
        aria-label="Mask shown beside"
        value={S.reference.value?.ref ?? ""}
        onChange={(event) => {
          const ref = event.currentTarget.value;
          attempt(() => showReference(ref || undefined));
        }}
      >
        <option value="">nothing</option>
        {maskRefs().map((ref) => (
          <option key={ref} value={ref}>
            {ref}
          </option>
        ))}
      </select>
    </label>
  );
}
